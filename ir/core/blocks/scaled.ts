import { f16ToF32, f32ToF16 } from "../float16.ts";
import { type BlockFormat, bits16, extremeOf, putBits16, toCode } from "./format.ts";

/** How the scale of a block comes from its element of the largest magnitude, and where the codes begin. */
interface Scaling {
  readonly elements: number;
  readonly bits: 4 | 8;
  readonly offset: number;
  scale(extreme: number): number;
}

/**
 * One f16 scale, then the codes. The scale is rounded to f16 after the codes were chosen by the unrounded one, as ggml does. Codes
 * of 8 bits are published as signed numbers, without the offset; codes of 4 bits two in a byte, the second half of the block in
 * the high halves.
 */
function scaledFormat({ elements, bits, offset, scale }: Scaling): BlockFormat {
  const bytesOfCodes = (elements * bits) / 8;
  const step = Math.min(32, elements);
  const largest = 2 * offset - 1;
  return {
    elements,
    bytes: 2 + bytesOfCodes,
    codes: bits === 8 ? "u8" : "u4",
    step,
    offset,
    scales: [{ suffix: "scales", dtype: "f16", every: elements }],
    mins: [],
    error: (extreme) => 0.5 * Math.abs(scale(extreme)),
    encode(values, from, bytes, at) {
      const own = Math.fround(scale(extremeOf(values, from, elements)));
      const inverse = own === 0 ? 0 : Math.fround(1 / own);
      putBits16(bytes, at, f32ToF16(own));
      const code = (i: number): number => toCode(Math.fround((values[from + i] ?? 0) * inverse) + offset, largest);
      for (let i = 0; i < bytesOfCodes; i++)
        bytes[at + 2 + i] = bits === 8 ? code(i) - offset : code(i) | (code(i + elements / 2) << 4);
    },
    decode(bytes, at, out, to) {
      const own = f16ToF32(bits16(bytes, at));
      for (let i = 0; i < bytesOfCodes; i++) {
        const byte = bytes[at + 2 + i] ?? 0;
        if (bits === 8) out[to + i] = own * ((byte << 24) >> 24);
        else {
          out[to + i] = own * ((byte & 15) - offset);
          out[to + elements / 2 + i] = own * ((byte >> 4) - offset);
        }
      }
    },
    split(bytes, at, block, codes, [scales]) {
      if (scales) scales[block] = bits16(bytes, at);
      const first = block * bytesOfCodes;
      if (bits === 8 || elements === step) {
        for (let i = 0; i < bytesOfCodes; i++) codes[first + i] = (bytes[at + 2 + i] ?? 0) + (bits === 8 ? offset : 0);
        return;
      }
      const nibble = (i: number): number => {
        const byte = bytes[at + 2 + (i % bytesOfCodes)] ?? 0;
        return i < bytesOfCodes ? byte & 15 : byte >> 4;
      };
      for (let i = 0; i < bytesOfCodes; i++) {
        const low = Math.floor(i / (step / 2)) * step + (i % (step / 2));
        codes[first + i] = nibble(low) | (nibble(low + step / 2) << 4);
      }
    },
  };
}

/** GGUF's q8_0 (block_q8_0 in ggml-org/ggml, src/ggml-common.h; its rounding in src/ggml-quants.c). */
export const q8_0 = scaledFormat({ elements: 32, bits: 8, offset: 128, scale: (extreme) => Math.abs(extreme) / 127 });

/** As q8_0 in blocks of 16: what activations are multiplied as with weights whose scales are so close. */
export const q8_16 = scaledFormat({ elements: 16, bits: 8, offset: 128, scale: (extreme) => Math.abs(extreme) / 127 });

/** GGUF's q4_0 (block_q4_0, as above). */
export const q4_0 = scaledFormat({ elements: 32, bits: 4, offset: 8, scale: (extreme) => extreme / -8 });

/**
 * Symmetric groups of 4-bit numbers, as GPTQ and AWQ make them: code = round(x / scale) + 8 from 0 to 15, with the f16 scale
 * 2·max|x| / 15. A layout of our own: the group's scale, then its codes as in q4_0.
 */
export const int4 = (elements: 32 | 64 | 128): BlockFormat =>
  scaledFormat({ elements, bits: 4, offset: 8, scale: (extreme) => (2 * Math.abs(extreme)) / 15 });
