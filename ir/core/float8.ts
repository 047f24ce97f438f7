/**
 * Numbers of 8 bits and fewer, held as their bits. E4M3 has 1 sign, 4 exponent and 3 fraction bits, no infinity, and one NaN of
 * each sign (OCP 8-bit Floating Point Specification 1.0); E8M0 is a power of two, E2M1 a number of 4 bits (OCP Microscaling Formats 1.0).
 */

/** The numbers of E4M3, by their bits. */
export const e4m3 = Float32Array.from({ length: 256 }, (_, bits) => {
  const [exponent, fraction] = [(bits >> 3) & 15, bits & 7];
  if ((bits & 127) === 127) return Number.NaN;
  const magnitude = exponent === 0 ? fraction * 2 ** -9 : (8 + fraction) * 2 ** (exponent - 10);
  return bits < 128 ? magnitude : -magnitude;
});

/** The largest number of E4M3. */
export const largestE4m3 = 448;

/** Powers of two, 2^(bits - 127), by their bits; 255 is NaN (E8M0). */
export const e8m0 = Float32Array.from({ length: 256 }, (_, bits) => (bits === 255 ? Number.NaN : 2 ** (bits - 127)));

/** The numbers of E2M1, by their bits. */
export const e2m1 = Float32Array.from(
  { length: 16 },
  (_, bits) => (bits < 8 ? 1 : -1) * ([0, 0.5, 1, 1.5, 2, 3, 4, 6][bits & 7] ?? 0),
);

/** The E4M3 bits nearest to x, ties to even; beyond the largest number that number; NaN stays NaN. */
export const f32ToE4m3 = (x: number): number => {
  const sign = x < 0 || Object.is(x, -0) ? 128 : 0;
  return Number.isNaN(x) ? 127 : sign | nearest(e4m3, 126, Math.abs(x));
};

/** The E2M1 bits nearest to x, ties to even; beyond 6 that is 6. */
export const f32ToE2m1 = (x: number): number => (x < 0 ? 8 : 0) | nearest(e2m1, 7, Math.abs(x));

/** The place of the number nearest to x ≥ 0 in an ascending table, of two as near the even one. */
function nearest(table: Float32Array, last: number, x: number): number {
  let [low, high] = [0, last];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((table[middle] ?? 0) <= x) low = middle;
    else high = middle - 1;
  }
  if (low === last) return last;
  const [below, above] = [x - (table[low] ?? 0), (table[low + 1] ?? 0) - x];
  return below < above || (below === above && low % 2 === 0) ? low : low + 1;
}
