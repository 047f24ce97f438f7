import { e2m1, e4m3, e8m0, f32ToE2m1, f32ToE4m3, largestE4m3 } from "../float8.ts";
import { f32ToBf16 } from "../float16.ts";
import { type BlockFormat, extremeOf } from "./format.ts";

/**
 * MXFP4: 32 numbers in E2M1 with a scale in E8M0 (OCP Microscaling Formats 1.0), in the layout of GGUF (block_mxfp4 in ggml-org/ggml,
 * src/ggml-common.h): the scale, then two numbers in a byte, the second half of the block in the high halves. Twice each number is whole:
 * kernels multiply those, from 0 on, and halve the scale, which bf16 holds exactly. Rounding as the specification has it (section 6.3): numbers
 * beyond 6 scales, which are less than 8, become 6 scales; a block with NaN or infinity is NaN.
 */
export const mxfp4: BlockFormat = {
  elements: 32,
  bytes: 17,
  codes: "u4",
  step: 32,
  offset: 12,
  values: Array.from(e2m1, (x) => 2 * x + 12),
  scales: [{ suffix: "scales", dtype: "bf16", every: 32 }],
  mins: [],
  encode(values, from, bytes, at) {
    const extreme = Math.abs(extremeOf(values, from, 32));
    const finite = Array.from({ length: 32 }, (_, i) => values[from + i] ?? 0).every((x) => Number.isFinite(x));
    const exponent = !finite ? 255 : extreme === 0 ? 0 : Math.max(0, floorLog2(extreme) - 2 + 127);
    bytes[at] = exponent;
    const code = (i: number): number => f32ToE2m1((values[from + i] ?? 0) / (e8m0[exponent] ?? 1));
    for (let i = 0; i < 16; i++) bytes[at + 1 + i] = code(i) | (code(i + 16) << 4);
  },
  decode(bytes, at, out, to) {
    const scale = e8m0[bytes[at] ?? 0] ?? 0;
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 1 + i] ?? 0;
      out[to + i] = scale * (e2m1[byte & 15] ?? 0);
      out[to + 16 + i] = scale * (e2m1[byte >> 4] ?? 0);
    }
  },
  split(bytes, at, block, codes, [scales]) {
    if (scales) scales[block] = f32ToBf16((e8m0[bytes[at] ?? 0] ?? 0) / 2);
    for (let i = 0; i < 16; i++) codes[16 * block + i] = bytes[at + 1 + i] ?? 0;
  },
};

/** The largest whole e with 2^e ≤ x. */
function floorLog2(x: number): number {
  const near = Math.round(Math.log2(x));
  return 2 ** near > x ? near - 1 : near;
}

/**
 * Numbers in E4M3 with an f32 factor for each 128 × 128, as DeepSeek publishes them (`weight` and `weight_scale_inv`). A layout of
 * our own: for each 128 of a row its factor, then the numbers. The factor brings the largest magnitude to 448.
 */
export const fp8: BlockFormat = {
  elements: 128,
  bytes: 132,
  codes: "f8",
  step: 128,
  offset: 0,
  scales: [{ suffix: "scales", dtype: "f32", every: 128 }],
  mins: [],
  rows: 128,
  encode(values, from, bytes, at, extreme = extremeOf(values, from, 128)) {
    const scale = extreme === 0 ? 1 : Math.fround(Math.abs(extreme) / largestE4m3) || 2 ** -149;
    putFp8Scale(bytes, at, scale);
    for (let i = 0; i < 128; i++) bytes[at + 4 + i] = f32ToE4m3((values[from + i] ?? 0) / scale);
  },
  decode(bytes, at, out, to) {
    const scale = fp8Scale(bytes, at);
    for (let i = 0; i < 128; i++) out[to + i] = scale * (e4m3[bytes[at + 4 + i] ?? 0] ?? 0);
  },
  split(bytes, at, block, codes, [scales]) {
    if (scales) scales[block] = fp8Scale(bytes, at);
    codes.set(bytes.subarray(at + 4, at + fp8.bytes), 128 * block);
  },
};

const scratch = new DataView(new ArrayBuffer(4));

/** Writes the factor of a block of fp8. */
export function putFp8Scale(bytes: Uint8Array, at: number, scale: number): void {
  scratch.setFloat32(0, scale, true);
  for (let i = 0; i < 4; i++) bytes[at + i] = scratch.getUint8(i);
}

function fp8Scale(bytes: Uint8Array, at: number): number {
  for (let i = 0; i < 4; i++) scratch.setUint8(i, bytes[at + i] ?? 0);
  return scratch.getFloat32(0, true);
}
