// The descriptions of SIMD C that `unmoor tune` chooses from: all compute the same bits, and each is another schedule.
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { simdTarget, simdTunings } from "../backends/simd-c/targets.ts";
import { seededInputs, seededWeights } from "../bench/measure.ts";
import { type Compilation, compileLayer } from "../codegen/compile.ts";
import { programWeights } from "../codegen/program-weights.ts";
import { balancedRows } from "../codegen/schedule/balance.ts";
import type { RegisterMatmul, Storage, Target } from "../codegen/target.ts";
import { runProgram, type TypedArray } from "../codegen/tile/interpreter.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { readLayer } from "../runtime/source.ts";
import { installFolder } from "../runtime/version.ts";

const file = join(installFolder(), "examples", "olmoe.ts");
const layer = await readLayer({ file, params: { H: 64, I: 64, E: 4, K: 2 }, cache: undefined });
const tokens = 13;
/** Interpreting a layer takes a moment: the rest is in the long run. */
const all = process.env.UNMOOR_TEST_ALL === "1";

const matmulOf = ({ matmul }: Target): RegisterMatmul => {
  if (matmul.kind !== "registers") throw new Error("SIMD C multiplies in registers");
  return matmul;
};
const arrays = (tensors: ReadonlyMap<string, Tensor>): Map<string, TypedArray> =>
  new Map([...tensors].map(([name, { data }]) => [name, data as TypedArray]));

function outputOf(compiled: Compilation): TypedArray | undefined {
  const { program } = compiled;
  const weights = arrays(programWeights(program, seededWeights(compiled, 1)));
  const inputs = arrays(seededInputs(compiled, tokens, 1));
  return runProgram(program, { weights, inputs, dims: { T: tokens } }).get(program.results[0]?.buffer ?? "");
}

describe.each(["avx2", "avx512-vnni", "avx512-bf16"])("%s", (isa) => {
  const [usual, tunings] = [simdTarget(isa), simdTunings(isa)];

  test("each has a name of its own and differs from the default", () => {
    expect(usual.tuning).toBeUndefined();
    expect(new Set(tunings.map((t) => t.tuning)).size).toBe(tunings.length);
    const described = [usual, ...tunings].map(({ tuning: _, ...rest }) => JSON.stringify(rest));
    expect(new Set(described).size).toBe(described.length);
  });

  const tried = all ? tunings : tunings.filter((t) => !t.tuning?.includes(","));
  test.skipIf(!all && isa !== "avx2").each<Storage>(["f32", "q8_0"])("%s: all give the same bits", (storage) => {
    const expected = outputOf(compileLayer(layer, usual, storage));
    expect(expected?.some((x) => x !== 0)).toBe(true);
    for (const target of tried) expect(outputOf(compileLayer(layer, target, storage)), target.tuning).toEqual(expected);
  });
});

test("the balance of arithmetic and memory follows the instructions and the bytes of weights", () => {
  const rows = (isa: string, storage: Storage) => {
    const matmul = matmulOf(simdTarget(isa));
    return matmul.prefetch?.kind === "next panel" ? balancedRows(matmul, matmul.prefetch, storage) : undefined;
  };
  // 32 columns of 4 bytes take 25.6 cycles at 5 bytes per cycle, and a row two of 1 cycle.
  expect(rows("avx512-bf16", "f32")).toBe(13);
  // Half the bytes for the same instructions; then instructions for twice the elements.
  expect([rows("neon", "bf16"), rows("avx512-bf16", "bf16")]).toEqual([7, 13]);
  // Whole numbers by VNNI, and by several instructions.
  expect(rows("avx512-bf16", "q8_0")).toBeGreaterThan(2 * (rows("avx2", "q8_0") ?? 0));
  expect(rows("avx2", "q4_0")).toBeLessThan(rows("avx2", "f32") ?? 0);
});

test("several tiles share the next panel, and one looks ahead", () => {
  const kernels = JSON.stringify(compileLayer(layer, simdTarget("avx512-vnni"), "f32").program.kernels);
  expect(kernels).toContain('"streams_apart"');
  expect(kernels).toContain('"unroll":8');
  expect(JSON.stringify(compileLayer(layer, simdTarget("avx512-bf16"), "f32").program.kernels)).not.toContain(
    "fetched",
  );
});

test("single rows look ahead where weights take many instructions", () => {
  const aheads = (target: Target, storage: Storage) =>
    new Set(
      [
        ...JSON.stringify(compileLayer(layer, target, storage).program.kernels).matchAll(
          /"ahead":\{[^{}]*?"value":(\d+)/g,
        ),
      ].map((m) => m[1]),
    );
  const avx2 = simdTarget("avx2");
  // Bytes ahead, in elements of two bytes and of one; and scales by a panel: two blocks of 16 columns.
  expect([...aheads(avx2, "bf16")]).toEqual(["1024"]);
  expect([...aheads(avx2, "q8_0")].sort()).toEqual(["2048", "32"]);
  expect([...aheads(avx2, "f32"), ...aheads(simdTarget("avx512-bf16"), "bf16")]).toEqual([]);
  expect([...aheads(simdTarget("avx512-vnni"), "f32")]).toEqual(["1024"]);
  const tuned = (name: string) => simdTunings("avx2").find((t) => t.tuning === name) ?? avx2;
  expect([...aheads(tuned("ahead never"), "bf16"), ...aheads(tuned("prefetch never"), "bf16")]).toEqual([]);
});
