/** Bits per element of every dtype that the format knows. */
export const DTYPE_BITS = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  U16: 16,
  I16: 16,
  U32: 32,
  I32: 32,
  U64: 64,
  I64: 64,
  F16: 16,
  BF16: 16,
  F32: 32,
  F64: 64,
  C64: 64,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const;

/** The name of an element type in a safetensors file. */
export type Dtype = keyof typeof DTYPE_BITS;

export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(DTYPE_BITS, name);
}

/**
 * The size in bytes of a tensor; a shape of [] has one element.
 * @returns undefined when it is no whole number of bytes (4- and 6-bit dtypes) or beyond 2^53
 */
export function tensorBytes(dtype: Dtype, shape: readonly number[]): number | undefined {
  // A product of huge dimensions is still 0 when one of them is.
  const elements = shape.includes(0) ? 0 : shape.reduce((product, dimension) => product * dimension, 1);
  const bits = elements * DTYPE_BITS[dtype];
  return Number.isSafeInteger(bits) && bits % 8 === 0 ? bits / 8 : undefined;
}
