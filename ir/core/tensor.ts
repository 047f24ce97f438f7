import type { DType, ElementType } from "./types.ts";

/** Storage of a tensor's elements. bf16, f16 and f8 are held as their bits; bool as 0 or 1; block formats as their published bytes. */
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

/** The arrays that hold elements of each type outside the interpreter. */
export const elementArrays = {
  f32: Float32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  f8: Uint8Array,
  i32: Int32Array,
  u32: Uint32Array,
  i8: Int8Array,
  u8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<ElementType, unknown>;
