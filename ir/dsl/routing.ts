import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { AttributeMap, Value } from "../core/layer.ts";
import { add, map } from "./ops.ts";
import { concrete, EagerTensor, evaluate, evaluateChecked, evaluateOne, stack } from "./tensor.ts";
import type { DimName, Dims, Expert, Last, SameDim, Tail, Tensor } from "./types.ts";

/** How each token chooses its experts, in the order in which the parts apply. */
export interface RouteOptions<T extends DimName = DimName, N extends DimName = DimName> {
  /**
   * Of the logits of all experts together: "softmax"; of each alone: "sigmoid", "sqrt-softplus", "none" (the logit itself), or an
   * own function of the logit.
   */
  readonly score: "softmax" | "sigmoid" | "sqrt-softplus" | "none" | ((logit: number) => number);
  /** What experts are chosen by: their score (default), or their logit. */
  readonly selectBy?: "score" | "logits";
  /** Added for choosing only. */
  readonly selectBias?: Tensor<[N]>;
  /**
   * Only experts of the `keep` best of `count` groups of neighbours can be chosen. A group is as good as its best key ("max"), or
   * its two best added ("top2").
   */
  readonly groups?: { readonly count: number; readonly keep: number; readonly by: "max" | "top2" };
  /** Experts per token: those with the largest key. On ties the lowest id wins. */
  readonly topK: number;
  /** Instead: the experts of each token are a row of a table, by the token's id. */
  readonly table?: {
    readonly experts: Tensor<readonly [DimName, DimName], "i32">;
    readonly tokenIds: Tensor<[T], "i32">;
  };
  /**
   * The weight of a chosen expert: its score (default) without the bias; "softmax" over the chosen logits; "sigmoid" of its logit;
   * or `sequential`: softmax over the logits l not chosen before it that are near its own, z: z − l ≤ sequential · max(|l|, z).
   */
  readonly weight?: "score" | "softmax" | "sigmoid" | { readonly sequential: number };
  /** What a token's weights are divided by: "sum"; the sum + epsilon; the sum, but at least so much; their p-norm. Default "none". */
  readonly renormalise?:
    | "none"
    | "sum"
    | { readonly epsilon: number }
    | { readonly atLeast: number }
    | { readonly norm: number };
  /** The weights are multiplied by it. Default 1. */
  readonly scale?: number;
  /** The weight of each expert is multiplied by its own number. */
  readonly expertScale?: Tensor<[N]>;
  /**
   * Kinds of experts, in the order of their ids: `ffn` run the body; `identity` return the token; each row of `constant` [C, N] is
   * what an expert gives for every token; `zero` give nothing.
   */
  readonly experts: {
    readonly ffn: number;
    readonly identity?: number;
    readonly constant?: Tensor<readonly [DimName, DimName]>;
    readonly zero?: number;
  };
}

/** Which experts each token chose, and with what weights. */
export interface Routing<T extends DimName = DimName> {
  /** Expert ids, best first. */
  readonly ids: Tensor<[T, number], "i32">;
  readonly weights: Tensor<[T, number], "f32">;
  /**
   * Σ over the chosen experts: weight · expert(token). The body says what one FFN expert makes of one token;
   * identity experts return the token and are never computed. A body with a third parameter is given its weight, and applies it
   * itself.
   */
  mix<X extends Dims, N extends Dims>(
    x: Tensor<X> & TokensFit<T, X>,
    body: (token: Tensor<Tail<X>>, e: Expert, weight: Tensor<[1], "f32">) => Tensor<N>,
  ): Tensor<[T, ...N], "f32">;
}

type TokensFit<T extends DimName, X extends Dims> = X extends readonly [infer F extends DimName, DimName]
  ? SameDim<F, T> extends true
    ? unknown
    : `tokens differ: ${T} were routed, ${F} are mixed`
  : "mix takes [tokens, hidden]";

/** Chooses experts by their logits [T, N]. */
export function route<L extends Dims>(
  logits: Tensor<L>,
  options: RouteOptions<L[0] & DimName, Last<L>>,
): Routing<L[0] & DimName> {
  const { selectBias, table, expertScale, experts } = options;
  const { ffn, identity = 0, zero = 0 } = experts;
  const constant = experts.constant === undefined ? undefined : concrete(experts.constant, "constant");
  const all = ffn + identity + (constant?.dims[0] ?? 0) + zero;
  const z = concrete(logits, "the logits of route");
  if (z.dims.at(-1) !== all) {
    throw new IrError(
      `the router gives ${z.dims.at(-1)} logits per token, but there are ${all} experts`,
      "Make the number of all experts the last dimension of the logits.",
    );
  }
  const extras = [
    ["select_bias", selectBias, "selectBias"],
    ["table", table?.experts, "the table"],
    ["token_ids", table?.tokenIds, "the token ids"],
    ["expert_scale", expertScale, "expertScale"],
  ] as const;
  const given = extras.filter(([, value]) => value !== undefined);
  const { score } = options;
  if (typeof score === "function" && ownScoreAlone(options) !== undefined)
    throw new IrError(`an own score does not go with ${ownScoreAlone(options)}`, ownScoreHelp);
  // An own score is opaque, so it is called for each logit; the router then works on what it gives.
  const from = typeof score === "function" ? concrete(map(logits, score), "the scores") : z;
  const [ids, weights] = evaluateChecked("route", [from, ...given.map(([, value, what]) => concrete(value, what))], {
    ...(given.length === 0 ? {} : { with: given.map(([name]) => name) }),
    score: typeof score === "function" ? "none" : score.replace("-", "_"),
    top_k: options.topK,
    ...routerParts(options),
  });
  const [chosen, factors] = [concrete(ids, "ids"), concrete(weights, "weights")];
  const mix = (x: unknown, body: EagerBody): EagerTensor => {
    const mixed = mixEagerly(concrete(x, "the tokens of mix"), chosen, factors, ffn, identity, body);
    if (constant === undefined) return mixed;
    const share = evaluateOne("constant_experts", [constant, chosen, factors], { first: ffn + identity });
    return concrete(add(mixed as unknown as Tensor<Dims>, share as unknown as Tensor<Dims>), "the mixture");
  };
  return { ids, weights, mix } as unknown as Routing<L[0] & DimName>;
}

/** What an own score cannot be combined with, of what is given: it is both what experts are chosen by and what they weigh. */
export const ownScoreAlone = (options: {
  readonly selectBy?: unknown;
  readonly weight?: unknown;
}): string | undefined =>
  options.selectBy === "logits"
    ? 'selectBy "logits"'
    : (options.weight ?? "score") !== "score"
      ? "another weight"
      : undefined;

export const ownScoreHelp = "Experts are chosen and weighed by an own score: leave the other out.";

/** The attributes of the op for the parts of a router that are words and numbers; parts left out have none. */
export function routerParts(options: {
  readonly selectBy?: RouteOptions["selectBy"];
  readonly groups?: { readonly count: number | Dim; readonly keep: number | Dim; readonly by: "max" | "top2" };
  readonly weight?: RouteOptions["weight"];
  readonly renormalise?: RouteOptions["renormalise"];
  readonly scale?: number;
}): AttributeMap {
  const { selectBy = "score", groups, weight = "score", renormalise = "none", scale = 1 } = options;
  const divisor =
    typeof renormalise === "object" && "atLeast" in renormalise ? { at_least: renormalise.atLeast } : renormalise;
  return {
    ...(selectBy === "score" ? {} : { key: selectBy }),
    ...(groups === undefined ? {} : { groups: { ...groups } }),
    ...(weight === "score" ? {} : { weight: typeof weight === "object" ? { ...weight } : weight }),
    renormalise: divisor,
    scale,
  };
}

type EagerBody = (token: EagerTensor, e: number, weight: EagerTensor) => unknown;

/** Runs the body for each token's experts in turn, as an author would step through it, then mixes by the op's meaning. */
function mixEagerly(
  x: EagerTensor,
  ids: EagerTensor,
  weights: EagerTensor,
  ffn: number,
  identity: number,
  body: EagerBody,
): EagerTensor {
  const topK = ids.dims[1] ?? 1;
  const rows = new Map<number, EagerTensor[]>();
  ids.data.forEach((e, slot) => {
    if (e >= ffn) return;
    const token = x[Math.floor(slot / topK)];
    const weight = new EagerTensor({ dtype: "f32", dims: [1], data: Float64Array.of(Number(weights.data[slot])) });
    const row = concrete(body(token, e, weight), "the result of the expert's body");
    rows.set(e, [...(rows.get(e) ?? []), row]);
  });
  // Without a chosen FFN expert there is no row to tell the width; that of the token serves.
  const dims = rows.values().next().value?.[0]?.dims ?? x.dims.slice(1);
  const value = (name: string, type: Value["type"]): Value => ({ name, type });
  const token = value("token", { dtype: x.dtype, dims: x.type.dims.slice(1) });
  const expert = value("expert", { dtype: "i32", dims: [] });
  const result = value("result", { dtype: "f32", dims: dims.map((d) => Dim.of(d)) });
  // A body that takes its weight has applied it.
  const own = body.length > 2 ? [value("weight", { dtype: "f32", dims: [Dim.of(1)] })] : [];
  const region = { args: [token, expert, ...own], body: [], results: [result] };
  const mixType = { dtype: "f32", dims: [Dim.of(x.dims[0] ?? 0), ...result.type.dims] } as const;
  const [mixed] = evaluate("mix", [x, ids, weights], { ffn, identity }, [value("mix", mixType)], {
    region,
    run: ([, e]) => [stack(rows.get(Number(e?.data[0])) ?? [], dims)],
  });
  return concrete(mixed, "the result of mix");
}
