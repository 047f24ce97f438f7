import type { Evidence } from "../../backends/backend.ts";
import type { Storage } from "../../codegen/target.ts";
import type { Verdict } from "./session.ts";

/** What a run showed, for others to read: the JSON that a visitor shares. */
export interface RunRecord {
  readonly format: "unmoor-web-run-1";
  readonly unmoor: string;
  readonly layer: string;
  readonly file: string;
  /** SHA-256 of what the layer means, as in certificates. */
  readonly hash: string;
  readonly params: Readonly<Record<string, number>>;
  /** Of the weights of products. */
  readonly storage: Storage;
  readonly dims: Readonly<Record<string, number>>;
  readonly seed: number;
  readonly evidence: Evidence;
  readonly adapter: Readonly<Record<string, string>>;
  readonly browser: string;
  readonly agrees: boolean;
  readonly max_error_over_bound: number;
  readonly ambiguous_tokens: number;
  readonly disagreements: readonly string[];
  /** Of the routing that happened. */
  readonly flops: number;
  readonly bytes: number;
  /** From submission to completion, as the browser's clock tells them; none where the result is wrong. */
  readonly milliseconds: readonly number[];
  /** The smallest step of that clock that was seen. */
  readonly clock_step_ms: number;
}

/** What of a record the oracle says. */
export const verdictFields = (
  verdict: Verdict,
): Pick<RunRecord, "agrees" | "max_error_over_bound" | "ambiguous_tokens" | "disagreements" | "flops" | "bytes"> => ({
  agrees: verdict.disagreements.length === 0,
  max_error_over_bound: verdict.maxErrorOverBound,
  ambiguous_tokens: verdict.ambiguousTokens,
  disagreements: verdict.disagreements,
  flops: verdict.flops,
  bytes: verdict.bytes,
});

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Smallest difference of the clock that is seen within some milliseconds. */
export function clockStep(): number {
  let step = Number.POSITIVE_INFINITY;
  const end = performance.now() + 5;
  for (let before = performance.now(); before < end; ) {
    const now = performance.now();
    if (now > before) step = Math.min(step, now - before);
    before = now;
  }
  return Number.isFinite(step) ? step : 5;
}
