// Kernels of one product for few rows and for many, chosen at run time by the number of tokens: around the number where they change
// places, each target gives what the oracle says, and launches the one that the sizes ask for.
import { describe, expect, test } from "vitest";
import { simdTarget } from "../backends/simd-c/targets.ts";
import { createWgsl } from "../backends/wgsl/index.ts";
import { explain } from "../bench/explain.ts";
import { compileLayer } from "../codegen/compile.ts";
import { checkCompilation } from "../codegen/oracle-testing.ts";
import { type Target, targetNames } from "../codegen/target.ts";
import { isLaunched } from "../codegen/tile/launch.ts";
import { parseProgram } from "../codegen/tile/parser.ts";
import { printProgram } from "../codegen/tile/text.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { loadBackend } from "../runtime/backends.ts";
import { checkTarget } from "../runtime/check/check.ts";
import { readLayer } from "../runtime/source.ts";

const params = { H: 20, I: 14, E: 3, K: 2 };
const layer = await readLayer({ file: "examples/olmoe.ts", params, cache: undefined });
const wgsl = createWgsl();

/** A description whose products have a kernel for fewer than `below` rows per matrix. */
function withFew(target: Target, below: number): Target {
  if (target.matmul.kind !== "registers") throw new Error("forms are of products in registers");
  return { ...target, matmul: { ...target.matmul, few: { below, rows: [1] } } };
}

/** Names of the kernels that are launched for so many tokens. */
const launched = (target: Target, T: number): string[] =>
  compileLayer(layer, target, "f32").program.kernels.flatMap((k) => (isLaunched(k, { T }) ? [k.name] : []));

describe.each([
  ["simd-c", withFew(simdTarget("avx2"), 4)],
  ["wgsl", withFew(wgsl.target("wgsl"), 4)],
] as const)("%s", (_, target) => {
  // Three experts have fewer than 12 rows below 6 tokens, which choose two each; a plain product has fewer than 4 below 4.
  test.each([0, 1, 3, 4, 5, 6, 7, 13])("T = %d agrees with the oracle", (tokens) => {
    expect(() => checkCompilation(compileLayer(layer, target, "f32"), tokens)).not.toThrow();
  });

  test("one kernel of each product is launched", () => {
    const few = (T: number): number => launched(target, T).filter((name) => name.endsWith("_few")).length;
    expect([0, 1, 3, 4, 5, 6].map(few)).toEqual([3, 3, 3, 2, 2, 0]);
    const products = (T: number): number => launched(target, T).filter((name) => name.includes("linear")).length;
    expect([0, 3, 5, 6].map(products)).toEqual([3, 3, 3, 3]);
  });
});

test("a matrix with a known number of rows has one kernel", async () => {
  const known = { ...layer, params: { ...layer.params, T: 3 } };
  const names = compileLayer(known, withFew(wgsl.target("wgsl"), 4), "f32").program.kernels.map((k) => k.name);
  expect(names.filter((name) => name.startsWith("linear")).every((name) => name.endsWith("_few"))).toBe(true);
});

test("on the CPU results are those of the oracle in every case", { timeout: 120_000 }, async () => {
  const simd = await loadBackend("simd-c");
  const { cases } = await checkTarget(layer, simd, withFew(simdTarget("scalar"), 4), "f32", 1);
  expect(cases.map((c) => c.name)).toContain("0 tokens");
  expect(cases.flatMap((c) => c.disagreements)).toEqual([]);
});

test("checking has a case for each kernel", { timeout: 120_000 }, async () => {
  const simd = await loadBackend("simd-c");
  const target = withFew(simdTarget("scalar"), 20);
  const { cases } = await checkTarget(layer, simd, target, "f32", 1);
  // 60 rows for three experts, and 20 for the router.
  expect(cases.map((c) => c.name)).toEqual(expect.arrayContaining(["20 tokens", "30 tokens"]));
  expect(cases.flatMap((c) => c.disagreements)).toEqual([]);
});

/** A program whose kernels, by their sizes, write other numbers. */
const marked = parseProgram(`program @marked (T) params() {
  input x: f32[T, 16]
  output y: f32[T, 16]
  result y = y
${["below 2", "from 2 below 4", "from 4"]
  .map(
    (range, i) => `  kernel @form_${i} origin("map", "a number") (
    read x: f32[T, 16],
    write y: f32[T, 16]
  ) grid(t = T) when T ${range} {
    alloc row: f32[16] in SPACE
    fill row[0:+16] = ${i}.0
    copy y[t, 0:+16] = row[0:+16]
  }
`,
  )
  .join("")}}`);

test.each(targetNames)("%s launches the kernel for the size", { timeout: 120_000 }, async (name) => {
  const backend = await loadBackend(name);
  const target = backend.target(await backend.bestIsa());
  const text = printProgram(marked).replaceAll("SPACE", target.vector.space);
  const loaded = await backend.load(parseProgram(text), target);
  try {
    await loaded.setWeights(new Map());
    for (const T of [0, 1, 2, 3, 4, 9]) {
      const x: Tensor = { dtype: "f32", dims: [T, 16], data: new Float32Array(16 * T) };
      const { outputs } = await loaded.run(new Map([["x", x]]), { T });
      const form = T < 2 ? 0 : T < 4 ? 1 : 2;
      expect(Array.from(outputs.get("y")?.data ?? []), `T = ${T}`).toEqual(new Array(16 * T).fill(form));
    }
  } finally {
    await loaded.close();
  }
});

test("plan.json, modules and explain say which", async () => {
  const target = wgsl.target("wgsl");
  const compilation = compileLayer(layer, target, "f32");
  const plan = JSON.parse((await wgsl.emit(compilation.program, target)).get("plan.json") ?? "");
  const ranges = plan.kernels.flatMap((k: { name: string; when?: unknown }) => (k.when ? [[k.name, k.when]] : []));
  const of = [{ coefficient: 2, factors: ["T"] }];
  expect(ranges).toContainEqual(["grouped_linear_mul_few", { of, from: 0, below: 6 }]);
  expect(ranges).toContainEqual(["grouped_linear_mul", { of, from: 6 }]);
  const sources = await wgsl.kernels(compilation.program, target);
  const texts = [...sources].map(([kernel, { text }]) => [kernel.name, text]);
  expect(Object.fromEntries(texts).grouped_linear_mul_few).toContain("// Launched when 2*T below 6;");
  const { kernels } = await explain(compilation, wgsl, [1, 16]);
  const work = (name: string) => kernels.find((k) => k.name === name)?.work.map((w) => w.flops > 0);
  expect(kernels.find((k) => k.name === "grouped_linear_mul_few")?.grid).toContain("when 2*T below 6");
  expect(work("grouped_linear_mul_few")).toEqual([true, false]);
  expect(work("grouped_linear_mul")).toEqual([false, true]);
});
