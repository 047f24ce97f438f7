// `unmoor tune` on a backend whose schedules take times that the test sets, and what other commands make of its record.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Backend, LoadedLayer } from "../backends/backend.ts";
import type { Target } from "../codegen/target.ts";
import { runProgram, type TypedArray } from "../codegen/tile/interpreter.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { type BackendSource, loadBackend } from "../runtime/backends.ts";
import { jsonOf, sourceFile, temporaryFolder, unmoor } from "./support.ts";

const arrays = (tensors: ReadonlyMap<string, Tensor>): Map<string, TypedArray> =>
  new Map([...tensors].map(([name, { data }]) => [name, data as TypedArray]));

/** simd-c with five more schedules, run by the tile interpreter, which is said to take so many milliseconds, by number of tokens. */
function timed(times: Readonly<Record<string, (tokens: number) => number>>, device = "a device"): BackendSource {
  return async (name) => {
    const backend: Backend = await loadBackend(name);
    const described = (isa: string, tuning: string, panelsPerBlock: number): Target => {
      const target = backend.target(isa);
      if (target.matmul.kind !== "registers") throw new Error("simd-c multiplies in registers");
      return { ...target, tuning, matmul: { ...target.matmul, panelsPerBlock } };
    };
    return {
      ...backend,
      tunings: (isa) => [
        described(isa, "slow", 1),
        described(isa, "uneven", 3),
        described(isa, "fast", 4),
        described(isa, "wrong", 5),
        described(isa, "same", 2),
      ],
      deviceName: async () => device,
      async load(program, target): Promise<LoadedLayer> {
        let weights = new Map<string, TypedArray>();
        return {
          evidence: "measured",
          device,
          async setWeights(given) {
            weights = arrays(given);
          },
          async run(given, dims, { repeat = 1 } = {}) {
            const buffers = runProgram(program, { weights, inputs: arrays(given), dims });
            const outputs = new Map(
              program.buffers.flatMap((b): [string, Tensor][] => {
                const data = buffers.get(b.name);
                if (b.role !== "output" || !(data instanceof Float32Array)) return [];
                return [[b.name, { dtype: "f32", dims: b.dims.map((d) => d.evaluate(dims)), data }]];
              }),
            );
            if (target.tuning === "wrong") outputs.get(program.results[0]?.buffer ?? "")?.data.fill(1e6);
            const took = times[target.tuning ?? "default"]?.(dims.T ?? 0) ?? 1;
            return { outputs, nanoseconds: new Float64Array(repeat).fill(took * 1e6) };
          },
          close: async () => {},
        };
      },
    };
  };
}

const usual = {
  default: () => 4,
  slow: () => 8,
  uneven: (tokens: number) => (tokens === 1 ? 8 : 1),
  fast: () => 2,
  wrong: () => 1,
};
/** Twice as slow in one run of each three. */
const disturbed = () => {
  let runs = 0;
  return () => (runs++ % 3 === 0 ? 7 : 3.5);
};
/** A product with enough columns to share out. */
const product = (): string[] => [
  sourceFile(`import { layer, linear, type Tensor } from "unmoor";
export const product = layer({ N: 128, K: 8 }, (p, x: Tensor<["T", "K"]>, w: Tensor<["N", "K"]>) => linear(x, w));
`),
  "--isa",
  "scalar",
  "--target",
  "simd-c",
];
const tune = (layer: readonly string[]): string[] => ["tune", ...layer, "--tokens", "1,4", "--budget", "50"];

test("the fastest schedule that is right and nowhere slower is recorded, and used by other commands", async () => {
  const tuning = temporaryFolder();
  const backends = timed(usual);
  const layer = product();
  const ran = await unmoor([...tune(layer), "--json"], { tuning, backends });
  expect(ran).toMatchObject({ status: 0, err: "" });
  const [target] = (jsonOf(ran) as { targets: { best: string; record: string; tried: unknown[] }[] }).targets;
  expect(target?.best).toBe("fast");
  const [slow, uneven, fast, wrong, same] = target?.tried ?? [];
  // What is slower at one number of tokens is not timed at the next.
  expect(slow).toEqual({ tuning: "slow", speedups: [{ tokens: 1, ratio: 0.5, low: 0.5 }], unfit: "slower at T=1" });
  expect(uneven).toMatchObject({ tuning: "uneven", unfit: "slower at T=1" });
  expect(fast).toEqual({
    tuning: "fast",
    speedups: [
      { tokens: 1, ratio: 2, low: 2 },
      { tokens: 4, ratio: 2, low: 2 },
    ],
  });
  expect(wrong).toMatchObject({ tuning: "wrong", unfit: expect.stringMatching(/^T=1: .* expected, 1000000 found/) });
  expect(same).toMatchObject({ unfit: "the same kernels as the default" });
  expect(JSON.parse(readFileSync(target?.record ?? "", "utf8"))).toMatchObject({
    format: "unmoor-tuning",
    device: "a device",
    isa: "scalar",
  });

  const compiled = async (...options: string[]) => {
    const out = join(temporaryFolder(), "out");
    const argv = ["compile", ...layer, "--out", out, ...options];
    const { targets } = jsonOf(await unmoor([...argv, "--json"], { tuning, backends })) as {
      targets: { tuning?: string }[];
    };
    return { tuning: targets[0]?.tuning, source: readFileSync(join(out, "product.c"), "utf8") };
  };
  const [tuned, untuned] = [await compiled(), await compiled("--untuned")];
  expect([tuned.tuning, untuned.tuning]).toEqual(["fast", undefined]);
  expect(tuned.source).not.toBe(untuned.source);
  expect((await compiled("--storage", "bf16")).tuning, "another storage").toBeUndefined();

  const bench = ["bench", ...layer, "--tokens", "1", "--budget", "1", "--no-roofs", "--json"];
  const { rows } = jsonOf(await unmoor(bench, { tuning, backends })) as { rows: { tuning?: string }[] };
  expect(rows[0]?.tuning).toBe("fast");

  const elsewhere = jsonOf(await unmoor(bench, { tuning, backends: timed(usual, "another device") })) as {
    rows: { tuning?: string }[];
  };
  expect(elsewhere.rows[0]?.tuning, "another device").toBeUndefined();
});

test("where nothing is faster the default stays, and an older choice goes", async () => {
  const tuning = temporaryFolder();
  const layer = product();
  await unmoor(tune(layer), { tuning, backends: timed(usual) });
  const ran = await unmoor(tune(layer), { tuning, backends: timed({ ...usual, fast: () => 3.95 }) });
  expect(ran.status).toBe(0);
  expect(ran.err.split("\n")).toEqual([
    "tried slow: T=1 0.500×, slower at T=1",
    "tried uneven: T=1 0.500×, slower at T=1",
    "tried fast: T=1 1.01×, T=4 1.01×",
    expect.stringMatching(/^tried wrong: T=1: .* 1000000 found/),
    "tried same: the same kernels as the default",
    "",
  ]);
  expect(ran.out).toContain("the default stays");
  const [record] = readdirSync(tuning);
  expect(JSON.parse(readFileSync(join(tuning, record ?? ""), "utf8")).choices).toEqual({});
});

test("a schedule that is slower in some runs alone is chosen where it is faster in most", async () => {
  const ran = await unmoor([...tune(product()), "--json"], {
    tuning: temporaryFolder(),
    backends: timed({ ...usual, fast: disturbed() }),
  });
  const [target] = (jsonOf(ran) as { targets: { best: string; tried: { tuning: string; speedups: object[] }[] }[] })
    .targets;
  expect(target?.best).toBe("fast");
  const fast = target?.tried.find(({ tuning }) => tuning === "fast");
  // A quarter of its pairs is far below the default.
  expect(fast?.speedups[0]).toEqual({ tokens: 1, ratio: 4 / 3.5, low: 4 / 7 });
});

test("a target with one schedule has nothing to tune, and says so", async () => {
  const source: BackendSource = async (name) => {
    const { tunings: _, ...backend } = await loadBackend(name);
    return backend;
  };
  const ran = await unmoor(tune(product()), { tuning: temporaryFolder(), backends: source });
  expect(ran).toMatchObject({ status: 0, err: "" });
  expect(ran.out).toContain("simd-c has one schedule only: nothing to choose");
});
