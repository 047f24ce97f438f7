import { fp8, mxfp4 } from "./blocks/float-codes.ts";
import { type BlockFormat, extremeOf, type PartArray } from "./blocks/format.ts";
import { q4_k, q6_k } from "./blocks/k-quants.ts";
import { int8 } from "./blocks/rows.ts";
import { int4, q4_0, q8_0, q8_16 } from "./blocks/scaled.ts";

export type { BlockFormat } from "./blocks/format.ts";

/** Formats of weights. */
export const weightFormats = [
  "q8_0",
  "q4_0",
  "q4_k",
  "q6_k",
  "int4_32",
  "int4_64",
  "int4_128",
  "mxfp4",
  "fp8",
  "int8",
] as const;

/** All formats: activations have one of their own, beside weights with a scale for each 16. */
export const blockFormatNames = [...weightFormats, "q8_16"] as const;
export type BlockFormatName = (typeof blockFormatNames)[number];

const formats: Readonly<Record<BlockFormatName, BlockFormat | ((row: number) => BlockFormat)>> = {
  q8_0,
  q8_16,
  q4_0,
  q4_k,
  q6_k,
  int4_32: int4(32),
  int4_64: int4(64),
  int4_128: int4(128),
  mxfp4,
  fp8,
  int8,
};

export const isBlockFormat = (dtype: string): dtype is BlockFormatName => Object.hasOwn(formats, dtype);

/** A format as it is for rows of so many elements: blocks of some formats are whole rows. */
export function formatOf(name: BlockFormatName, row: number): BlockFormat {
  const format = formats[name];
  return typeof format === "function" ? format(row) : format;
}

/** Whether blocks are rows, of any length. */
export const hasWholeRows = (name: BlockFormatName): boolean => typeof formats[name] === "function";

/** What the rows that a format holds are a multiple of. */
export const blockMultiple = (name: BlockFormatName): number => formatOf(name, 1).elements;

/** Codes that lie side by side in a panel, and that one instruction sums: four bytes, or one E4M3 number. */
export const groupOf = ({ codes }: BlockFormat): number => (codes === "f8" ? 1 : 4);

/** Bits of one code. */
export const codeBits = ({ codes }: BlockFormat): number => (codes === "u4" ? 4 : 8);

/** Bytes of the codes of so many elements. */
export const codeBytes = (format: BlockFormat, elements: number): number => (elements * codeBits(format)) / 8;

/** All arrays beside the codes, in order. */
export const partsOf = ({ scales, mins }: BlockFormat) => [...scales, ...mins];

/**
 * Rounds numbers to a block format: the published bytes.
 * @param values whole blocks, row by row
 * @param dims their dimensions, which say what rows share scales
 */
export function encodeBlocks(name: BlockFormatName, values: ArrayLike<number>, dims: readonly number[]): Uint8Array {
  const row = dims.at(-1) ?? values.length;
  if (row === 0) return new Uint8Array();
  const format = formatOf(name, row);
  const { elements, rows = 1 } = format;
  const bytes = new Uint8Array((values.length / elements) * format.bytes);
  const [n = 1] = dims.slice(-2);
  const perRow = row / elements;
  const count = values.length / elements / perRow;
  for (let top = 0; top < count; ) {
    // Rows of one matrix only.
    const height = Math.min(rows, n - (top % n));
    for (let column = 0; column < perRow; column++) {
      const own = Array.from({ length: height }, (_, r) => (top + r) * perRow + column);
      const shared =
        rows > 1
          ? extremeOf(
              own.map((block) => extremeOf(values, block * elements, elements)),
              0,
              height,
            )
          : undefined;
      for (const block of own) format.encode(values, block * elements, bytes, block * format.bytes, shared);
    }
    top += height;
  }
  return bytes;
}

/**
 * Decodes the blocks that hold elements start … start + length, both multiples of a block, of published bytes.
 * @param format that of the row's length
 */
export function decodeBlocks(
  format: BlockFormat,
  bytes: Uint8Array,
  start: number,
  length: number,
  out: Float64Array,
): void {
  for (let i = 0; i < length; i += format.elements)
    format.decode(bytes, ((start + i) / format.elements) * format.bytes, out, i);
}

/** A weight in parts, as kernels read it: codes, and the arrays of `partsOf` in order. */
export interface BlockArrays {
  readonly codes: Uint8Array;
  readonly parts: readonly PartArray[];
}

const arrays = { f32: Float32Array, f16: Uint16Array, bf16: Uint16Array, u8: Uint8Array, i8: Int8Array } as const;

/**
 * The parts of published bytes.
 * @param format that of the row's length
 */
export function splitBlocks(format: BlockFormat, bytes: Uint8Array): BlockArrays {
  const { elements } = format;
  const blocks = bytes.length / format.bytes;
  const codes = new Uint8Array(codeBytes(format, blocks * elements));
  const parts = partsOf(format).map(({ dtype, every }) => new arrays[dtype]((blocks * elements) / every));
  for (let block = 0; block < blocks; block++) format.split(bytes, block * format.bytes, block, codes, parts);
  return { codes, parts };
}
