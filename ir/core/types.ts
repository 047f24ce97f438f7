import { type BlockFormatName, blockFormatNames, formatOf, hasWholeRows, isBlockFormat } from "./block-formats.ts";
import { Dim } from "./dim.ts";

/** Types of single elements in memory. f8 is E4M3, which only codes of weights are. */
export const elementTypes = ["f32", "f16", "bf16", "f8", "i32", "u32", "i8", "u8", "bool"] as const;
export type ElementType = (typeof elementTypes)[number];

/** Those that authors give tensors. Kernels have the others inside: codes of block formats, masks. */
export const authorTypes = ["f32", "f16", "bf16", "i32"] as const satisfies readonly ElementType[];
export type AuthorType = (typeof authorTypes)[number];

/**
 * Types of tensors. `index` values are i32. Floats f16 and bf16, and the block formats, say how far an implementation may round
 * (DESIGN section 6). A block format is a storage of f32 numbers, in blocks along the last dimension.
 */
export type DType = ElementType | BlockFormatName;
export const dtypes: readonly DType[] = [...elementTypes, ...blockFormatNames];

/** Bytes of an element; of a block format, its share of the block, where that is a row without the scale. */
export const dtypeBytes: Readonly<Record<DType, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  f8: 1,
  i32: 4,
  u32: 4,
  i8: 1,
  u8: 1,
  bool: 1,
  ...(Object.fromEntries(
    blockFormatNames.map((name) => {
      const { bytes, elements } = formatOf(name, 1);
      return [name, hasWholeRows(name) ? 1 : bytes / elements];
    }),
  ) as Record<BlockFormatName, number>),
};

/** Bytes of a tensor. */
export function tensorBytes(dtype: DType, dims: readonly number[]): number {
  const count = dims.reduce((a, b) => a * b, 1);
  const row = dims.at(-1) ?? 1;
  if (!isBlockFormat(dtype) || row === 0) return count * dtypeBytes[dtype];
  const { bytes, elements } = formatOf(dtype, row);
  return (count / elements) * bytes;
}

/** Whether a type stands for real numbers: a float, or a block format. */
export const isReal = (dtype: DType): dtype is "f32" | "f16" | "bf16" | BlockFormatName =>
  isFloat(dtype) || isBlockFormat(dtype);

export const isFloat = (dtype: DType): dtype is "f32" | "f16" | "bf16" =>
  dtype === "f32" || dtype === "f16" || dtype === "bf16";

/** Whether elements in memory are read as real numbers. */
export const isFloatElement = (dtype: ElementType): boolean => dtype === "f8" || isFloat(dtype);

/** Unit roundoff: the largest relative error of one rounding to the nearest value of the type. */
export const unitRoundoff = { f32: 2 ** -24, f16: 2 ** -11, bf16: 2 ** -8 } as const;

/** A dense row-major tensor: f32[T, H]. A scalar has no dimensions. */
export interface TensorType {
  readonly dtype: DType;
  readonly dims: readonly Dim[];
}

export const tensorType = (dtype: DType, dims: readonly (Dim | number | string)[]): TensorType => ({
  dtype,
  dims: dims.map((d) => Dim.of(d)),
});

export const typesEqual = (a: TensorType, b: TensorType): boolean =>
  a.dtype === b.dtype && a.dims.length === b.dims.length && a.dims.every((d, i) => d.equals(b.dims[i] as Dim));

export const formatType = (t: TensorType): string => `${t.dtype}[${t.dims.join(", ")}]`;

/** Number of elements, as a dimension. */
export const elementCount = (t: TensorType): Dim => t.dims.reduce((a, b) => a.times(b), Dim.of(1));
