import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { LoadedLayer } from "../../backends/backend.ts";
import { compileLayer } from "../../codegen/compile.ts";
import { programWeights } from "../../codegen/program-weights.ts";
import { loadBackend } from "../../runtime/backends.ts";
import { readLayer } from "../../runtime/source.ts";
import { Arena } from "../arena.ts";
import { drawBatches } from "../drawn.ts";
import type { RoofProbe } from "../roofs.ts";
import { ggml } from "./ggml.ts";
import { packages } from "./install.ts";
import { onnxruntime } from "./onnxruntime.ts";
import type { LoadedPeer, Peer } from "./peer.ts";
import { gateUpOf, makeProblem, type Problem } from "./problem.ts";
import { compareInRounds, type Pair } from "./rounds.ts";
import { type Comparable, comparable, type Shape, shapes } from "./shapes.ts";

const backend = await loadBackend("simd-c");
const isa = await backend.bestIsa();
const probe: Pick<RoofProbe, "now"> = { now: async () => ({ read_gbps: 1, gflops: {} }) };
const options = { threads: 2, rounds: 2, budgetMs: 1, sampledTokens: 3, probe };

interface Made {
  readonly problem: Problem;
  readonly loaded: LoadedLayer;
  readonly pair: (peer: LoadedPeer) => Pair;
  close(): Promise<void>;
}

const compiled = async ({ example }: Shape, storage: Comparable, variant: string) => {
  const file = join(import.meta.dirname, "../../examples", example);
  const layer = await readLayer({ file, params: { H: 64, I: 96, E: 8, K: 2 }, cache: undefined });
  return compileLayer(layer, backend.target(variant), storage);
};

/** A shape at small sizes, loaded. */
async function made(shape: Shape, storage: Comparable): Promise<Made> {
  const compilation = await compiled(shape, storage, isa);
  const bounds = await compiled(shape, storage, "avx512-bf16");
  const arena = new Arena();
  const problem = makeProblem(shape, storage, compilation, arena, 1);
  const loaded = await backend.load(compilation.program, compilation.target);
  await loaded.setWeights(programWeights(compilation.program, problem.weights));
  return {
    problem,
    loaded,
    pair: (peer) => ({ compilation, bounds, loaded, weights: problem.weights, peer }),
    close: async () => {
      await loaded.close();
      arena.free();
    },
  };
}

/** A peer that computes with our layer, and changes what comes out. */
function mirror(pair: Made, change: (y: Float32Array) => void): LoadedPeer {
  let y = new Float32Array();
  return {
    title: "a mirror",
    wake: async () => {},
    rest: async () => {},
    async run(x, tokens) {
      const input = { dtype: "f32", dims: [tokens, 64], data: x } as const;
      const { outputs } = await pair.loaded.run(new Map([["x", input]]), { T: tokens });
      y = Float32Array.from(outputs.get("y")?.data ?? []);
      change(y);
      return 20e6;
    },
    output: async () => y,
    close: async () => {},
  };
}

const [olmoe] = shapes as [Shape];

describe("comparing with a peer", () => {
  test("gives a ratio where both results are right, and none where the peer's is not", async () => {
    const ours = await made(olmoe, "f32");
    try {
      const batches = drawBatches(ours.pair(mirror(ours, () => {})).compilation, 5, 2);
      const same = await compareInRounds(ours.pair(mirror(ours, () => {})), batches, options);
      expect(same).toMatchObject({ tokens: 5, ratio: { median: expect.any(Number) } });
      const off = mirror(ours, (y) => y.set([(y[7] ?? 0) + 0.01], 7));
      const differs = await compareInRounds(ours.pair(off), batches, options);
      expect(differs).toEqual([expect.stringMatching(/^the peer: y\[0, 7\]: .* expected, .* found$/)]);
    } finally {
      await ours.close();
    }
  });

  test("tokens of a batch differ from those of the next, and are few enough to be many batches", async () => {
    const batches = drawBatches(await compiled(olmoe, "f32", isa), 1, 2);
    expect(batches).toHaveLength(32);
    expect(batches[0]?.data).not.toEqual(batches[1]?.data);
  });

  test("gate and up in alternate rows and apart are the same rows", async () => {
    const arena = new Arena();
    for (const shape of [olmoe, shapes.find((s) => s.example === "gpt-oss.ts") as Shape]) {
      const found = gateUpOf(makeProblem(shape, "q4_0", await compiled(shape, "q4_0", isa), arena, 1), arena);
      const [gate, up] = found?.apart() ?? [];
      const alternate = found?.alternate();
      const bytes = (64 / 32) * 18;
      const row = (of: Uint8Array | undefined, i: number) => of?.slice(i * bytes, (i + 1) * bytes);
      for (const i of [0, 95, 8 * 96 - 1]) {
        expect(row(gate, i)).not.toEqual(row(up, i));
        expect(row(alternate, 2 * i)).toEqual(row(gate, i));
        expect(row(alternate, 2 * i + 1)).toEqual(row(up, i));
      }
    }
    arena.free();
  });
});

/** Only where `npm run bench:peers` has installed them. */
const installed = packages.installed();

describe.skipIf(!installed).each<Peer>([ggml, onnxruntime])("$name, where it is installed", (peer) => {
  test.each(shapes.map((s) => [s.name, s] as const))("computes %s within the bounds", async (_, shape) => {
    for (const storage of comparable) {
      const ours = await made(shape, storage);
      try {
        const other = await peer.load(ours.problem, 2);
        if (typeof other === "string") {
          expect([peer.name, storage]).toEqual(["ONNX Runtime", "bf16"]);
          continue;
        }
        try {
          for (const tokens of [1, 40]) {
            const pair = ours.pair(other);
            const result = await compareInRounds(pair, drawBatches(pair.compilation, tokens, 2), options);
            expect([storage, result]).toEqual([storage, expect.objectContaining({ tokens })]);
          }
        } finally {
          await other.close();
        }
      } finally {
        await ours.close();
      }
    }
  });
});
