/** An array beside the codes of a weight, one number for each `every` elements of a row. */
export interface BlockPart {
  /** Of its buffer's name. */
  readonly suffix: string;
  readonly dtype: "f32" | "f16" | "bf16" | "u8" | "i8";
  readonly every: number;
}

/**
 * Storage of weights in blocks along the last dimension: small codes that share scales. A block's published bytes are what
 * tensors hold; kernels read its codes and scales apart. An element is scale · (code − offset) − minimum.
 */
export interface BlockFormat {
  /** Elements of one block. The last dimension is a multiple of it. */
  readonly elements: number;
  /** Published bytes of one block. */
  readonly bytes: number;
  /**
   * Codes as kernels read them: whole numbers of 8 bits, or of 4, two in a byte: element i of a step in the low half of byte i,
   * i + step/2 in the high half. Or E4M3 numbers.
   */
  readonly codes: "u8" | "u4" | "f8";
  /** Elements whose products are summed before they are scaled; as many as scales are shared by at least. */
  readonly step: number;
  /** What is taken from a code before it is scaled. */
  readonly offset: number;
  /** What each code of 4 bits stands for, plus the offset; absent where that is the code. */
  readonly values?: readonly number[];
  /** The parts whose product is the scale. */
  readonly scales: readonly BlockPart[];
  /** The parts whose product is the minimum. */
  readonly mins: readonly BlockPart[];
  /** Rows that share a scale, where those of one block are rounded together. */
  readonly rows?: number;
  /** The largest error of rounding to the format where the block's largest magnitude is `extreme`. Only where activations are rounded to it. */
  error?(extreme: number): number;
  /** Rounds the elements from `from` on to the published bytes from `at` on. @param extreme that of all rows that share the scale, if others do */
  encode(values: ArrayLike<number>, from: number, bytes: Uint8Array, at: number, extreme?: number): void;
  /** The elements of the published bytes from `at` on, written from `to` on. */
  decode(bytes: Uint8Array, at: number, out: Float64Array, to: number): void;
  /** Writes codes and parts (scales, then mins) of block number `block`, whose published bytes begin at `at`. */
  split(bytes: Uint8Array, at: number, block: number, codes: Uint8Array, parts: readonly PartArray[]): void;
}

/** Elements of a part as its buffer holds them: f16 and bf16 as their bits. */
export type PartArray = Float32Array | Uint16Array | Uint8Array | Int8Array;

export const bits16 = (bytes: Uint8Array, at: number): number => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);

export function putBits16(bytes: Uint8Array, at: number, bits: number): void {
  bytes[at] = bits & 0xff;
  bytes[at + 1] = bits >> 8;
}

/** The element of the largest magnitude, with its sign. */
export function extremeOf(values: ArrayLike<number>, from: number, count: number): number {
  let extreme = 0;
  for (let i = from; i < from + count; i++) if (Math.abs(values[i] ?? 0) > Math.abs(extreme)) extreme = values[i] ?? 0;
  return extreme;
}

/** x rounded, halves up, and kept from 0 to `largest`. */
export const toCode = (x: number, largest: number): number => Math.max(0, Math.min(largest, Math.floor(x + 0.5)));
