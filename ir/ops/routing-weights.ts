import { apply, f32, type ScalarExpr, type ScalarFunction, variable } from "../core/scalar.ts";
import { gamma, slack, tiny32, u32 } from "./reals.ts";
import { type Renormalisation, type Router, sigmoidOfLogit } from "./router.ts";
import { scalarKernel } from "./scalar-kernel.ts";
import { type Scores, softmax } from "./scores.ts";

/** The sizes of a routing. */
interface Sizes {
  readonly tokens: number;
  readonly experts: number;
  readonly k: number;
}

const of = (build: (w: ScalarExpr) => ScalarExpr): ScalarFunction => ({
  params: ["w"],
  body: build(variable("w", "f32")),
});
const product: ScalarFunction = { params: ["a", "b"], body: apply("mul", variable("a", "f32"), variable("b", "f32")) };

/** w to the power of a whole number, as products. */
export const power = (w: ScalarExpr, p: number): ScalarExpr =>
  Array.from({ length: p - 1 }, () => w).reduce((a, b) => apply("mul", a, b), w);

/** The p-th root of a sum. */
export const root = (sum: ScalarExpr, p: number): ScalarExpr =>
  p === 1 ? sum : p === 2 ? apply("sqrt", sum) : apply("exp", apply("div", apply("log", sum), f32(p)));

/** What is summed for the divisor, and what the divisor is of the sum. */
export function divisorOf(renormalise: Renormalisation): {
  readonly term: (w: ScalarExpr) => ScalarExpr;
  readonly divisor: (sum: ScalarExpr) => ScalarExpr;
} {
  const same = (w: ScalarExpr): ScalarExpr => w;
  switch (renormalise.kind) {
    case "epsilon":
      return { term: same, divisor: (sum) => apply("add", sum, f32(renormalise.value)) };
    case "at_least":
      return { term: same, divisor: (sum) => apply("max", sum, f32(renormalise.value)) };
    case "norm": {
      const p = renormalise.value;
      return { term: (w) => power(apply("abs", w), p), divisor: (sum) => root(sum, p) };
    }
    default:
      return { term: same, divisor: same };
  }
}

/** Weights [tokens, k] of the chosen experts: taken, renormalised, scaled. */
export function weightsOf(
  router: Router,
  logits: Scores,
  scores: Scores,
  ids: Int32Array,
  expertScale: Scores | undefined,
  sizes: Sizes,
): Scores {
  let weights = sourceOf(router.weight, logits, scores, ids, sizes);
  if (router.renormalise.kind !== "none") weights = renormalised(weights, router.renormalise, sizes);
  if (router.scale !== 1) {
    const { scale } = router;
    weights = scalarKernel(of((w) => apply("mul", w, f32(scale))))([weights.values], [weights.bound], ids.length);
  }
  if (expertScale !== undefined) {
    const own = taken(expertScale, ids, sizes, false);
    weights = scalarKernel(product)([weights.values, own.values], [weights.bound, own.bound], ids.length);
  }
  return weights;
}

function sourceOf(weight: Router["weight"], logits: Scores, scores: Scores, ids: Int32Array, sizes: Sizes): Scores {
  if (weight === "score") return taken(scores, ids, sizes);
  if (typeof weight === "object") return sequential(weight.sequential, logits, ids, sizes);
  const chosen = taken(logits, ids, sizes);
  if (weight === "softmax") return softmax(chosen, sizes.tokens, sizes.k);
  return scalarKernel(sigmoidOfLogit)([chosen.values], [chosen.bound], ids.length);
}

/** The chosen experts' entries of numbers per token and expert, or per expert alone. */
function taken(from: Scores, ids: Int32Array, { experts, k }: Sizes, perToken = true): Scores {
  const at = (slot: number): number => (perToken ? Math.floor(slot / k) * experts : 0) + ids[slot];
  const { bound } = from;
  return {
    values: Float64Array.from(ids, (_, slot) => from.values[at(slot)]),
    bound: bound && Float64Array.from(ids, (_, slot) => bound[at(slot)]),
  };
}

/**
 * Softmax over the logits that are still open and near the chosen one, z: l with z − l ≤ threshold · max(|l|, z). The weight is
 * 1 / Σ exp(l − z). Where rounding may turn the condition for an expert, the sum may hold its term or not. Errors of a term as
 * for softmax.
 */
function sequential(threshold: number, logits: Scores, ids: Int32Array, { experts, k }: Sizes): Scores {
  const values = new Float64Array(ids.length);
  const bound = new Float64Array(ids.length);
  const factorError = Math.abs(threshold - Math.fround(threshold)) + 2 * u32 * threshold;
  const open = new Set<number>();
  ids.forEach((id, slot) => {
    if (slot % k === 0) for (let e = 0; e < experts; e++) open.add(e);
    const row = Math.floor(slot / k) * experts;
    const z = logits.values[row + id];
    const ez = logits.bound?.[row + id] ?? 0;
    let [sum, low, high] = [1, 1, 1 + 6 * u32];
    open.delete(id);
    for (const e of open) {
      const l = logits.values[row + e];
      const el = logits.bound?.[row + e] ?? 0;
      if (l === Number.NEGATIVE_INFINITY) continue;
      const size = Math.max(Math.abs(l), z);
      const gap = z - l;
      const room =
        ez +
        el +
        u32 * (Math.abs(gap) + ez + el) +
        threshold * Math.max(ez, el) +
        factorError * (Math.abs(size) + el + ez) +
        tiny32;
      const beyond = gap - threshold * size;
      if (beyond > room) continue;
      const d = Math.abs(gap) + ez + el;
      const delta = ez + el + u32 * d + Math.log1p(2 * (3 + 2 * d) * u32);
      const term = Math.exp(-gap);
      if (beyond <= 0) sum += term;
      high += term * Math.exp(delta);
      if (beyond <= -room) low += term * Math.exp(-delta);
    }
    const w = 1 / sum;
    values[slot] = w;
    const relative = gamma(experts) + 8 * u32;
    bound[slot] = Math.max(1 / low - w, w - 1 / high, 0) + relative * (1 / low) + tiny32;
  });
  return { values, bound };
}

/**
 * Each weight divided by its token's divisor. For q = w/s with errors ew and es: |q̂ − q| ≤ (ew + |q|·es)/(|s| − es), and six
 * units for dividing or for multiplying by a reciprocal.
 */
function renormalised(weights: Scores, renormalise: Renormalisation, { tokens, k }: Sizes): Scores {
  const { term, divisor } = divisorOf(renormalise);
  const terms = scalarKernel(of(term))([weights.values], [weights.bound], tokens * k);
  const sums = new Float64Array(tokens);
  const errors = new Float64Array(tokens);
  for (let t = 0; t < tokens; t++) {
    let reach = 0;
    for (let i = t * k; i < (t + 1) * k; i++) {
      sums[t] = sums[t] + terms.values[i];
      errors[t] = errors[t] + terms.bound[i];
      reach += Math.abs(terms.values[i]) + terms.bound[i];
    }
    errors[t] = errors[t] + (k + 1) * (u32 + slack) * reach;
  }
  const divisors = scalarKernel(of(divisor))([sums], [errors], tokens);
  const values = new Float64Array(tokens * k);
  const bound = new Float64Array(tokens * k);
  for (let i = 0; i < values.length; i++) {
    const t = Math.floor(i / k);
    const s = divisors.values[t];
    const room = Math.abs(s) - divisors.bound[t];
    const q = weights.values[i] / s;
    const error =
      room > 0 ? ((weights.bound?.[i] ?? 0) + Math.abs(q) * divisors.bound[t]) / room : Number.POSITIVE_INFINITY;
    values[i] = q;
    bound[i] = error + 6 * u32 * (Math.abs(q) + error) + tiny32;
  }
  return { values, bound };
}
