import { concrete, type EagerTensor, evaluateOne } from "./tensor.ts";
import type { DimName, Dims, SameDim, Tensor } from "./types.ts";

/** What a query attends to, and how scores become weights. `A` are the query's heads. */
export interface AttentionOptions<A extends DimName = DimName> {
  /** Query t of T, at position S − T + t among the S keys, sees keys up to its own position. Default true. */
  readonly causal?: boolean;
  /** A query sees at most so many of the most recent keys, its own included. Default: all. */
  readonly window?: number;
  /** Factor of the scores. Default 1/√D. */
  readonly scale?: number;
  /** Scores become softCap·tanh(score / softCap). */
  readonly softCap?: number;
  /** One more logit for each head, which takes weight and gives nothing. */
  readonly sinks?: Tensor<readonly [A]>;
}

type Shape<D extends Dims, Expected extends string, What extends string> = D extends readonly [
  DimName,
  DimName,
  DimName,
]
  ? unknown
  : `${What} of attention have 3 dimensions ${Expected}`;

type At<D extends Dims, I extends number> = D[I] & DimName;

/** `unknown` where the keys fit the queries, else the message that the editor shows. */
type KeysFit<Q extends Dims, K extends Dims> =
  Shape<K, "[S, G, D]", "keys"> extends string
    ? Shape<K, "[S, G, D]", "keys">
    : SameDim<At<Q, 2>, At<K, 2>> extends true
      ? unknown
      : `inner dimensions of queries and keys differ: ${At<Q, 2>} vs ${At<K, 2>}`;

/** `unknown` where the values fit the keys, else the message that the editor shows. */
type ValuesFit<K extends Dims, V extends Dims> =
  Shape<V, "[S, G, M]", "values"> extends string
    ? Shape<V, "[S, G, M]", "values">
    : SameDim<At<K, 0>, At<V, 0>> extends true
      ? SameDim<At<K, 1>, At<V, 1>> extends true
        ? unknown
        : `heads of keys and values differ: ${At<K, 1>} vs ${At<V, 1>}`
      : `numbers of keys and values differ: ${At<K, 0>} vs ${At<V, 0>}`;

/**
 * softmax(scale·q·kᵀ) · v for each head: q [T, A, D], k [S, G, D] and v [S, G, M] give [T, A, M]. A is a multiple of G: query head
 * a reads the keys of head ⌊a·G/A⌋. With a cache of P earlier tokens, S = P + T. A query that sees no key gives zeros.
 */
export function attention<Q extends Dims, K extends Dims, V extends Dims>(
  q: Tensor<Q> & Shape<Q, "[T, A, D]", "queries">,
  k: Tensor<K> & KeysFit<Q, K>,
  v: Tensor<V> & ValuesFit<K, V>,
  options: AttentionOptions<At<Q, 1>> = {},
): Tensor<[At<Q, 0>, At<Q, 1>, At<V, 2>], "f32"> {
  const { causal = true, window, scale, softCap, sinks } = options;
  const operands: EagerTensor[] = [
    concrete(q, "the queries of attention"),
    concrete(k, "the keys of attention"),
    concrete(v, "the values of attention"),
    ...(sinks === undefined ? [] : [concrete(sinks, "the sinks of attention")]),
  ];
  const made = evaluateOne("attention", operands, {
    causal,
    ...(window === undefined ? {} : { window }),
    ...(scale === undefined ? {} : { scale }),
    ...(softCap === undefined ? {} : { soft_cap: softCap }),
  });
  return made as unknown as Tensor<[At<Q, 0>, At<Q, 1>, At<V, 2>], "f32">;
}

/** `unknown` where a product per head fits, else the message that the editor shows. */
type HeadsFit<X extends Dims, W extends Dims> = X extends readonly [DimName, DimName, DimName]
  ? W extends readonly [DimName, DimName, DimName]
    ? SameDim<At<X, 1>, At<W, 0>> extends true
      ? SameDim<At<X, 2>, At<W, 2>> extends true
        ? unknown
        : `inner dimensions differ: ${At<X, 2>} vs ${At<W, 2>}`
      : `heads differ: ${At<X, 1>} vs ${At<W, 0>}`
    : "a weight of headLinear has 3 dimensions [A, N, K]"
  : "headLinear takes [T, A, K]";

/** A product per head: x [T, A, K] and w [A, N, K] give [T, A, N], with y[t, a] = x[t, a]·w[a]ᵀ, summed in f32. */
export function headLinear<X extends Dims, W extends Dims>(
  x: Tensor<X>,
  w: Tensor<W> & HeadsFit<X, W>,
): Tensor<[At<X, 0>, At<X, 1>, At<W, 1>], "f32"> {
  const operands = [concrete(x, "the input of headLinear"), concrete(w, "the weight of headLinear")];
  return evaluateOne("head_linear", operands, {}) as unknown as Tensor<[At<X, 0>, At<X, 1>, At<W, 1>], "f32">;
}
