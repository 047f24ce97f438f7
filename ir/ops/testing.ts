import { f32ToBf16 } from "../core/float16.ts";
import type { AttributeMap, Region, Value } from "../core/layer.ts";
import type { Tensor } from "../core/tensor.ts";
import { tensorType } from "../core/types.ts";
import type { ChoiceOutcome } from "./definition.ts";
import { opDefinition } from "./index.ts";
import { count } from "./reals.ts";

/** What the tests of several rooms share: seeded numbers, small tensors, one operation by itself. */

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
export function uniform(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Standard normal numbers (Box and Muller). */
export const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

export const f32Tensor = (dims: readonly number[], values: ArrayLike<number>): Tensor => ({
  dtype: "f32",
  dims,
  data: Float32Array.from(values),
});

export const i32Tensor = (dims: readonly number[], values: ArrayLike<number>): Tensor => ({
  dtype: "i32",
  dims,
  data: Int32Array.from(values),
});

export const bf16Tensor = (dims: readonly number[], values: ArrayLike<number>): Tensor => ({
  dtype: "bf16",
  dims,
  data: Uint16Array.from(values, f32ToBf16),
});

export const randomF32 = (dims: readonly number[], random: () => number, scale = 1): Tensor =>
  f32Tensor(
    dims,
    Array.from({ length: count(dims) }, () => scale * normal(random)),
  );

/** Runs one operation on tensors, after its verifier has passed their types. */
export function evaluateOp(
  op: string,
  operands: readonly Tensor[],
  attributes: AttributeMap,
  options: {
    readonly choice?: Int32Array;
    readonly regions?: readonly Region[];
    readonly runRegion?: (region: Region, args: readonly Tensor[]) => readonly Tensor[];
  } = {},
): { readonly results: readonly Tensor[]; readonly outcome: ChoiceOutcome | undefined } {
  const definition = opDefinition(op);
  const regions = options.regions ?? [];
  const types = definition.infer(
    operands.map((t) => tensorType(t.dtype, t.dims)),
    attributes,
    regions,
  );
  const values: Value[] = types.map((type, i) => ({ name: `r${i}`, type }));
  let outcome: ChoiceOutcome | undefined;
  const results = definition.evaluate(operands, attributes, regions, {
    dims: {},
    results: values,
    runRegion: options.runRegion ?? (() => []),
    choice: () => ({
      given: options.choice,
      trusted: false,
      report: (o) => {
        outcome = o;
      },
    }),
  });
  return { results, outcome };
}

export const numbers = (t: Tensor): number[] => Array.from(t.data);
