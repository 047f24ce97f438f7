import { type RopeScaling, ropeParameters } from "../ops/rope-frequencies.ts";
import { concrete, type EagerTensor, evaluateOne } from "./tensor.ts";
import type { DimName, Dims, Tensor } from "./types.ts";

export interface RopeOptions {
  /** The base of the frequencies theta^(−2i / rotary), such as 10000. */
  readonly theta: number;
  /** Pairs of dimensions half of the rotated ones apart (default), or neighbours. */
  readonly style?: "half" | "interleaved";
  /** How many dimensions are rotated, an even number. Default: all from `start` on. */
  readonly rotary?: number;
  /** The first rotated dimension. Default 0. */
  readonly start?: number;
  /** Frequencies for contexts longer than those of the training. */
  readonly scaling?: RopeScaling | undefined;
}

/** `unknown` where x can be rotated, else the message that the editor shows. */
type RopeFits<D extends Dims> = D extends readonly [DimName, DimName] | readonly [DimName, DimName, DimName]
  ? unknown
  : "rope rotates [T, D] or [T, A, D]";

/**
 * Rotary embedding: rotates pairs of the dimensions of x [T, D] or [T, A, D] by position · frequency, in every head alike. The
 * dimensions that are not rotated stay.
 */
export function rope<D extends Dims>(
  x: Tensor<D> & RopeFits<D>,
  positions: Tensor<readonly [D[0] & DimName], "i32">,
  options: RopeOptions,
): Tensor<D, "f32"> {
  const { theta, style = "half", start = 0, scaling } = options;
  const tokens = concrete(x, "the tensor of rope");
  const rotary = options.rotary ?? (tokens.dims.at(-1) ?? 0) - start;
  const { frequencies, factor } = ropeParameters(rotary, theta, scaling);
  const operands: EagerTensor[] = [
    tokens,
    concrete(positions, "the positions of rope"),
    evaluateOne("constant", [], { values: frequencies }),
  ];
  return evaluateOne("rope", operands, { style, start, factor }) as unknown as Tensor<D, "f32">;
}
