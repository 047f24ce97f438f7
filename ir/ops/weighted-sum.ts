import { tiny32 } from "./reals.ts";

/**
 * Sums of weight·row per token, with bounds: with |ŵ − w| ≤ ew and |ŷ − y| ≤ ey, a machine's sum is off by at most
 * γ·Σ(|w| + ew)(|y| + ey) + Σ(|w|·ey + ew·|y| + ew·ey), where γ covers the roundings of the whole sum.
 */
export class WeightedSum {
  readonly values: Float64Array;
  readonly bound: Float64Array;
  readonly #columns: number;
  readonly #gamma: number;

  constructor(tokens: number, columns: number, gamma: number) {
    this.values = new Float64Array(tokens * columns);
    this.bound = new Float64Array(tokens * columns);
    this.#columns = columns;
    this.#gamma = gamma;
  }

  /** Adds weight·y[start … start + columns] to the token's sum. */
  add(
    token: number,
    weight: number,
    weightError: number,
    y: Float64Array,
    yBound: Float64Array | undefined,
    start: number,
  ): void {
    const { values, bound } = this;
    const columns = this.#columns;
    const gamma = this.#gamma;
    const size = Math.abs(weight);
    const at = token * columns;
    for (let j = 0; j < columns; j++) {
      const v = y[start + j];
      const e = yBound === undefined ? 0 : yBound[start + j];
      const reach = Math.abs(v) + e;
      values[at + j] = values[at + j] + weight * v;
      bound[at + j] = bound[at + j] + gamma * (size + weightError) * reach + size * e + weightError * reach + tiny32;
    }
  }
}
