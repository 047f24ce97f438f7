import type { AttributeMap } from "../core/layer.ts";
import type { Reduction } from "../ops/reduce.ts";
import { concrete, type EagerTensor, evaluateOne } from "./tensor.ts";
import type { Tensor as Typed } from "./tensor-type.ts";
import type { AnyTensor, Dims, Init, Join, Last, SameDim, Tensor } from "./types.ts";

/** What works along the last dimension of a tensor: on its rows. */

/** What the functions below give is concrete; the type system sees it as symbolic. */
const symbolic = <D extends Dims>(t: EagerTensor): Tensor<D, "f32"> => t as unknown as Tensor<D, "f32">;

const reduced = <D extends Dims>(name: string, kind: Reduction, x: Tensor<D>): Tensor<[...Init<D>, 1], "f32"> =>
  symbolic(evaluateOne("reduce", [concrete(x, `the operand of ${name}`)], { kind }));

/** The sum over the last dimension, which becomes 1. */
export function sum<D extends Dims>(x: Tensor<D>): Tensor<[...Init<D>, 1], "f32"> {
  return reduced("sum", "sum", x);
}

/** The mean over the last dimension, which becomes 1. */
export function mean<D extends Dims>(x: Tensor<D>): Tensor<[...Init<D>, 1], "f32"> {
  return reduced("mean", "mean", x);
}

/** The largest element of the last dimension, which becomes 1. */
export function amax<D extends Dims>(x: Tensor<D>): Tensor<[...Init<D>, 1], "f32"> {
  return reduced("amax", "max", x);
}

/** The smallest element of the last dimension, which becomes 1. */
export function amin<D extends Dims>(x: Tensor<D>): Tensor<[...Init<D>, 1], "f32"> {
  return reduced("amin", "min", x);
}

/** `unknown` where W is a vector as long as the rows of D, else the message that the editor shows. */
type VectorFits<D extends Dims, W extends Dims> = W extends readonly [infer N extends Dims[number]]
  ? SameDim<Last<D>, N> extends true
    ? unknown
    : `dimensions differ: rows of ${Last<D>} vs a vector of ${N}`
  : `a vector has 1 dimension, found [${Join<W>}]`;

export interface RmsNormOptions<D extends Dims, W extends Dims> {
  /** Multiplies each element of a row: a vector [N]. */
  readonly weight?: Tensor<W> & VectorFits<D, W>;
  /** Added to the mean of the squares. */
  readonly epsilon: number;
  /** Weights count from 1: rows are multiplied by 1 + weight. Default false. */
  readonly unitOffset?: boolean;
}

/** Rows divided by their root mean square: x / √(mean(x²) + epsilon), times weight. */
export function rmsNorm<D extends Dims, const W extends Dims = Dims>(
  x: Tensor<D>,
  options: RmsNormOptions<D, W>,
): Tensor<D, "f32"> {
  const { weight, epsilon, unitOffset = false } = options;
  return normed("rmsNorm", x, { kind: "rms", epsilon, offset: unitOffset ? 1 : 0 }, { weight });
}

export interface LayerNormOptions<D extends Dims, W extends Dims, B extends Dims> {
  /** Multiplies each element of a row: a vector [N]. */
  readonly weight?: Tensor<W> & VectorFits<D, W>;
  /** Added to each element of a row, at the end: a vector [N]. */
  readonly bias?: Tensor<B> & VectorFits<D, B>;
  /** Added to the variance. */
  readonly epsilon: number;
}

/** Rows less their mean, divided by their deviation: (x − mean) / √(variance + epsilon), times weight, plus bias. */
export function layerNorm<D extends Dims, const W extends Dims = Dims, const B extends Dims = Dims>(
  x: Tensor<D>,
  options: LayerNormOptions<D, W, B>,
): Tensor<D, "f32"> {
  const { weight, bias, epsilon } = options;
  return normed("layerNorm", x, { kind: "layer", epsilon }, { weight, bias });
}

function normed<D extends Dims>(
  name: string,
  x: Tensor<D>,
  attributes: AttributeMap,
  vectors: Readonly<Record<string, unknown>>,
): Tensor<D, "f32"> {
  const given = Object.entries(vectors).filter(([, v]) => v !== undefined);
  const operands = given.map(([which, v]) => concrete(v, `the ${which} of ${name}`));
  const names = given.length === 0 ? {} : { with: given.map(([which]) => which) };
  return symbolic(
    evaluateOne("norm", [concrete(x, `the operand of ${name}`), ...operands], { ...attributes, ...names }),
  );
}

/** exp(x) divided by its sum over the last dimension. */
export function softmax<D extends Dims>(x: Tensor<D>): Tensor<D, "f32"> {
  return symbolic(evaluateOne("softmax", [concrete(x, "the operand of softmax")], {}));
}

/** Each element is the sum of those of the last dimension up to it; of i32 in whole numbers. */
export function cumsum<D extends Dims>(x: Tensor<D, "i32">): Tensor<D, "i32">;
export function cumsum<D extends Dims>(x: Tensor<D>): Tensor<D, "f32">;
export function cumsum<D extends Dims>(x: AnyTensor<D>): AnyTensor<D> {
  const sums: unknown = evaluateOne("cumsum", [concrete(x, "the operand of cumsum")], {});
  return sums as AnyTensor<D>;
}

/**
 * The index of the largest element of the last dimension, the lowest among equals: of logits [T, V] the ids [T]. Where rounding may
 * change which is largest, targets may give any of those.
 */
export function argMax<D extends Dims>(x: Tensor<D>): Typed<Init<D>, "i32"> {
  const ids: unknown = evaluateOne("arg_max", [concrete(x, "the operand of argMax")], {});
  return ids as Typed<Init<D>, "i32">;
}
