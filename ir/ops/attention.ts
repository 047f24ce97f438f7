import { IrError } from "../core/diagnostic.ts";
import type { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import { apply, f32, type ScalarFunction, sigmoid, variable } from "../core/scalar.ts";
import type { Tensor } from "../core/tensor.ts";
import { formatType } from "../core/types.ts";
import { numberAttribute, onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { confidence, floats, gamma, isLong, realsOf, slack, tiny32, u32 } from "./reals.ts";
import { scalarKernel } from "./scalar-kernel.ts";
import { dimAt, expectFloat, expectNoRegions, expectOperands, expectSame, operandAt } from "./shapes.ts";

const op = "attention";

/** What a query attends to, and how scores become weights. */
export interface Attention {
  /** Factor of the scores; absent means 1/√D. */
  readonly scale: number | undefined;
  /** Whether query t, at position S − T + t among the keys, sees only keys up to its own position. */
  readonly causal: boolean;
  /** How many of the most recent keys a query sees, its own included; absent means all. Causal attention only. */
  readonly window: Dim | undefined;
  /** What scaled scores pass through: cap·tanh(score / cap). */
  readonly softCap: ScalarFunction | undefined;
}

/** @throws IrError for attributes that the op does not have, or that contradict each other */
export function attentionOf(attributes: AttributeMap): Attention {
  onlyAttributes(op, attributes, ["scale", "causal", "window", "soft_cap"]);
  const { causal } = attributes;
  if (typeof causal !== "boolean")
    throw new IrError("causal of attention is neither true nor false", "Say whether a query sees later keys.");
  const window = attributes.window === undefined ? undefined : sizeAttribute(op, attributes, "window");
  if (window !== undefined && !causal)
    throw new IrError(
      "attention with a window is causal: the window counts back from a query's own position",
      "Leave the window out, or make the attention causal.",
    );
  const cap = numberAttribute(op, attributes, "soft_cap", 0);
  if (attributes.soft_cap !== undefined && cap <= 0)
    throw new IrError(`soft_cap of attention is ${cap}`, "Give a number above 0, or leave it out.");
  const scale = attributes.scale === undefined ? undefined : numberAttribute(op, attributes, "scale", 1);
  return { scale, causal, window, softCap: cap > 0 ? softCapOf(cap) : undefined };
}

/** cap·tanh(s / cap), with tanh as 2·sigmoid(2x) − 1. */
function softCapOf(cap: number): ScalarFunction {
  const s = variable("s", "f32");
  const twice = apply("mul", s, f32(2 / cap));
  return {
    params: ["s"],
    body: apply("mul", f32(cap), apply("sub", apply("mul", f32(2), sigmoid(twice)), f32(1))),
  };
}

/**
 * The keys that query t of T sees among S, as [from, end): none where `from` is not below `end`. `window` is the number of keys
 * that it sees at most.
 */
export function keysOf(
  t: number,
  tokens: number,
  keys: number,
  { causal, window }: { readonly causal: boolean; readonly window: number | undefined },
): { readonly from: number; readonly end: number } {
  if (!causal) return { from: 0, end: keys };
  const end = keys - tokens + t + 1;
  return { from: window === undefined ? 0 : Math.max(0, end - window), end };
}

/** A machine marks what a query does not see by a finite score; real scores must stay far from it. */
const largestScore = 1e29;

/**
 * softmax(scale·q·kᵀ) · v for each head, over the keys that a query sees. Query head a reads the keys and values of head
 * ⌊a·G/A⌋. A sink is one more logit of a head that has no value. A query that sees no key gives zeros.
 */
export const attention: OpDefinition = {
  name: op,
  summary: "q [T, A, D], k [S, G, D], v [S, G, M] (, sinks [A]) → f32[T, A, M]: softmax(scale·q·kᵀ + mask)·v per head",
  infer(operands, attributes, regions) {
    attentionOf(attributes);
    expectOperands(op, operands, 3, 4, "queries, keys, values, and sinks or not");
    expectNoRegions(op, regions);
    const [q, k, v] = [0, 1, 2].map((i) => operandAt(operands, i));
    expectFloat(op, "queries", q, 3, "[T, A, D]");
    expectFloat(op, "keys", k, 3, "[S, G, D]");
    expectFloat(op, "values", v, 3, "[S, G, M]");
    expectSame(op, "inner dimensions of queries and keys", dimAt(q, 2), dimAt(k, 2));
    expectSame(op, "numbers of keys and values", dimAt(k, 0), dimAt(v, 0));
    expectSame(op, "heads of keys and values", dimAt(k, 1), dimAt(v, 1));
    const [heads, groups] = [dimAt(q, 1).constant, dimAt(k, 1).constant];
    if (heads !== undefined && groups !== undefined && heads % groups !== 0)
      throw new IrError(
        `${heads} query heads cannot share ${groups} key heads evenly`,
        `Give ${formatType(q)} a number of heads that is a multiple of that of ${formatType(k)}.`,
      );
    const sinks = operands[3];
    if (sinks !== undefined) {
      expectFloat(op, "sinks", sinks, 1, "[A]");
      expectSame(op, "heads of queries and sinks", dimAt(q, 1), dimAt(sinks, 0));
    }
    return [{ dtype: "f32", dims: [dimAt(q, 0), dimAt(q, 1), dimAt(v, 2)] }];
  },
  evaluate(operands, attributes, _, context) {
    const { scale, causal, window, softCap } = attentionOf(attributes);
    const [q, k, v, sinks] = operands;
    const [tokens = 0, heads = 1, depth = 1] = q.dims;
    const [keys = 0, groups = 1] = k.dims;
    const columns = v.dims[2] ?? 1;
    if (heads % groups !== 0)
      throw new IrError(`${heads} query heads cannot share ${groups} key heads evenly`, "Give a multiple.");
    const scores = scorer(q, k, depth, scale ?? 1 / Math.sqrt(depth));
    const values = new Float64Array(tokens * heads * columns);
    const bound = new Float64Array(values.length);
    const mixer = new Mixer(v, groups, columns);
    const sinkValues = sinks && realsOf(sinks);
    for (let t = 0; t < tokens; t++) {
      const seen = keysOf(t, tokens, keys, { causal, window: window?.evaluate(context.dims) });
      for (let a = 0; a < heads; a++) {
        const group = Math.floor((a * groups) / heads);
        let logits = scores(t * heads + a, group, groups, seen);
        if (softCap !== undefined)
          logits = scalarKernel(softCap)([logits.values], [logits.bound], logits.values.length);
        const sink = sinks && sinkValues ? { value: sinkValues[a] as number, error: sinks.bound?.[a] ?? 0 } : undefined;
        mixer.mix(logits, seen.from, group, sink, values, bound, (t * heads + a) * columns);
      }
    }
    return [floats("f32", [tokens, heads, columns], values, bound)];
  },
  flops(operands, attributes, _, dims) {
    const { causal, window } = attentionOf(attributes);
    const [q, k, v] = [0, 1, 2].map((i) => operandAt(operands, i));
    const size = (type: typeof q, i: number): number => dimAt(type, i).evaluate(dims);
    const [tokens, keys] = [size(q, 0), size(k, 0)];
    const limit = window?.evaluate(dims);
    let pairs = 0;
    for (let t = 0; t < tokens; t++) {
      const { from, end } = keysOf(t, tokens, keys, { causal, window: limit });
      pairs += Math.max(0, end - from);
    }
    // Each pair: a product over D, exp and its argument, a product over M.
    return size(q, 1) * pairs * (2 * size(q, 2) + 3 + 2 * size(v, 2));
  },
};

/** Numbers with the largest error of each. */
interface Bounded {
  readonly values: Float64Array;
  readonly bound: Float64Array;
}

/**
 * Scaled scores of one query and the keys that it sees. Bounds as those of a product (product.ts), where both factors may have
 * errors; 3u more for scaling the query or the sum.
 */
function scorer(
  q: Tensor,
  k: Tensor,
  depth: number,
  scale: number,
): (query: number, group: number, groups: number, seen: { readonly from: number; readonly end: number }) => Bounded {
  const [queries, keys] = [realsOf(q), realsOf(k)];
  const relative = gamma(depth) + 3 * u32;
  const walk = isLong(depth);
  const inexact = q.bound !== undefined || k.bound !== undefined;
  return (query, group, groups, { from, end }) => {
    const values = new Float64Array(Math.max(0, end - from));
    const bound = new Float64Array(values.length);
    for (let j = 0; j < values.length; j++) {
      const [x, y] = [query * depth, ((from + j) * groups + group) * depth];
      let sum = 0;
      let size = 0;
      let linear = 0;
      let squares = 0;
      for (let i = 0; i < depth; i++) {
        const [a, b] = [queries[x + i] as number, keys[y + i] as number];
        sum += a * b;
        if (!inexact) {
          size += Math.abs(a * b);
          continue;
        }
        const [ea, eb] = [q.bound?.[x + i] ?? 0, k.bound?.[y + i] ?? 0];
        size += (Math.abs(a) + ea) * (Math.abs(b) + eb);
        if (walk) {
          squares += (ea * b) ** 2 + (a * eb) ** 2;
          linear += ea * eb;
        } else linear += ea * Math.abs(b) + Math.abs(a) * eb + ea * eb;
      }
      values[j] = scale * sum;
      bound[j] =
        Math.abs(scale) * (relative * size + linear + confidence * Math.sqrt(squares) + depth * tiny32) + tiny32;
    }
    return { values, bound };
  };
}

/**
 * Weighs values by the softmax of logits.
 *
 * A machine gives key j the weight ŵⱼ = wⱼ·exp(δⱼ): the same number in the sum of weights and in the sum of weighted values, also
 * where it works through the keys in blocks and scales earlier sums by exp(m − m′) whenever the largest logit grows from m to m′.
 * |δⱼ| ≤ eⱼ + 5u·d + 8u·(1 + r): the logit's error; roundings of arguments and of exp that grow with the distance d from the
 * largest logit (those of all scalings add up to d); 3 units in the last place (WGSL) for each of at most r = n scalings, which
 * for long rows add as a random walk. As Σ wⱼ(vⱼ − o) = 0 for the exact result o, that changes o by
 * Σ (ŵⱼ − wⱼ)(vⱼ − o) / Σ ŵⱼ, at most Σ wⱼ(exp δⱼ − 1)|vⱼ − o| / Σ wⱼ exp(−δⱼ). Both sums have n terms and n scalings; a
 * division, or a product with the reciprocal, follows. Weights that underflow are off by the smallest normal number. A sink is a key of value 0.
 */
class Mixer {
  readonly #v: Tensor;
  readonly #values: Float64Array;
  readonly #groups: number;
  readonly #columns: number;

  constructor(v: Tensor, groups: number, columns: number) {
    this.#v = v;
    this.#values = realsOf(v);
    this.#groups = groups;
    this.#columns = columns;
  }

  /** Writes the result of keys `first` … and its error bounds at `at`. */
  mix(
    logits: Bounded,
    first: number,
    group: number,
    sink: { readonly value: number; readonly error: number } | undefined,
    out: Float64Array,
    bound: Float64Array,
    at: number,
  ): void {
    const n = logits.values.length;
    if (n === 0) return;
    const { weights, low, high, total } = this.#weights(logits, sink);
    const columns = this.#columns;
    const place = (j: number, c: number): number => ((first + j) * this.#groups + group) * columns + c;
    const sums = 2 * gamma(2 * n + 4) + 8 * u32 + slack;
    for (let c = 0; c < columns; c++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += (weights[j] as number) * (this.#values[place(j, c)] as number);
      const o = sum / total;
      // The sink's value is 0.
      let moved = (high[n] - (weights[n] as number)) * Math.abs(o);
      let farthest = sink === undefined ? 0 : Math.abs(o);
      let size = 0;
      let largest = 0;
      let linear = 0;
      let squares = 0;
      for (let j = 0; j < n; j++) {
        const [v, e] = [this.#values[place(j, c)] as number, this.#v.bound?.[place(j, c)] ?? 0];
        const up = high[j] as number;
        moved += (up - (weights[j] as number)) * Math.abs(v - o);
        farthest = Math.max(farthest, Math.abs(v - o));
        size += up * (Math.abs(v) + e);
        largest = Math.max(largest, Math.abs(v) + e);
        linear += up * e;
        squares += (up * e) ** 2;
      }
      const inherited = isLong(n) ? Math.min(linear, confidence * Math.sqrt(squares)) : linear;
      const error =
        Math.min(moved / low, farthest) +
        sums * Math.min(size / low, largest) +
        inherited / low +
        (n + 2) * tiny32 * (1 + largest);
      out[at + c] = o;
      bound[at + c] = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
    }
  }

  /** Weights exp(logit − largest), the sink's last; their largest possible values; and the sums of the smallest and the exact ones. */
  #weights({ values, bound }: Bounded, sink: { readonly value: number; readonly error: number } | undefined) {
    const n = values.length;
    let largest = sink?.value ?? Number.NEGATIVE_INFINITY;
    let largestError = sink?.error ?? 0;
    for (let j = 0; j < n; j++) {
      largest = Math.max(largest, values[j] as number);
      largestError = Math.max(largestError, bound[j] as number);
    }
    const scalings = isLong(n) ? confidence * Math.sqrt(n) : n;
    const weights = new Float64Array(n + 1);
    const high = new Float64Array(n + 1);
    let low = 0;
    let total = 0;
    for (let j = 0; j <= n; j++) {
      if (j === n && sink === undefined) break;
      const [z, e] = j === n && sink ? [sink.value, sink.error] : [values[j] as number, bound[j] as number];
      const distance = largest - z + e + largestError;
      const delta = Math.abs(z) + e > largestScore ? Number.NaN : e + u32 * (5 * distance + 8 * (1 + scalings));
      const w = Math.exp(z - largest);
      weights[j] = w;
      high[j] = w * Math.exp(delta);
      low += w * Math.exp(-delta);
      total += w;
    }
    return { weights, high, low, total };
  }
}
