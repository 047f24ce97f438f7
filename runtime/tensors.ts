import { encodeBlocks, isBlockFormat } from "../ir/core/block-formats.ts";
import { bf16ToF32, encodeBf16, encodeF16, f16ToF32 } from "../ir/core/float16.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { type DType, isFloat } from "../ir/core/types.ts";
import { realsOf } from "../ir/ops/reals.ts";

/** The elements of a float tensor as numbers; without a copy where they already are. */
export function toFloats(tensor: Tensor): Float32Array | Float64Array {
  const { data, dtype } = tensor;
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  if (data instanceof Uint8Array && isBlockFormat(dtype)) return realsOf(tensor);
  const decode = dtype === "bf16" ? bf16ToF32 : dtype === "f16" ? f16ToF32 : Number;
  return Float32Array.from(data, decode);
}

/** A tensor of a float dtype from f32 numbers, rounded to nearest even; or of a block format, as its published bytes. */
export function fromFloats(values: Float32Array, dims: readonly number[], dtype: DType): Tensor {
  if (isBlockFormat(dtype)) return { dtype, dims, data: encodeBlocks(dtype, values, dims) };
  if (!isFloat(dtype) || dtype === "f32") return { dtype: "f32", dims, data: values };
  const data = new Uint16Array(values.length);
  (dtype === "bf16" ? encodeBf16 : encodeF16)(values, data);
  return { dtype, dims, data };
}

/** Rows of a tensor along its first dimension, copied. */
export function takeRows(tensor: Tensor, rows: readonly number[]): Tensor {
  const [, ...rest] = tensor.dims;
  const width = rest.reduce((a, b) => a * b, 1);
  const data = tensor.data.slice(0, rows.length * width);
  rows.forEach((row, i) => {
    data.set(tensor.data.subarray(row * width, (row + 1) * width), i * width);
  });
  return { dtype: tensor.dtype, dims: [rows.length, ...rest], data };
}
