/**
 * Conversions between f32 and its two 16-bit kin: bf16 (1 sign, 8 exponent, 7 fraction bits) and f16 (IEEE half: 1, 5, 10).
 * A 16-bit value is held as its bits, a number from 0 to 65535. Narrowing rounds to nearest, ties to even; NaN stays NaN.
 * Widening is exact.
 */

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

/** The value of bf16 bits. */
export function bf16ToF32(bits: number): number {
  scratchBits[0] = bits << 16;
  return scratchFloat[0];
}

/** The bf16 bits nearest to x. A double that is no f32 is first rounded to f32. */
export function f32ToBf16(x: number): number {
  scratchFloat[0] = x;
  return narrowToBf16(scratchBits[0]);
}

/** The value of f16 bits. */
export function f16ToF32(bits: number): number {
  scratchBits[0] = widenF16(bits);
  return scratchFloat[0];
}

/** The f16 bits nearest to x; beyond ±65519.99… that is infinity. A double that is no f32 is first rounded to f32. */
export function f32ToF16(x: number): number {
  scratchFloat[0] = x;
  return narrowToF16(scratchBits[0]);
}

/**
 * Widens bf16 bits to f32, element by element, from src to the start of dst.
 * @throws RangeError when dst is shorter than src
 */
export function decodeBf16(src: Uint16Array, dst: Float32Array): void {
  checkRoom(src.length, dst.length);
  const bits = bitsOf(dst);
  for (let i = 0; i < src.length; i++) bits[i] = src[i] << 16;
}

/**
 * Narrows f32 to bf16 bits, element by element, from src to the start of dst.
 * @throws RangeError when dst is shorter than src
 */
export function encodeBf16(src: Float32Array, dst: Uint16Array): void {
  checkRoom(src.length, dst.length);
  const bits = bitsOf(src);
  for (let i = 0; i < bits.length; i++) dst[i] = narrowToBf16(bits[i]);
}

/**
 * Widens f16 bits to f32, element by element, from src to the start of dst.
 * @throws RangeError when dst is shorter than src
 */
export function decodeF16(src: Uint16Array, dst: Float32Array): void {
  checkRoom(src.length, dst.length);
  const bits = bitsOf(dst);
  for (let i = 0; i < src.length; i++) bits[i] = widenF16(src[i]);
}

/**
 * Narrows f32 to f16 bits, element by element, from src to the start of dst.
 * @throws RangeError when dst is shorter than src
 */
export function encodeF16(src: Float32Array, dst: Uint16Array): void {
  checkRoom(src.length, dst.length);
  const bits = bitsOf(src);
  for (let i = 0; i < bits.length; i++) dst[i] = narrowToF16(bits[i]);
}

function narrowToBf16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40; // the quiet bit: a NaN must not become infinity
  // Adding just under half a unit, and the last kept bit, carries exactly when rounding to even goes up.
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

function widenF16(half: number): number {
  const sign = (half & 0x8000) << 16;
  const magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return sign | 0x7f800000 | ((magnitude & 0x3ff) << 13);
  if (magnitude >= 0x400) return sign | ((magnitude << 13) + 0x38000000); // 112, the difference of the exponents' biases
  if (magnitude === 0) return sign;
  // A subnormal f16 is a normal f32: shift the leading one up to the hidden bit.
  const shift = Math.clz32(magnitude) - 8;
  return sign | ((126 - shift) << 23) | ((magnitude << shift) & 0x7fffff);
}

function narrowToF16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) {
    if (magnitude <= 0x7f800000) return sign | 0x7c00;
    return sign | 0x7e00 | ((magnitude >>> 13) & 0x1ff);
  }
  if (magnitude >= 0x38800000) {
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  const exponent = magnitude >>> 23;
  if (exponent < 102) return sign; // below half of the smallest subnormal
  const shift = 126 - exponent;
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const kept = fraction >>> shift;
  const rest = fraction & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  const up = rest > half || (rest === half && (kept & 1) === 1);
  return sign | (kept + (up ? 1 : 0));
}

function bitsOf(floats: Float32Array): Uint32Array {
  return new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
}

function checkRoom(source: number, target: number): void {
  if (target < source) throw new RangeError(`the target has room for ${target} elements, but the source has ${source}`);
}
