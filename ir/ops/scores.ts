import { gamma, tiny32, u32 } from "./reals.ts";
import type { Router } from "./router.ts";
import { scalarKernel } from "./scalar-kernel.ts";

/** Numbers per expert with the largest error of each; an absent bound means exact. */
export interface Scores {
  readonly values: Float64Array;
  readonly bound: Float64Array | undefined;
}

/** Scores [tokens, experts] of logits: of all of a token together, of each alone, or the logits themselves. */
export function scoresOf(score: Router["score"], logits: Scores, tokens: number, experts: number): Scores {
  if (score === undefined) return logits;
  if (score === "softmax") return softmax(logits, tokens, experts);
  return scalarKernel(score)([logits.values], [logits.bound], logits.values.length);
}

/**
 * Softmax over each token's experts, shifted by the largest logit m.
 *
 * A machine computes t̂ᵢ = exp(l̂ᵢ − m̂)(1 + …). The shift is common to all and cancels, so t̂ᵢ ∝ exp(lᵢ + δᵢ) with
 * |δᵢ| ≤ eᵢ + u·|d̂ᵢ| + ln(1 + 2(3 + 2|d̂ᵢ|)u): the logit's error, the subtraction's rounding, and exp's error of
 * 3 + 2|x| units in the last place (WGSL); |d̂ᵢ| ≤ m − lᵢ + eᵢ + max e. Then pᵢ = aᵢ/(aᵢ + rest) is largest with δᵢ at its
 * largest and all others at their smallest, and the other way round. The sum adds a relative n·u, the division (also as a
 * multiplication by the reciprocal) 6u, and terms that underflow at most the smallest normal number each.
 */
export function softmax({ values: logits, bound }: Scores, tokens: number, n: number): Scores {
  const values = new Float64Array(logits.length);
  const errors = new Float64Array(logits.length);
  const terms = new Float64Array(n);
  const deltas = new Float64Array(n);
  const after = Math.expm1(Math.log1p(gamma(n)) + Math.log1p(8 * u32));
  for (let t = 0; t < tokens; t++) {
    const start = t * n;
    let largest = Number.NEGATIVE_INFINITY;
    let largestError = 0;
    for (let i = 0; i < n; i++) {
      largest = Math.max(largest, logits[start + i]);
      largestError = Math.max(largestError, bound?.[start + i] ?? 0);
    }
    let sum = 0;
    let low = 0;
    let high = 0;
    for (let i = 0; i < n; i++) {
      const e = bound?.[start + i] ?? 0;
      // A masked expert (−∞) weighs exactly nothing.
      const shift = logits[start + i] === Number.NEGATIVE_INFINITY ? 0 : largest - logits[start + i] + e + largestError;
      terms[i] = Math.exp(logits[start + i] - largest);
      deltas[i] = e + u32 * shift + Math.log1p(2 * (3 + 2 * shift) * u32);
      sum += terms[i];
      low += terms[i] * Math.exp(-deltas[i]);
      high += terms[i] * Math.exp(deltas[i]);
    }
    for (let i = 0; i < n; i++) {
      const up = terms[i] * Math.exp(deltas[i]);
      const down = terms[i] * Math.exp(-deltas[i]);
      // Differences of sums of like size: cancellation may leave a little below zero.
      const most = up / (up + Math.max(0, low - down));
      const least = down / (down + Math.max(0, high - up));
      const p = terms[i] / sum;
      values[start + i] = p;
      errors[start + i] = Math.max(most - p, p - least, 0) + after * Math.max(most, p) + (n + 2) * tiny32;
    }
  }
  return { values, bound: errors };
}
