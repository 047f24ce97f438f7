import { encodeBlocks, isBlockFormat } from "../ir/core/block-formats.ts";
import { bf16ToF32, f32ToBf16, f32ToF16 } from "../ir/core/float16.ts";
import type { Layer } from "../ir/core/layer.ts";
import type { Tensor, TensorStorage } from "../ir/core/tensor.ts";
import { interpret } from "../ir/interpreter/index.ts";
import { choosersOf } from "../ir/ops/index.ts";
import type { Compilation } from "./compile.ts";
import { programWeights } from "./program-weights.ts";
import { runProgram } from "./tile/interpreter.ts";

/** For tests: compiled kernels held against the oracle, in the tile interpreter. */

/** Multiples of 1/64 in (-1, 1), by a linear congruence. */
function random(count: number, seed: number): Float32Array {
  let state = seed * 2654435761 + 12345;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 25) - 64) / 64;
  });
}

/** Sizes of a layer's run-time symbols: T tokens, and of others another number, which is 0 for some numbers of tokens. */
export function sizesFor(layer: Layer, tokens: number): Readonly<Record<string, number>> {
  const symbols = layer.args.flatMap((a) => a.value.type.dims.flatMap((d) => d.substitute(layer.params).symbols));
  return Object.fromEntries([...new Set(symbols)].map((s) => [s, s === "T" ? tokens : (tokens * 2) % 7]));
}

/** Tensors for all arguments of a layer, the same at each call. */
export function tensorsFor(layer: Layer, tokens: number): Map<string, Tensor> {
  const sizes = { ...layer.params, ...sizesFor(layer, tokens) };
  return new Map<string, Tensor>(
    layer.args.map(({ value }, i): [string, Tensor] => {
      const dims = value.type.dims.map((d) => d.evaluate(sizes));
      if (value.type.dtype === "i32") {
        // Ids of tokens and of experts: small enough to exist.
        const data = Int32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, n) => (n * 7) % 3);
        return [value.name, { dtype: "i32", dims, data }];
      }
      const values = random(
        dims.reduce((a, b) => a * b, 1),
        i + 1,
      );
      const { dtype } = value.type;
      const data = isBlockFormat(dtype) ? encodeBlocks(dtype, values, dims) : values;
      const narrow = dtype === "bf16" ? f32ToBf16 : dtype === "f16" ? f32ToF16 : undefined;
      return [value.name, { dtype, dims, data: narrow ? Uint16Array.from(values, narrow) : data }];
    }),
  );
}

/** Runs the kernels in the tile interpreter and holds them against the oracle. Throws where they differ by more than rounding. */
export function checkCompilation(compilation: Compilation, tokens: number): void {
  const { stored, rounded, program } = compilation;
  const tensors = tensorsFor(stored, tokens);
  const dims = sizesFor(stored, tokens);
  const held = programWeights(program, tensors);
  const given = (role: string) =>
    new Map(
      program.buffers.filter((b) => b.role === role).map((b) => [b.name, held.get(b.name)?.data as Float32Array]),
    );
  const buffers = runProgram(program, { weights: given("weight"), inputs: given("input"), dims });
  const named = (layer: Layer, chosen: (i: number) => TensorStorage | undefined) =>
    new Map(choosersOf(layer.body).map((o, i) => [o.results[0].name, chosen(i) as Int32Array]));
  const made = named(rounded, (i) => buffers.get(program.choices[i].ids) as Int32Array);
  const bounds = interpret(rounded, { dims, tensors, choices: made });
  const followed = named(stored, (i) => bounds.choices[i].results[0].data);
  const exact = interpret(stored, { dims, tensors, choices: followed, trusted: true });
  for (const { name, outcome } of bounds.choices)
    if (outcome.wrong.length > 0)
      throw new Error(`${name}: rows ${outcome.wrong} chose what rounding does not explain`);
  for (const { name, buffer } of program.results) {
    const want = exact.results.get(name);
    const bound = bounds.results.get(name)?.bound;
    const raw = buffers.get(buffer) as Float32Array;
    const isBf16 = program.buffers.find((b) => b.name === buffer)?.dtype === "bf16";
    const got = isBf16 ? Float32Array.from(raw, bf16ToF32) : raw;
    if (got.length !== want?.data.length)
      throw new Error(`${name} has ${got.length} elements, expected ${want?.data.length}`);
    got.forEach((value, i) => {
      const error = Math.abs(value - (want?.data[i] ?? Number.NaN));
      if (!(error <= (bound?.[i] ?? 0)))
        throw new Error(`${name}[${i}]: ${want?.data[i]} ± ${bound?.[i]} expected, ${value} found`);
    });
  }
}
