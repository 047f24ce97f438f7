import type { DType } from "./types.ts";

/** Storage of a tensor's elements. bf16 and f16 are held as their 16 bits; bool as 0 or 1. */
export type TensorStorage =
  | Float64Array
  | Float32Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Int8Array
  | Uint8Array;

/**
 * A tensor with concrete dimensions, row-major. Floats that the interpreter makes are Float64Array, whatever the dtype:
 * the oracle computes with reals, and `bound` says how far an implementation that rounds may be from them.
 */
export interface Tensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: TensorStorage;
  /** Largest error of each element; absent means exact. Of floats, and of whole numbers that were cast from them. */
  readonly bound?: Float64Array;
}
