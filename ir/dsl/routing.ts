import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { Value } from "../core/layer.ts";
import { concrete, type EagerTensor, evaluate, evaluateChecked, stack } from "./tensor.ts";
import type { AnyTensor, DimName, Dims, Expert, Last, SameDim, Tail, Tensor } from "./types.ts";

/** How each token chooses its experts, in the order in which the parts apply. */
export interface RouteOptions<N extends DimName = DimName> {
  /** Of the logits of all experts together: "softmax"; of each alone: "sigmoid", "none". */
  readonly score: "softmax" | "sigmoid" | "none";
  /** Added to the score for choosing; the weights stay those of the score alone. */
  readonly selectBias?: AnyTensor<[N]>;
  /** Experts per token: those with the largest score (+ bias). On ties the lowest id wins. */
  readonly topK: number;
  /** "sum": the weights of a token are divided by their sum. Default "none". */
  readonly renormalise?: "none" | "sum";
  /** The weights are multiplied by it. Default 1. */
  readonly scale?: number;
  /** Ids below `ffn` run the body; the `identity` ids after them return the token. */
  readonly experts: { readonly ffn: number; readonly identity?: number };
}

/** Which experts each token chose, and with what weights. */
export interface Routing<T extends DimName = DimName> {
  /** Expert ids, best first. */
  readonly ids: Tensor<[T, number], "i32">;
  readonly weights: Tensor<[T, number], "f32">;
  /**
   * Σ over the chosen experts: weight · expert(token). The body says what one FFN expert makes of one token;
   * identity experts return the token and are never computed.
   */
  mix<X extends Dims, N extends Dims>(
    x: AnyTensor<X> & TokensFit<T, X>,
    body: (token: Tensor<Tail<X>>, e: Expert) => AnyTensor<N>,
  ): Tensor<[T, ...N], "f32">;
}

type TokensFit<T extends DimName, X extends Dims> = X extends readonly [infer F extends DimName, DimName]
  ? SameDim<F, T> extends true
    ? unknown
    : `tokens differ: ${T} were routed, ${F} are mixed`
  : "mix takes [tokens, hidden]";

/** Chooses experts by their logits [T, N]. */
export function route<L extends Dims>(logits: AnyTensor<L>, options: RouteOptions<Last<L>>): Routing<L[0] & DimName> {
  const { score, selectBias, topK, renormalise = "none", scale = 1, experts } = options;
  const { ffn, identity = 0 } = experts;
  const scores = concrete(logits, "the logits of route");
  if (scores.dims.at(-1) !== ffn + identity) {
    throw new IrError(
      `the router gives ${scores.dims.at(-1)} logits per token, but there are ${ffn + identity} experts`,
      "Make ffn + identity the last dimension of the logits.",
    );
  }
  const operands = selectBias === undefined ? [scores] : [scores, concrete(selectBias, "selectBias")];
  const [ids, weights] = evaluateChecked("route", operands, {
    score,
    select: selectBias === undefined ? "score" : "biased",
    top_k: topK,
    renormalise,
    scale,
  });
  const [chosen, factors] = [concrete(ids, "ids"), concrete(weights, "weights")];
  const mix = (x: unknown, body: (token: EagerTensor, e: number) => unknown): EagerTensor =>
    mixEagerly(concrete(x, "the tokens of mix"), chosen, factors, ffn, identity, body);
  return { ids, weights, mix } as unknown as Routing<L[0] & DimName>;
}

/** Runs the body for each token's experts in turn, as an author would step through it, then mixes by the op's meaning. */
function mixEagerly(
  x: EagerTensor,
  ids: EagerTensor,
  weights: EagerTensor,
  ffn: number,
  identity: number,
  body: (token: EagerTensor, e: number) => unknown,
): EagerTensor {
  const topK = ids.dims[1] ?? 1;
  const rows = new Map<number, EagerTensor[]>();
  ids.data.forEach((e, slot) => {
    if (e >= ffn) return;
    const token = x[Math.floor(slot / topK)];
    const row = concrete(body(token, e), "the result of the expert's body");
    rows.set(e, [...(rows.get(e) ?? []), row]);
  });
  // Without a chosen FFN expert there is no row to tell the width; that of the token serves.
  const dims = rows.values().next().value?.[0]?.dims ?? x.dims.slice(1);
  const value = (name: string, type: Value["type"]): Value => ({ name, type });
  const token = value("token", { dtype: x.dtype, dims: x.type.dims.slice(1) });
  const expert = value("expert", { dtype: "i32", dims: [] });
  const result = value("result", { dtype: "f32", dims: dims.map((d) => Dim.of(d)) });
  const region = { args: [token, expert], body: [], results: [result] };
  const mixType = { dtype: "f32", dims: [Dim.of(x.dims[0] ?? 0), ...result.type.dims] } as const;
  const [mixed] = evaluate("mix", [x, ids, weights], { ffn, identity }, [value("mix", mixType)], {
    region,
    run: ([, e]) => [stack(rows.get(Number(e?.data[0])) ?? [], dims)],
  });
  return concrete(mixed, "the result of mix");
}
