import { type BlockFormat, extremeOf, toCode } from "./format.ts";

/** What is added to a signed code, so that it counts from 0. */
const offset = 128;

/** The longest row that may be multiplied: sums of 127 · 128 fit 32 bits. */
export const longestRow = Math.floor((2 ** 31 - 1) / (127 * 128));

/**
 * Whole rows of signed bytes that share one f32 scale, max|x| / 127: of a weight a scale for each output channel, of activations one
 * for each token (W8A8 without zero points). A layout of our own: a row's scale, then its codes.
 * @param row elements of a row
 */
export const int8 = (row: number): BlockFormat => ({
  elements: row,
  bytes: 4 + row,
  codes: "u8",
  step: row,
  offset,
  scales: [{ suffix: "scales", dtype: "f32", every: row }],
  mins: [],
  error: (extreme) => 0.5 * scaleOf(extreme),
  encode(values, from, bytes, at) {
    const scale = Math.fround(scaleOf(extremeOf(values, from, row)));
    new DataView(bytes.buffer, bytes.byteOffset).setFloat32(at, scale, true);
    for (let i = 0; i < row; i++)
      bytes[at + 4 + i] = scale === 0 ? 0 : toCode((values[from + i] ?? 0) / scale + offset, 255) - offset;
  },
  decode(bytes, at, out, to) {
    const scale = scaleAt(bytes, at);
    for (let i = 0; i < row; i++) out[to + i] = scale * (((bytes[at + 4 + i] ?? 0) << 24) >> 24);
  },
  split(bytes, at, block, codes, [scales]) {
    if (scales) scales[block] = scaleAt(bytes, at);
    for (let i = 0; i < row; i++) codes[block * row + i] = (bytes[at + 4 + i] ?? 0) + offset;
  },
});

const scaleOf = (extreme: number): number => Math.abs(extreme) / 127;

const scaleAt = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getFloat32(at, true);
