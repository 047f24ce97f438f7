import { IrError } from "../core/diagnostic.ts";

/** How frequencies are stretched for contexts longer than those of the training. Names as in published configurations. */
export type RopeScaling =
  /** All frequencies divided by `factor`. */
  | { readonly kind: "linear"; readonly factor: number }
  /**
   * Wavelengths above original / low are stretched by `factor`, those below original / high are kept, and those between are
   * interpolated by original / wavelength.
   */
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly low: number;
      readonly high: number;
      readonly original: number;
    }
  /**
   * YaRN. Dimensions that turn more than `betaFast` times in `original` positions are kept, those that turn fewer than
   * `betaSlow` times are stretched by `factor`, in between linearly by the dimension's number. `truncate`: the two ends are
   * whole numbers, rounded outwards.
   */
  | {
      readonly kind: "yarn";
      readonly factor: number;
      readonly original: number;
      readonly betaFast?: number;
      readonly betaSlow?: number;
      readonly truncate?: boolean;
      /** Multiplies sine and cosine. Default: yarnScale(factor, mscale) / yarnScale(factor, mscaleAllDim), or yarnScale(factor). */
      readonly attentionFactor?: number;
      readonly mscale?: number;
      readonly mscaleAllDim?: number;
    };

/** The numbers of a rotary embedding: angle = position · frequency; sine and cosine are multiplied by `factor`. */
export interface RopeParameters {
  readonly frequencies: readonly number[];
  readonly factor: number;
}

/** 0.1·mscale·ln(factor) + 1 for factors above 1, else 1: what YaRN scales attention by. */
export const yarnScale = (factor: number, mscale = 1): number =>
  factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;

/**
 * Frequencies of `rotary` dimensions, half as many, from the fastest: theta^(−2i / rotary), then scaled.
 * Sources: Su et al. 2021 (RoFormer); Peng et al. 2023 (YaRN); huggingface/transformers, modeling_rope_utils.
 * @throws IrError where `rotary` is not even, or a number is out of range
 */
export function ropeParameters(rotary: number, theta: number, scaling?: RopeScaling): RopeParameters {
  if (!Number.isSafeInteger(rotary) || rotary < 2 || rotary % 2 !== 0)
    throw new IrError(`${rotary} dimensions cannot be rotated in pairs`, "Rotate an even number of dimensions.");
  requireAbove("theta", theta, 1);
  const plain = Array.from({ length: rotary / 2 }, (_, i) => theta ** ((-2 * i) / rotary));
  if (scaling === undefined) return { frequencies: plain, factor: 1 };
  const { factor } = scaling;
  requireAbove("factor", factor, 0);
  switch (scaling.kind) {
    case "linear":
      return { frequencies: plain.map((f) => f / factor), factor: 1 };
    case "llama3": {
      const { low, high, original } = scaling;
      requireAbove("low", low, 0);
      requireAbove("high", high, low);
      requireAbove("original", original, 0);
      const frequencies = plain.map((f) => {
        const turns = (original * f) / (2 * Math.PI);
        const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)));
        return (1 - kept) * (f / factor) + kept * f;
      });
      return { frequencies, factor: 1 };
    }
    case "yarn": {
      const { original, betaFast = 32, betaSlow = 1, truncate = true, mscale, mscaleAllDim } = scaling;
      requireAbove("original", original, 0);
      requireAbove("betaSlow", betaSlow, 0);
      requireAbove("betaFast", betaFast, betaSlow);
      // The dimension, as a real number, that turns so often in `original` positions.
      const turning = (turns: number): number =>
        (rotary * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
      const [fast, slow] = [turning(betaFast), turning(betaSlow)];
      const from = Math.max(0, truncate ? Math.floor(fast) : fast);
      const to = Math.min(rotary - 1, truncate ? Math.ceil(slow) : slow);
      const length = to === from ? 0.001 : to - from;
      const frequencies = plain.map((f, i) => {
        const stretched = Math.min(1, Math.max(0, (i - from) / length));
        return stretched * (f / factor) + (1 - stretched) * f;
      });
      const given =
        mscale !== undefined && mscaleAllDim !== undefined && mscale !== 0 && mscaleAllDim !== 0
          ? yarnScale(factor, mscale) / yarnScale(factor, mscaleAllDim)
          : yarnScale(factor);
      return { frequencies, factor: scaling.attentionFactor ?? given };
    }
  }
}

function requireAbove(name: string, value: number, limit: number): void {
  if (!(Number.isFinite(value) && value > limit))
    throw new IrError(`${name} is ${value}`, `Give a number above ${limit} for ${name}.`);
}
