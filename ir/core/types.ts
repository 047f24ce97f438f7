import { Dim } from "./dim.ts";

/** Element types. `index` values are i32. Floats f16 and bf16 say how far an implementation may round (DESIGN section 6). */
export const dtypes = ["f32", "f16", "bf16", "i32", "u32", "i8", "u8", "bool"] as const;
export type DType = (typeof dtypes)[number];

export const dtypeBytes = { f32: 4, f16: 2, bf16: 2, i32: 4, u32: 4, i8: 1, u8: 1, bool: 1 } satisfies Record<
  DType,
  number
>;

export const isFloat = (dtype: DType): dtype is "f32" | "f16" | "bf16" =>
  dtype === "f32" || dtype === "f16" || dtype === "bf16";

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
