import {
  type BlockFormat,
  type BlockFormatName,
  decodeBlocks,
  formatOf,
  isBlockFormat,
} from "../core/block-formats.ts";
import { IrError } from "../core/diagnostic.ts";
import { bf16ToF32, decodeBf16, decodeF16, f16ToF32 } from "../core/float16.ts";
import type { Tensor, TensorStorage } from "../core/tensor.ts";
import { type DType, isFloat, tensorBytes, unitRoundoff } from "../core/types.ts";

/**
 * Numbers of the reference meanings: reals in f64, each with a bound on the error of an implementation that works in f32.
 *
 * Terms: u = 2^-24 is the unit roundoff of f32. A sum or dot product over n terms, in any order, with or without fused
 * multiply-add, is off by at most n·u·Σ|aᵢ·bᵢ| (Jeannerod and Rump 2013, "Improved error bounds for inner products in
 * floating-point arithmetic"). At the widths of real layers that worst case is so far from what happens that a wrong kernel
 * would pass. Rounding errors of different elements are taken as independent of each other, as they are on seeded data:
 * then n becomes λ·√n, and errors of operands add by their squares (Higham and Mary 2019, "A new approach to probabilistic
 * rounding error analysis"). By Hoeffding's inequality a right result exceeds such a bound with a probability of at most
 * 2·exp(−λ²/2), for errors spread evenly over their range far less.
 */

/** λ: how many times the standard length of a random walk a sum of errors may reach. 4·√3 standard deviations of even rounding errors. */
export const confidence = 4;

export const u32 = unitRoundoff.f32;
/** Results below the smallest normal f32 may flush to zero. */
export const tiny32 = 2 ** -126;
/** Room for the rounding of the oracle's own f64 arithmetic, per operation. */
export const slack = 2 ** -50;

/** From this length on, errors of a sum add as a random walk: below it the worst case is smaller. */
export const isLong = (n: number): boolean => n > confidence ** 2;

/** Relative error of a sum of products over `n` terms. */
export const gamma = (n: number): number => (isLong(n) ? confidence * Math.sqrt(n + 2) : n + 2) * (u32 + slack);

/** A float tensor of the interpreter. An absent bound means exact. */
export const floats = (dtype: DType, dims: readonly number[], data: Float64Array, bound?: Float64Array): Tensor =>
  bound === undefined ? { dtype, dims, data } : { dtype, dims, data, bound };

export const integers = (dims: readonly number[], data: Int32Array): Tensor => ({ dtype: "i32", dims, data });

export const count = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** Writes the reals behind a row of `length` stored elements from `start` on into `out`. */
export function decodeInto(
  data: TensorStorage,
  dtype: DType,
  start: number,
  length: number,
  out: Float64Array,
  scratch: Float32Array,
): void {
  if (data instanceof Uint16Array && (dtype === "bf16" || dtype === "f16")) {
    const part = scratch.subarray(0, length);
    (dtype === "bf16" ? decodeBf16 : decodeF16)(data.subarray(start, start + length), part);
    out.set(part);
  } else if (data instanceof Uint8Array && isBlockFormat(dtype)) {
    decodeBlocks(formatOf(dtype, length), data, start, length, out);
  } else {
    out.set(data.subarray(start, start + length));
  }
}

/** The reals of a float tensor; shares memory with it where it already holds f64. */
export function realsOf(t: Tensor): Float64Array {
  if (t.data instanceof Float64Array) return t.data;
  if (t.data instanceof Uint8Array && isBlockFormat(t.dtype)) {
    const decoded = new Float64Array(count(t.dims));
    decodeBlocks(formatOf(t.dtype, t.dims.at(-1) ?? 0), t.data, 0, decoded.length, decoded);
    return decoded;
  }
  const out = new Float64Array(t.data.length);
  const convert =
    t.data instanceof Uint16Array && t.dtype !== "u8" ? (t.dtype === "bf16" ? bf16ToF32 : f16ToF32) : Number;
  for (let i = 0; i < out.length; i++) out[i] = convert(t.data[i]);
  return out;
}

export function intsOf(t: Tensor): Int32Array {
  if (!(t.data instanceof Int32Array)) throw new IrError(`an ${t.dtype} tensor is not i32`, "Give an i32 tensor.");
  return t.data;
}

/** Half the distance of subnormal numbers of f16; and what flushing to zero may lose in f32 and bf16. */
const absoluteRounding = { f32: tiny32, bf16: tiny32, f16: 2 ** -25 } as const;
const largest = { f32: 3.4028234663852886e38, bf16: 3.3895313892515355e38, f16: 65504 } as const;

/**
 * Bounds after rounding to `dtype`: adds its unit roundoff (relative to the largest value the machine may hold), and is
 * infinite where that value overflows the type. Values already held to f32 are not rounded again by f32.
 * @param row elements of a row, which blocks lie in
 */
export function roundedBound(
  values: Float64Array,
  bound: Float64Array | undefined,
  dtype: DType,
  row: number,
): Float64Array {
  if (isBlockFormat(dtype)) return blockBound(values, bound, formatOf(dtype, row), dtype);
  if (!isFloat(dtype)) throw new IrError(`${dtype} is not a float type`, "Round to f32, f16 or bf16.");
  const out = new Float64Array(values.length);
  const roundoff = unitRoundoff[dtype];
  for (let i = 0; i < out.length; i++) {
    const e = bound?.[i] ?? 0;
    const reach = Math.abs(values[i]) + e;
    out[i] =
      reach > largest[dtype] * (1 + roundoff)
        ? Number.POSITIVE_INFINITY
        : e + roundoff * reach + absoluteRounding[dtype];
  }
  return out;
}

/**
 * Bounds after rounding to a block format: half a step of the block's scale, which its largest element sets, and the rounding of
 * the scale itself: to f32 where an implementation converts activations. Blocks of smaller numbers may become zeros, for their
 * scale has no inverse in f32.
 */
const flushed = 2 ** -119;
function blockBound(
  values: Float64Array,
  bound: Float64Array | undefined,
  { elements, error }: BlockFormat,
  name: BlockFormatName,
): Float64Array {
  if (error === undefined) throw new IrError(`no op rounds to ${name}`, "Store weights in it.");
  const out = new Float64Array(values.length);
  for (let from = 0; from < values.length; from += elements) {
    let extreme = 0;
    for (let i = from; i < from + elements; i++) extreme = Math.max(extreme, Math.abs(values[i]) + (bound?.[i] ?? 0));
    const rounding = error(extreme) * (1 + 2 * 256 * 4 * u32) + flushed;
    for (let i = from; i < from + elements; i++) out[i] = (bound?.[i] ?? 0) + rounding;
  }
  return out;
}

/** A part of a tensor along its first dimension, without copying. */
export function slice(t: Tensor, index: number): Tensor {
  const dims = t.dims.slice(1);
  const size = count(dims);
  const length = t.data instanceof Uint8Array && isBlockFormat(t.dtype) ? tensorBytes(t.dtype, dims) : size;
  const data = t.data.subarray(index * length, (index + 1) * length);
  return t.bound === undefined
    ? { dtype: t.dtype, dims, data }
    : { dtype: t.dtype, dims, data, bound: t.bound.subarray(index * size, (index + 1) * size) };
}

/** Rows `rows` of x [m, k] as a new tensor [rows.length, k]; a row of −1 is unspecified (NaN). */
export function gatherRows(x: Tensor, rows: ArrayLike<number>): Tensor {
  const k = x.dims.at(-1) ?? 1;
  const data = new Float64Array(rows.length * k);
  const bound = x.bound === undefined ? undefined : new Float64Array(data.length);
  const scratch = new Float32Array(k);
  const row = new Float64Array(k);
  for (let i = 0; i < rows.length; i++) {
    const r = rows[i];
    if (r < 0) {
      data.fill(Number.NaN, i * k, (i + 1) * k);
    } else {
      decodeInto(x.data, x.dtype, r * k, k, row, scratch);
      data.set(row, i * k);
      if (bound !== undefined && x.bound !== undefined) bound.set(x.bound.subarray(r * k, (r + 1) * k), i * k);
    }
  }
  return floats(x.dtype, [rows.length, k], data, bound);
}
