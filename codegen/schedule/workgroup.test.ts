// What workgroups compute: products in staged tiles and stripes of k, and routing, at sizes around each tile, in the tile interpreter, which runs lanes up to each
// barrier and tells of elements that one lane touches while another writes them.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compileSource, memoryHost } from "../../ir/frontend/index.ts";
import { parseLayer } from "../../ir/text/index.ts";
import { compileLayer } from "../compile.ts";
import { checkCompilation, sizesFor, tensorsFor } from "../oracle-testing.ts";
import { programWeights } from "../program-weights.ts";
import type { Target } from "../target.ts";
import { workgroupTarget } from "../testing.ts";
import { runProgram, type TypedArray } from "../tile/interpreter.ts";
import { sharesMemory } from "../tile/shape.ts";
import type { Kernel, Statement } from "../tile/types.ts";

const product = (N: number, K: number) =>
  parseLayer(
    `layer @product {N = ${N}, K = ${K}} (input fixed %x: f32[T, K], weight auto %w: f32[N, K]) {
      %y = linear(%x, %w) : f32[T, N]
      return y = %y
    }`,
    "product",
  );
const file = "examples/olmoe.ts";
const source = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
/** Gathered rows, two sums for each result, experts that get 0 to T rows. */
const experts = (H: number, I: number) =>
  compileSource({ host: memoryHost({ [file]: source }), entry: file, params: { H, I, E: 3, K: 2 } });
const heads = parseLayer(
  `layer @heads {A = 3, K = 10, N = 13} (input auto %x: f32[T, A, K], weight auto %w: f32[A, N, K]) {
    %y = head_linear(%x, %w) : f32[T, A, N]
    return y = %y
  }`,
  "heads",
);

const sizes = {
  f32: [10, 9],
  bf16: [10, 9],
  f16: [12, 9],
  q8_0: [96, 32],
  q4_0: [96, 32],
  mxfp4: [96, 32],
} as const;
// Few rows in stripes, two in tiles of registers, from 3 on in staged tiles of 4 and 2 rows.
const rows = [0, 1, 2, 3, 4, 5, 7, 9, 17];

describe("agrees with the oracle", () => {
  // Two panels of four columns in a workgroup; 8 elements of k at a time, and stripes of 4 steps of 4.
  test.each([
    [8, 16],
    [7, 8],
    [9, 17],
    [17, 7],
    [13, 33],
  ])("a product of %i columns and %i inner", (N, K) => {
    const compilation = compileLayer(product(N, K), workgroupTarget, "f32");
    for (const tokens of rows) checkCompilation(compilation, tokens);
  });

  test.each(Object.keys(sizes) as (keyof typeof sizes)[])("experts in %s", async (storage) => {
    const [H, I] = sizes[storage];
    const compilation = compileLayer(await experts(H, I), workgroupTarget, storage);
    for (const tokens of [0, 1, 5, 9, 13]) checkCompilation(compilation, tokens);
  });

  test.each([
    ["q4_k", 512],
    ["fp8", 256],
  ] as const)("a product in %s", (storage, K) => {
    const compilation = compileLayer(product(9, K), workgroupTarget, storage);
    for (const tokens of [1, 5]) checkCompilation(compilation, tokens);
  });

  test("heads", () => {
    const compilation = compileLayer(heads, workgroupTarget, "f32");
    for (const tokens of rows) checkCompilation(compilation, tokens);
  });

  test("activations alone are staged where lanes lie along columns only", async () => {
    const { matmul } = workgroupTarget;
    if (matmul.kind !== "registers") throw new Error("products are in registers");
    const target: Target = {
      ...workgroupTarget,
      matmul: { ...matmul, staged: { from: 2, lanes: [1, 4], rows: [4, 2], depth: 8 } },
    };
    const compilation = compileLayer(await experts(10, 9), target, "f32");
    expect(tilesOf(compilation.program.kernels.find((k) => k.name.endsWith("_many")))).toEqual(["x_tile"]);
    for (const tokens of [5, 9, 13]) checkCompilation(compilation, tokens);
  });
});

const tilesOf = (kernel: Kernel | undefined): string[] =>
  (kernel?.body ?? []).flatMap((s) => (s.kind === "alloc" && s.tile.space === "workgroup" ? [s.tile.name] : []));

/** A list of statements without one of its barriers, for each that it has. */
function withoutOne(list: readonly Statement[]): (readonly Statement[])[] {
  return list.flatMap((s, i) => {
    const put = (made: readonly Statement[]) => [...list.slice(0, i), ...made, ...list.slice(i + 1)];
    if (s.kind === "barrier") return [put([])];
    if (s.kind === "for") return withoutOne(s.body).map((body) => put([{ ...s, body }]));
    if (s.kind === "if") return withoutOne(s.then).map((then) => put([{ ...s, then }]));
    return [];
  });
}

test("without any one of its barriers a kernel races", async () => {
  const compilation = compileLayer(await experts(16, 8), workgroupTarget, "f32");
  const { program } = compilation;
  let found = 0;
  for (const [i, kernel] of program.kernels.entries()) {
    if (!sharesMemory(kernel)) continue;
    const tokens = /_(few|sorted)$/.test(kernel.name) ? 3 : 25;
    const dims = sizesFor(compilation.stored, tokens);
    const tensors = tensorsFor(compilation.stored, tokens);
    const held = programWeights(program, tensors);
    const given = (role: string) =>
      new Map(
        program.buffers
          .filter((b) => b.role === role)
          .map((b) => [b.name, (held.get(b.name) ?? tensors.get(b.name))?.data as TypedArray]),
      );
    const run = (body: readonly Statement[]) => {
      const { when: _, ...always } = kernel;
      const kernels = program.kernels.flatMap((k, at) => (at === i ? [{ ...always, body }] : [k]));
      runProgram({ ...program, kernels }, { weights: given("weight"), inputs: given("input"), dims });
    };
    run(kernel.body);
    const broken = withoutOne(kernel.body);
    found += broken.length;
    for (const body of broken)
      expect(() => run(body), kernel.name).toThrow(
        /by one lane and written by another|by two lanes|before it has a value/,
      );
  }
  expect(found).toBeGreaterThan(13);
});
