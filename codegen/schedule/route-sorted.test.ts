// A router and the sort of its slots in one kernel: the same bits as from two, for every router of the examples and of the fixtures.
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Layer } from "../../ir/core/layer.ts";
import { compileSource, memoryHost } from "../../ir/frontend/index.ts";
import { parseLayer } from "../../ir/text/index.ts";
import { type Compilation, compileLayer } from "../compile.ts";
import { checkCompilation, sizesFor, tensorsFor } from "../oracle-testing.ts";
import { programWeights } from "../program-weights.ts";
import type { Target } from "../target.ts";
import { plainTarget, workgroupTarget } from "../testing.ts";
import { runProgram, type TypedArray } from "../tile/interpreter.ts";
import type { Kernel } from "../tile/types.ts";

const root = new URL("../../", import.meta.url);
const filesIn = (folder: string, end: string): string[] =>
  readdirSync(new URL(folder, root))
    .filter((name) => name.endsWith(end))
    .map((name) => `${folder}${name}`);
const textOf = (path: string): string => readFileSync(new URL(path, root), "utf8");
const examples = filesIn("examples/", ".ts");
const sources = Object.fromEntries([...examples, ...filesIn("models/", ".ts")].map((path) => [path, textOf(path)]));

/** Small values of the parameters that examples name as sizes, so that experts outnumber the lanes. */
const small = { H: 12, A: 2, Q: 8, N: 4, R: 4, F: 8, I: 8, S: 8, D: 8, L: 12, E: 12, Z: 5, K: 3, G: 4, M: 2, V: 7 };
const example = (entry: string): Promise<Layer> => {
  const { params } = /(?<params>layer\(\s*\{[^}]*\})/.exec(sources[entry] ?? "")?.groups ?? {};
  const given = Object.entries(small).filter(([name]) => new RegExp(`\\b${name}:`).test(params ?? ""));
  return compileSource({ host: memoryHost(sources), entry, params: Object.fromEntries(given) });
};
const fixtures = filesIn("codegen/fixtures/", ".moe").filter((path) => /= route/.test(textOf(path)));
const layers = [
  ...examples.map((path) => [path, () => example(path)] as const),
  ...fixtures.map((path) => [path, async () => parseLayer(textOf(path), path)] as const),
];

const apart: Target = { ...plainTarget, spaces: workgroupTarget.spaces };
const { matmul } = apart;
if (matmul.kind !== "registers") throw new Error("products are in registers");
const listed: Target = { ...apart, matmul: { ...matmul, listed: true } };
const variants: readonly (readonly [string, Target, number])[] = [
  ["one lane", apart, 1],
  ["one lane, experts listed", listed, 1],
  ["four lanes", apart, 4],
  ["four lanes, experts listed", listed, 4],
];
const isSort = ({ origin }: Kernel): boolean => origin.op === "dispatch";
const isTogether = ({ name }: Kernel): boolean => name.endsWith("_sorted");
const kernelsOf = (target: Target, layer: Layer): readonly Kernel[] =>
  compileLayer(layer, target, "f32").program.kernels;

/** What routers and sorts have written after the kernels up to the last sort. */
function run({ program, stored }: Compilation, tokens: number, order: "forward" | "reverse" = "forward") {
  const tensors = tensorsFor(stored, tokens);
  const held = programWeights(program, tensors);
  const given = (role: string) =>
    new Map(
      program.buffers
        .filter((b) => b.role === role)
        .map((b) => [b.name, held.get(b.name)?.data as TypedArray] as const),
    );
  const dims = sizesFor(stored, tokens);
  const kernels = program.kernels.slice(0, program.kernels.findLastIndex(isSort) + 1);
  const all = runProgram(
    { ...program, kernels },
    { weights: given("weight"), inputs: given("input"), dims },
    { order },
  );
  const written = kernels
    .filter(({ origin }) => origin.op === "route" || origin.op === "dispatch")
    .flatMap(({ buffers }) => buffers.filter((b) => b.access !== "read"));
  return new Map(written.map(({ name }) => [name, all.get(name)]));
}

describe.each(layers)("%s", (path, read) => {
  test.each(variants)("%s: the same bits", async (_, target, lanes) => {
    const layer = await read();
    const usual = compileLayer(layer, target, "f32");
    const fused = compileLayer(layer, { ...target, routing: { lanes } }, "f32");
    expect(fused.program.kernels.filter(isTogether).length).toBe(usual.program.kernels.filter(isSort).length);
    for (const tokens of new Set([0, 1, lanes - 1, lanes, lanes + 1])) {
      const want = run(usual, tokens);
      for (const order of ["forward", "reverse"] as const)
        expect(run(fused, tokens, order), `${path}, T = ${tokens}`).toEqual(want);
    }
  });
});

test("agrees with the oracle", async () => {
  const layer = await example("examples/longcat-moe.ts");
  for (const lanes of [1, 4]) {
    const compilation = compileLayer(layer, { ...apart, routing: { lanes } }, "f32");
    for (const tokens of [0, 1, 3, 4, 5, 9]) checkCompilation(compilation, tokens);
  }
});

test("is launched up to as many tokens as there are lanes, and the others from there on", async () => {
  const kernels = kernelsOf({ ...apart, routing: { lanes: 4 } }, await example("examples/olmoe.ts"));
  const ranges = kernels.flatMap(({ origin, when }) =>
    /^(route|dispatch)$/.test(origin.op)
      ? [`${origin.summary}: ${when?.of} from ${when?.from} below ${when?.below}`]
      : [],
  );
  expect(ranges).toEqual([
    "router: softmax scores, top-k; slots sorted by expert: T from 0 below 5",
    "router: softmax scores, top-k: T from 5 below undefined",
    "slots sorted by expert: T from 5 below undefined",
  ]);
});

test("a target without room for its buffers gets two kernels, and lanes that a device has not are refused", async () => {
  const [olmoe, biased] = [await example("examples/olmoe.ts"), await example("examples/longcat-moe.ts")];
  const routing = { lanes: 4 };
  const isOne = (target: Target, layer = olmoe): boolean => kernelsOf({ routing, ...target }, layer).some(isTogether);
  expect(isOne(apart)).toBe(true);
  expect(isOne({ ...apart, limits: { buffersPerKernel: 6 } }, biased)).toBe(false);
  expect(isOne({ ...apart, limits: { buffersPerKernel: 7 } }, biased)).toBe(true);
  // Logits, scores and keys of 12 experts, their counts, and what four slots have.
  const bytes = 4 * (3 * 12 + 13);
  expect(isOne({ ...apart, routing: { lanes: 1, bytes } })).toBe(false);
  expect(isOne({ ...apart, routing: { lanes: 1, bytes: 2 * bytes } })).toBe(true);
  // A list, and the counts of workgroups beside it.
  expect(isOne({ ...listed, limits: { buffersPerKernel: 8 } })).toBe(true);
  expect(isOne({ ...listed, limits: { buffersPerKernel: 7 } })).toBe(false);
  expect(() => isOne({ ...apart, limits: { workgroupLanes: 2 } })).toThrow("more lanes than a workgroup");
  expect(() => isOne(plainTarget)).toThrow("needs the memory space workgroup");
});
