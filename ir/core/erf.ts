/** From here on the continued fraction of erfc takes fewer steps than the series of erf. */
const far = 3;

/**
 * The error function, to f64: 2/√π · ∫₀ˣ exp(−t²) dt.
 * Near zero the series 2/√π · exp(−x²) · Σ 2ⁿ·x²ⁿ⁺¹ / (2n+1)!!, of which no terms cancel; beyond, 1 − erfc by its continued
 * fraction (Abramowitz and Stegun 7.1.6 and 7.1.14).
 */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (!(a < far)) return Number.isNaN(a) ? a : Math.sign(x) * (1 - erfcFar(a));
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 2 ** -54 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

function erfcFar(x: number): number {
  let fraction = x;
  for (let k = 60; k > 0; k--) fraction = x + k / 2 / fraction;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
}
