import { IrError } from "../core/diagnostic.ts";
import type { AttributeMap } from "../core/layer.ts";
import type { Tensor } from "../core/tensor.ts";
import { elementCount, formatType } from "../core/types.ts";
import { choiceAttribute, numberAttribute, onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { floats, integers, realsOf, slack, tiny32, u32 } from "./reals.ts";
import { type Scores, scoresOf } from "./scores.ts";
import { explains, isAmbiguous, select } from "./selection.ts";
import { dimAt, expectFloat, expectNoRegions, expectOperands, expectSame, operandAt } from "./shapes.ts";

const scoreKinds = ["softmax", "sigmoid", "none"] as const;

/** Chooses K experts for each token, and says what each weighs. */
export const route: OpDefinition = {
  name: "route",
  summary:
    "logits [T, E+Z] (, bias [E+Z]) → ids i32[T, K], weights f32[T, K]: the K largest keys in descending order, lowest id first on ties",
  infer(operands, attributes, regions) {
    onlyAttributes("route", attributes, ["score", "select", "top_k", "renormalise", "scale"]);
    expectOperands("route", operands, 1, 2, "logits and maybe a selection bias");
    expectNoRegions("route", regions);
    const logits = operandAt(operands, 0);
    expectFloat("route", "logits", logits, 2, "[T, E]");
    const { biased } = routeAttributes(attributes);
    if (biased !== (operands.length === 2))
      throw new IrError(
        biased ? 'route selects by "biased" scores without a bias' : "route has a bias that it does not select by",
        'Give a bias together with select = "biased", or neither.',
      );
    const experts = dimAt(logits, 1);
    const bias = operands[1];
    if (bias !== undefined) {
      expectFloat("route", "the bias", bias, 1, "[E]");
      expectSame("route", "experts of the logits and of the bias", experts, dimAt(bias, 0));
    }
    const k = sizeAttribute("route", attributes, "top_k");
    if (k.constant !== undefined && experts.constant !== undefined && k.constant > experts.constant)
      throw new IrError(
        `top_k is ${k}, but there are only ${experts} experts`,
        `Choose at most ${experts} experts per token, or give the router ${formatType(logits)} more of them.`,
      );
    const dims = [dimAt(logits, 0), k];
    return [
      { dtype: "i32", dims },
      { dtype: "f32", dims },
    ];
  },
  evaluate(operands, attributes, _, context) {
    const [logits, bias] = operands as [Tensor, Tensor?];
    const [tokens = 0, experts = 0] = logits.dims;
    const k = sizeAttribute("route", attributes, "top_k").evaluate(context.dims);
    if (k > experts)
      throw new IrError(`top_k is ${k}, but there are only ${experts} experts`, `Choose at most ${experts} experts.`);
    const routing = context.routing(context.results[0]);
    const { choice } = routing;
    if (choice !== undefined && choice.length !== tokens * k)
      throw new IrError(
        `a choice of ${choice.length} experts is given for ${tokens} tokens with ${k} experts each`,
        "Give the ids [T, K] of the same tokens.",
      );
    const { score, renormalise, scale } = routeAttributes(attributes);
    const scores = scoresOf(score, realsOf(logits), logits.bound, tokens, experts);
    const keys = bias === undefined ? scores : biasedKeys(scores, bias, tokens, experts);
    const ids = new Int32Array(tokens * k);
    const ambiguous: number[] = [];
    const wrong: number[] = [];
    for (let t = 0; t < tokens; t++) {
      const row: Scores = {
        values: keys.values.subarray(t * experts, (t + 1) * experts),
        bound: keys.bound?.subarray(t * experts, (t + 1) * experts),
      };
      const order = select(row.values);
      if (isAmbiguous(row, order, k)) ambiguous.push(t);
      const own = order.subarray(0, k);
      const given = choice?.subarray(t * k, (t + 1) * k);
      const accepted = given === undefined || given.every((id, i) => id === own[i]) || explains(row, given);
      if (!accepted) wrong.push(t);
      ids.set(given !== undefined && accepted ? given : own, t * k);
    }
    routing.report({ ambiguous, wrong });
    const weights = weightsOf(scores, ids, tokens, experts, k, renormalise === "sum", scale);
    return [integers([tokens, k], ids), weights];
  },
  flops(operands, attributes, results, dims) {
    const { score, biased, renormalise, scale } = routeAttributes(attributes);
    const all = elementCount(operandAt(operands, 0)).evaluate(dims);
    const chosen = elementCount(operandAt(results, 0)).evaluate(dims);
    // softmax: subtract, exp, sum, divide; sigmoid: negate, exp, add, divide. Comparisons are no arithmetic.
    return (
      all * ((score === "none" ? 0 : 4) + (biased ? 1 : 0)) +
      chosen * ((renormalise === "sum" ? 2 : 0) + (scale === 1 ? 0 : 1))
    );
  },
};

function routeAttributes(attributes: AttributeMap) {
  return {
    score: choiceAttribute("route", attributes, "score", scoreKinds),
    biased: choiceAttribute("route", attributes, "select", ["score", "biased"], "score") === "biased",
    renormalise: choiceAttribute("route", attributes, "renormalise", ["none", "sum"], "none"),
    scale: numberAttribute("route", attributes, "scale", 1),
  };
}

function biasedKeys(scores: Scores, bias: Tensor, tokens: number, experts: number): Scores {
  const added = realsOf(bias);
  const values = new Float64Array(tokens * experts);
  const bound = new Float64Array(tokens * experts);
  for (let i = 0; i < values.length; i++) {
    const e = i % experts;
    values[i] = scores.values[i] + added[e];
    const error = (scores.bound?.[i] ?? 0) + (bias.bound?.[e] ?? 0);
    bound[i] = error + (u32 + slack) * (Math.abs(values[i]) + error) + tiny32;
  }
  return { values, bound };
}

/**
 * The chosen experts' scores, maybe divided by their sum, times the scale. For q = w/s with errors ew and es:
 * |q̂ − q| ≤ (ew + |q|·es)/(|s| − es), and six units for dividing or for multiplying by a reciprocal.
 */
function weightsOf(
  scores: Scores,
  ids: Int32Array,
  tokens: number,
  experts: number,
  k: number,
  renormalise: boolean,
  scale: number,
): Tensor {
  const data = new Float64Array(tokens * k);
  const bound = new Float64Array(tokens * k);
  const factor = Math.abs(scale);
  const factorError = Math.abs(scale - Math.fround(scale));
  for (let t = 0; t < tokens; t++) {
    let sum = 0;
    let reach = 0;
    let sumError = 0;
    for (let i = t * k; i < (t + 1) * k; i++) {
      const at = t * experts + ids[i];
      data[i] = scores.values[at];
      bound[i] = scores.bound?.[at] ?? 0;
      sum += data[i];
      reach += Math.abs(data[i]) + bound[i];
      sumError += bound[i];
    }
    sumError += (k + 1) * (u32 + slack) * reach;
    for (let i = t * k; i < (t + 1) * k; i++) {
      if (renormalise) {
        const room = Math.abs(sum) - sumError;
        const q = data[i] / sum;
        const error = room > 0 ? (bound[i] + Math.abs(q) * sumError) / room : Number.POSITIVE_INFINITY;
        data[i] = q;
        bound[i] = error + 6 * u32 * (Math.abs(q) + error) + tiny32;
      }
      if (scale !== 1) {
        const error = factor * bound[i] + factorError * (Math.abs(data[i]) + bound[i]);
        data[i] *= scale;
        bound[i] = error + (u32 + slack) * (Math.abs(data[i]) + error) + tiny32;
      }
    }
  }
  return floats("f32", [tokens, k], data, bound);
}
