// What `unmoor tune` may choose on WebGPU. Kernels of every description are held against the oracle in the tile interpreter, and on the
// adapter at hand: by default those whose lanes share rows, with UNMOOR_TEST_ALL all that the adapter has the features for.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AdapterDescription, type OpenedDevice, openDevice } from "../backends/wgsl/adapter/index.ts";
import { createWgsl } from "../backends/wgsl/index.ts";
import { wgslTunings } from "../backends/wgsl/target.ts";
import { exampleSizes } from "../bench/example-sizes.ts";
import { compileLayer } from "../codegen/compile.ts";
import { checkCompilation } from "../codegen/oracle-testing.ts";
import type { Storage, Target } from "../codegen/target.ts";
import { parseLayer } from "../ir/text/index.ts";
import { loadBackend } from "../runtime/backends.ts";
import { checkTarget } from "../runtime/check/check.ts";
import { readLayer } from "../runtime/source.ts";

// Numbers of columns that no workgroup divides, and experts with 0 to 20 rows.
const params = { H: 20, I: 14, E: 3, K: 2 };
const layer = await readLayer({ file: "examples/olmoe.ts", params, cache: undefined });
const tunings = wgslTunings.map((target) => [target.tuning ?? "", target] as const);
const largest = wgslTunings.find((target) => target.tuning === "16 4 × 4 together, rows shared");
const byEight = wgslTunings.find((target) => target.subgroupLanes === 8);
const backend = createWgsl();
/** The storage whose kernels a feature changes. */
const storageFor = ({ features = [] }: Target): Storage =>
  features.includes("shader-f16") ? "f16" : features.includes("subgroups") ? "f32" : "q8_0";
/** Columns in whole blocks, and in vectors. */
const inBlocks = await readLayer({ file: "examples/olmoe.ts", params: { ...params, H: 32, I: 32 }, cache: undefined });
/** Of more columns than a workgroup takes. */
const product = parseLayer(
  `layer @product {N = 37, K = 64} (input fixed %x: f32[T, K], weight auto %w: f32[N, K]) {
    %y = linear(%x, %w) : f32[T, N]
    return y = %y
  }`,
  "product",
);
const layerFor = (storage: Storage) => (storage === "f32" ? layer : inBlocks);

/** Products by workgroups of two quads, in tiles small enough for all of them to be met at few sizes. */
const smallWorkgroups = wgslTunings
  .filter((target) => target.tuning === "32 × 32 staged, k in 16 stripes")
  .map(({ matmul, ...target }): Target => {
    if (matmul.kind !== "registers") throw new Error("products are in registers");
    const staged = { from: 3, lanes: [2, 4], rows: [2, 1], depth: 8 } as const;
    const few = { below: 2, rows: [1], stripes: { panels: 2, along: 4 } };
    return { ...target, features: ["packed_4x8_integer_dot_product"], matmul: { ...matmul, staged, few } };
  })
  .at(0);
/** Those that take a software adapter minutes, which starts each lane of a kernel with barriers as a thread of its own. */
const isSlow = ({ matmul }: Target): boolean => matmul.kind === "registers" && matmul.staged !== undefined;

/** WGSL of the kernels. */
async function modules(target: Target): Promise<string[]> {
  const sources = await backend.emit(compileLayer(layer, target, "f32").program, target);
  return [...sources].flatMap(([path, text]) => (path.endsWith(".wgsl") ? [text] : []));
}

test.each(tunings)("%s", (_, target) => {
  const compilation = compileLayer(layer, target, "f32");
  for (const tokens of [0, 1, 7, 29]) expect(() => checkCompilation(compilation, tokens)).not.toThrow();
});

test("a plan requires the features that its kernels use, and those of plain WGSL none", async () => {
  for (const target of [backend.target("wgsl"), ...wgslTunings.filter((t) => t.features !== undefined)]) {
    for (const storage of ["f32", "f16", "q8_0", "q4_0"] as const) {
      const { program } = compileLayer(layerFor(storage), target, storage);
      const sources = await backend.emit(program, target);
      const { requires } = JSON.parse(sources.get("plan.json") ?? "");
      const text = [...sources].flatMap(([path, t]) => (path.endsWith(".wgsl") ? [t] : [])).join("\n");
      const uses = { "shader-f16": /^enable f16;/m, subgroups: /^enable subgroups;/m };
      expect(requires.features).toEqual(
        Object.entries(uses).flatMap(([f, directive]) => (directive.test(text) ? [f] : [])),
      );
      const packed = /^requires packed_4x8_integer_dot_product;/m.test(text);
      expect(requires.languageFeatures).toEqual(packed ? ["packed_4x8_integer_dot_product"] : []);
      expect(text.includes("dot4I8Packed")).toBe(packed);
      expect(requires.subgroupMinSize).toBe(text.includes("subgroupShuffle(") ? 8 : undefined);
      expect(target.features ?? []).toEqual(
        expect.arrayContaining([...requires.features, ...requires.languageFeatures]),
      );
      if (storage === storageFor(target) && target.features !== undefined)
        expect([...requires.features, ...requires.languageFeatures], target.tuning).not.toEqual([]);
    }
  }
});

test("kernels of listed experts are started by what the device counts, and parts of a cut weight as a whole", async () => {
  const target = wgslTunings.find((t) => t.tuning === "experts listed");
  if (target === undefined) throw new Error("no description lists experts");
  const planOf = async (bufferBytes: number) => {
    const limits = { ...target.limits, bufferBytes };
    const files = await backend.emit(compileLayer(layer, { ...target, limits }, "f32").program, { ...target, limits });
    return JSON.parse(files.get("plan.json") ?? "");
  };
  const plan = await planOf(2 ** 20);
  const started = plan.kernels.map((k: { origin: { op: string }; indirect?: { buffer: string } }) => [
    k.origin.op === "grouped_linear",
    k.indirect !== undefined,
  ]);
  expect(started).toContainEqual([true, true]);
  expect(started.every(([grouped, indirect]: boolean[]) => grouped === indirect)).toBe(true);
  const counts = plan.buffers.find((b: { name: string }) => b.name === plan.kernels.at(-2).indirect.buffer);
  expect(plan.buffers.filter((b: { slot?: number }) => b.slot === counts.slot)).toEqual([counts]);
  // An expert's gate and up are 4 · 8 · 20 · 4 bytes.
  const cut = await planOf(3000);
  expect(cut.kernels.filter((k: { name: string }) => k.name.includes(".")).length).toBeGreaterThan(0);
  for (const k of cut.kernels) if (k.name.includes(".")) expect(k.indirect).toBeUndefined();
});

test("rows of four are read once for a quad, and other rows by each lane", async () => {
  if (largest === undefined) throw new Error("no description has lanes that share rows");
  const products = (await modules(largest)).filter((text) => text.includes("enable subgroups"));
  const counts = products.map((text) =>
    [text.match(/let x_quad\w* = /g), text.match(/quadBroadcast\(/g)].map((m) => m?.length),
  );
  // Of tiles of 16 and 4 rows.
  expect(counts).toContainEqual([5, 20]);
});

test("rows of eight are read once for eight lanes, and rows of four for a quad", async () => {
  if (byEight === undefined) throw new Error("no description has eight lanes that share rows");
  const counts = (await modules(byEight)).map((text) =>
    [/let x_octet\w* = /g, /subgroupShuffle\(/g, /let x_quad\w* = /g, /quadBroadcast\(/g].map(
      (of) => text.match(of)?.length,
    ),
  );
  // Of tiles of 16, 8 and 4 rows.
  expect(counts).toContainEqual([3, 24, 1, 4]);
});

describe("on the adapter", () => {
  let opened: OpenedDevice;
  let adapter: AdapterDescription;
  beforeAll(async () => {
    opened = await openDevice();
    adapter = opened.description;
  });
  afterAll(() => opened.close());

  const all = process.env.UNMOOR_TEST_ALL === "1";
  const cases = tunings.flatMap(([name, target]): [string, Storage, Target][] => {
    const storage = storageFor(target);
    if (all && storage === "q8_0")
      return [
        [name, "q8_0", target],
        [name, "q4_0", target],
      ];
    if (isSlow(target)) return [];
    if (target.tuning === "experts listed") return [[name, "f32", target]];
    return all || target === largest || target === byEight || storage === "f16" ? [[name, storage, target]] : [];
  });
  // Experts in one storage; of the others, which lay weights out in other ways, a product.
  const storages = [
    ["experts", "f32"],
    ["product", "q8_0"],
    ["product", "f16"],
    ["product", "mxfp4"],
  ] as const;
  test.each(all ? storages : storages.slice(0, 2))(
    "workgroups that share memory: %s, %s",
    { timeout: 120_000 },
    async (what, storage) => {
      if (smallWorkgroups === undefined) throw new Error("no description stages tiles");
      const given = what === "experts" ? layer : product;
      const { cases: done } = await checkTarget(given, await loadBackend("wgsl"), smallWorkgroups, storage, 1);
      expect(done.flatMap((c) => c.disagreements)).toEqual([]);
    },
  );

  // Lanes of a workgroup part where a group of experts is left out, and one of them writes what products are started by.
  test.each(["deepseek-v3", "longcat-moe"])("tokens routed by four lanes: %s", { timeout: 120_000 }, async (name) => {
    const usual = wgslTunings.find((t) => t.tuning === "experts listed");
    if (usual === undefined) throw new Error("no description lists experts");
    const [params] = exampleSizes[`${name}.ts`] ?? [];
    const given = await readLayer({ file: `examples/${name}.ts`, params: params ?? {}, cache: undefined });
    const target: Target = { ...usual, routing: { lanes: 4 } };
    const { cases: done } = await checkTarget(given, await loadBackend("wgsl"), target, "f32", 1);
    expect(done.flatMap((c) => c.disagreements)).toEqual([]);
  });

  test.each(cases)("%s, %s", { timeout: 120_000 }, async (_, storage, target) => {
    const run = async () => checkTarget(layerFor(storage), await loadBackend("wgsl"), target, storage, 1);
    const offered = [...adapter.features, "packed_4x8_integer_dot_product"];
    const lack = target.features?.find((feature) => !offered.includes(feature));
    if (lack !== undefined) return expect(run()).rejects.toThrow(lack);
    if ((target.subgroupLanes ?? 0) > (opened.adapter.info.subgroupMinSize ?? 0))
      return expect(run()).rejects.toThrow("needs subgroups of at least 8 lanes, this device has some of ");
    const { cases: done } = await run();
    expect(done.length).toBeGreaterThan(0);
    expect(done.flatMap((c) => c.disagreements)).toEqual([]);
  });
});
