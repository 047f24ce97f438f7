import { f16ToF32, f32ToF16 } from "./float16.ts";

/**
 * Storage of weights in blocks along the last dimension: small whole-number codes that share an f16 scale. Layouts and
 * rounding are those of GGUF (ggml-org/ggml, `ggml-quants.c`): value = scale · (code − offset).
 */
export interface BlockFormat {
  /** Elements of one block. The last dimension is a multiple of it. */
  readonly elements: number;
  /** Bytes of one block: the scale, then the codes. */
  readonly bytes: number;
  /** Bits of a code. Codes of 4 bits lie two in a byte: element i of the block in the low half of byte i, i + elements/2 in the high half. */
  readonly bits: 4 | 8;
  /** What is taken from a code, which is not negative, before it is scaled. */
  readonly offset: number;
  /** How a code stands in its published byte: q8_0 holds code − offset as a signed number. */
  readonly signed: boolean;
  /** The scale (before it is rounded to f16) of a block, from its element of the largest magnitude; and the largest code. */
  scale(extreme: number): number;
  readonly largest: number;
}

export const blockFormats = {
  q8_0: {
    elements: 32,
    bytes: 34,
    bits: 8,
    offset: 128,
    signed: true,
    scale: (extreme) => Math.abs(extreme) / 127,
    largest: 255,
  },
  q4_0: { elements: 32, bytes: 18, bits: 4, offset: 8, signed: false, scale: (extreme) => extreme / -8, largest: 15 },
} as const satisfies Record<string, BlockFormat>;

export type BlockFormatName = keyof typeof blockFormats;
export const blockFormatNames: readonly BlockFormatName[] = ["q8_0", "q4_0"];

export const isBlockFormat = (dtype: string): dtype is BlockFormatName => Object.hasOwn(blockFormats, dtype);

/** Codes (0 … largest; two in a byte for 4 bits, in the published order) and scales (bits of f16) of a weight, apart. */
export interface BlockParts {
  readonly codes: Uint8Array;
  readonly scales: Uint16Array;
}

/** Bytes of codes of one block. */
export const codeBytes = ({ elements, bits }: BlockFormat): number => (elements * bits) / 8;

/**
 * Rounds numbers to a block format, part by part: `values` holds whole blocks.
 * The scale is rounded to f16 after the codes were chosen by the unrounded one, as ggml does.
 */
export function encodeBlocks(
  name: BlockFormatName,
  values: ArrayLike<number>,
  parts: BlockParts = emptyParts(name, values.length),
): BlockParts {
  const format: BlockFormat = blockFormats[name];
  const { elements, bits, offset, largest } = format;
  const perBlock = codeBytes(format);
  for (let block = 0; block * elements < values.length; block++) {
    const from = block * elements;
    let extreme = 0;
    for (let i = from; i < from + elements; i++)
      if (Math.abs(values[i] ?? 0) > Math.abs(extreme)) extreme = values[i] ?? 0;
    const scale = Math.fround(format.scale(extreme));
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    parts.scales[block] = f32ToF16(scale);
    const code = (i: number): number => {
      const scaled = Math.fround((values[from + i] ?? 0) * inverse);
      return Math.max(0, Math.min(largest, Math.floor(scaled + offset + 0.5)));
    };
    for (let i = 0; i < perBlock; i++)
      parts.codes[block * perBlock + i] = bits === 8 ? code(i) : code(i) | (code(i + elements / 2) << 4);
  }
  return parts;
}

export function emptyParts(name: BlockFormatName, count: number): BlockParts {
  const format = blockFormats[name];
  const blocks = count / format.elements;
  return { codes: new Uint8Array(blocks * codeBytes(format)), scales: new Uint16Array(blocks) };
}

/** The published bytes of blocks: each block's scale, little-endian, then its codes. */
export function joinBlocks(name: BlockFormatName, { codes, scales }: BlockParts): Uint8Array {
  const format: BlockFormat = blockFormats[name];
  const perBlock = codeBytes(format);
  const bytes = new Uint8Array(scales.length * format.bytes);
  scales.forEach((scale, block) => {
    const at = block * format.bytes;
    bytes[at] = scale & 0xff;
    bytes[at + 1] = scale >> 8;
    for (let i = 0; i < perBlock; i++)
      bytes[at + 2 + i] = (codes[block * perBlock + i] ?? 0) - (format.signed ? format.offset : 0);
  });
  return bytes;
}

/** The parts of published bytes. */
export function splitBlocks(name: BlockFormatName, bytes: Uint8Array): BlockParts {
  const format: BlockFormat = blockFormats[name];
  const perBlock = codeBytes(format);
  const blocks = bytes.length / format.bytes;
  const parts: BlockParts = { codes: new Uint8Array(blocks * perBlock), scales: new Uint16Array(blocks) };
  for (let block = 0; block < blocks; block++) {
    const at = block * format.bytes;
    parts.scales[block] = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    for (let i = 0; i < perBlock; i++)
      parts.codes[block * perBlock + i] = (bytes[at + 2 + i] ?? 0) + (format.signed ? format.offset : 0);
  }
  return parts;
}

/** Decodes the blocks that hold elements start … start + length, both multiples of a block, of published bytes. */
export function decodeBlocks(
  name: BlockFormatName,
  bytes: Uint8Array,
  start: number,
  length: number,
  out: Float64Array,
): void {
  const format: BlockFormat = blockFormats[name];
  const { elements, offset } = format;
  for (let i = 0; i < length; i += elements) {
    const at = ((start + i) / elements) * format.bytes;
    const scale = f16ToF32((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8));
    for (let j = 0; j < elements; j++) {
      const half = elements / 2;
      const byte = bytes[at + 2 + (format.bits === 8 ? j : j % half)] ?? 0;
      const code = format.signed ? (byte << 24) >> 24 : (j < half ? byte & 15 : byte >> 4) - offset;
      out[i + j] = scale * code;
    }
  }
}
