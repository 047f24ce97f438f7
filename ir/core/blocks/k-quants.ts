import { f16ToF32, f32ToF16 } from "../float16.ts";
import { type BlockFormat, bits16, extremeOf, putBits16, toCode } from "./format.ts";

/** Elements of one block. */
const size = 256;

const near = (x: number): number => Math.floor(x + 0.5);
const ratio = (x: number, by: number): number => (by === 0 ? 0 : x / by);

/** Scale and minimum number j of 8, of 6 bits each, in 12 bytes (get_scale_min_k4 in ggml-quants.c). */
function pair(bytes: Uint8Array, at: number, j: number): readonly [scale: number, min: number] {
  const byte = (i: number): number => bytes[at + i] ?? 0;
  if (j < 4) return [byte(j) & 63, byte(j + 4) & 63];
  return [(byte(j + 4) & 15) | ((byte(j - 4) >> 6) << 4), (byte(j + 4) >> 4) | ((byte(j) >> 6) << 4)];
}

function putPair(bytes: Uint8Array, at: number, j: number, scale: number, min: number): void {
  const join = (i: number, bits: number): void => {
    bytes[at + i] = (bytes[at + i] ?? 0) | bits;
  };
  if (j < 4) {
    join(j, scale);
    join(j + 4, min);
    return;
  }
  join(j + 4, (scale & 15) | ((min & 15) << 4));
  join(j - 4, (scale >> 4) << 6);
  join(j, (min >> 4) << 6);
}

/**
 * GGUF's q4_K (block_q4_K in ggml-org/ggml, src/ggml-common.h): two f16 factors, 8 pairs of a scale and a minimum of 6 bits, and 256
 * codes of 4 bits, those of two neighbouring 32s in the low and high halves of 32 bytes. Element = d·scale·code − dmin·minimum.
 * Rounding takes each 32's smallest number (0 where none is negative) and range; ggml's searches for better ones.
 */
export const q4_k: BlockFormat = {
  elements: size,
  bytes: 144,
  codes: "u4",
  step: 32,
  offset: 0,
  scales: [
    { suffix: "d", dtype: "f16", every: size },
    { suffix: "scales", dtype: "u8", every: 32 },
  ],
  mins: [
    { suffix: "dmin", dtype: "f16", every: size },
    { suffix: "mins", dtype: "u8", every: 32 },
  ],
  encode(values, from, bytes, at) {
    const groups = Array.from({ length: 8 }, (_, j) => {
      const own = Array.from({ length: 32 }, (_, i) => values[from + 32 * j + i] ?? 0);
      const min = Math.max(0, ...own.map((x) => -x));
      return { own, min, scale: (Math.max(...own) + min) / 15 };
    });
    const d = f32ToF16(Math.max(0, ...groups.map((g) => g.scale)) / 63);
    const dmin = f32ToF16(Math.max(0, ...groups.map((g) => g.min)) / 63);
    bytes.fill(0, at, at + q4_k.bytes);
    putBits16(bytes, at, d);
    putBits16(bytes, at + 2, dmin);
    groups.forEach(({ own, min, scale }, j) => {
      const [s, m] = [toCode(ratio(scale, f16ToF32(d)), 63), toCode(ratio(min, f16ToF32(dmin)), 63)];
      putPair(bytes, at + 4, j, s, m);
      own.forEach((x, i) => {
        const code = toCode(ratio(x + f16ToF32(dmin) * m, f16ToF32(d) * s), 15);
        const place = at + 16 + 32 * (j >> 1) + i;
        bytes[place] = (bytes[place] ?? 0) | (code << (4 * (j & 1)));
      });
    });
  },
  decode(bytes, at, out, to) {
    const [d, dmin] = [f16ToF32(bits16(bytes, at)), f16ToF32(bits16(bytes, at + 2))];
    for (let j = 0; j < 8; j++) {
      const [scale, min] = pair(bytes, at + 4, j);
      for (let i = 0; i < 32; i++) out[to + 32 * j + i] = d * scale * q4Code(bytes, at, 32 * j + i) - dmin * min;
    }
  },
  split(bytes, at, block, codes, [d, scales, dmin, mins]) {
    if (!d || !scales || !dmin || !mins) return;
    d[block] = bits16(bytes, at);
    dmin[block] = bits16(bytes, at + 2);
    for (let j = 0; j < 8; j++) {
      [scales[8 * block + j], mins[8 * block + j]] = pair(bytes, at + 4, j);
      for (let i = 0; i < 16; i++)
        codes[128 * block + 16 * j + i] = q4Code(bytes, at, 32 * j + i) | (q4Code(bytes, at, 32 * j + 16 + i) << 4);
    }
  },
};

const q4Code = (bytes: Uint8Array, at: number, i: number): number =>
  ((bytes[at + 16 + 32 * (i >> 6) + (i & 31)] ?? 0) >> (4 * ((i >> 5) & 1))) & 15;

/** Where a code of q6_K lies in its block: byte and shift of its low 4 bits, and of its high 2. */
function q6Place(i: number) {
  const [half, quarter, rest] = [i >> 7, (i >> 5) & 3, i & 31];
  return {
    low: 64 * half + 32 * (quarter & 1) + rest,
    lowShift: 4 * (quarter >> 1),
    high: 128 + 32 * half + rest,
    highShift: 2 * quarter,
  };
}

function q6Code(bytes: Uint8Array, at: number, i: number): number {
  const { low, lowShift, high, highShift } = q6Place(i);
  return (((bytes[at + low] ?? 0) >> lowShift) & 15) | ((((bytes[at + high] ?? 0) >> highShift) & 3) << 4);
}

/**
 * GGUF's q6_K (block_q6_K, as above): the low 4 bits of 256 codes, their high 2 bits, 16 signed scales, an f16 factor.
 * Element = d · scale · (code − 32). Kernels read a byte for each code.
 */
export const q6_k: BlockFormat = {
  elements: size,
  bytes: 210,
  codes: "u8",
  step: 16,
  offset: 32,
  scales: [
    { suffix: "d", dtype: "f16", every: size },
    { suffix: "scales", dtype: "i8", every: 16 },
  ],
  mins: [],
  encode(values, from, bytes, at) {
    const wanted = Array.from({ length: 16 }, (_, j) => extremeOf(values, from + 16 * j, 16) / -32);
    const d = f32ToF16(extremeOf(wanted, 0, 16) / -128);
    bytes.fill(0, at, at + q6_k.bytes);
    putBits16(bytes, at + 208, d);
    wanted.forEach((scale, j) => {
      const own = Math.max(-128, Math.min(127, near(ratio(scale, f16ToF32(d)))));
      bytes[at + 192 + j] = own;
      for (let i = 16 * j; i < 16 * j + 16; i++) {
        const code = toCode(ratio(values[from + i] ?? 0, f16ToF32(d) * own) + 32, 63);
        const { low, lowShift, high, highShift } = q6Place(i);
        bytes[at + low] = (bytes[at + low] ?? 0) | ((code & 15) << lowShift);
        bytes[at + high] = (bytes[at + high] ?? 0) | ((code >> 4) << highShift);
      }
    });
  },
  decode(bytes, at, out, to) {
    const d = f16ToF32(bits16(bytes, at + 208));
    for (let i = 0; i < size; i++) {
      const scale = ((bytes[at + 192 + (i >> 4)] ?? 0) << 24) >> 24;
      out[to + i] = d * scale * (q6Code(bytes, at, i) - 32);
    }
  },
  split(bytes, at, block, codes, [d, scales]) {
    if (!d || !scales) return;
    d[block] = bits16(bytes, at + 208);
    for (let j = 0; j < 16; j++) scales[16 * block + j] = bytes[at + 192 + j] ?? 0;
    for (let i = 0; i < size; i++) codes[size * block + i] = q6Code(bytes, at, i);
  },
};
