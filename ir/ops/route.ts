import { IrError } from "../core/diagnostic.ts";
import type { Tensor } from "../core/tensor.ts";
import { elementCount } from "../core/types.ts";
import type { Choice, OpDefinition } from "./definition.ts";
import { floats, integers, intsOf, realsOf, slack, tiny32, u32 } from "./reals.ts";
import { checkRouterOperands, type Router, routerOf } from "./router.ts";
import { weightsOf } from "./routing-weights.ts";
import { scalarFlops } from "./scalar-kernel.ts";
import { type Scores, scoresOf } from "./scores.ts";
import { type Groups, selectRows } from "./selection.ts";
import { dimAt, expectNoRegions, operandAt } from "./shapes.ts";

/** Chooses K experts for each token, and says what each weighs. Its parts, and their order, are in router.ts. */
export const route: OpDefinition = {
  name: "route",
  chooses: true,
  summary:
    "logits [T, N] (, what `with` names) → ids i32[T, K], weights f32[T, K]: the K largest keys in descending order, lowest id first on ties",
  infer(operands, attributes, regions) {
    expectNoRegions("route", regions);
    const router = routerOf(attributes);
    checkRouterOperands(router, operands);
    const dims = [dimAt(operandAt(operands, 0), 0), router.topK];
    return [
      { dtype: "i32", dims },
      { dtype: "f32", dims },
    ];
  },
  evaluate(operands, attributes, _, context) {
    const [logitTensor] = operands as [Tensor];
    const [tokens = 0, experts = 0] = logitTensor.dims;
    const router = routerOf(attributes);
    const extra = (name: "select_bias" | "expert_scale" | "table" | "token_ids"): Tensor | undefined =>
      operands[router.extras.get(name) ?? -1];
    const k = router.topK.evaluate(context.dims);
    if (k > experts)
      throw new IrError(`top_k is ${k}, but there are only ${experts} experts`, `Choose at most ${experts} experts.`);
    const logits = numbersOf(logitTensor);
    const scores = scoresOf(router.score, logits, tokens, experts);
    const [table, tokenIds] = [extra("table"), extra("token_ids")];
    const choice = context.choice(context.results[0]);
    if (choice.given !== undefined && choice.given.length !== tokens * k)
      throw new IrError(
        `a choice of ${choice.given.length} experts is given for ${tokens} tokens with ${k} experts each`,
        "Give the ids [T, K] of the same tokens.",
      );
    const ids =
      table !== undefined && tokenIds !== undefined
        ? lookUp(table, tokenIds, experts, choice)
        : selectRows(
            biasedKeys(router.key === "logits" ? logits : scores, extra("select_bias"), tokens, experts),
            { rows: tokens, n: experts, k },
            groupsOf(router, experts, context.dims),
            choice,
          );
    const scale = extra("expert_scale");
    const weights = weightsOf(router, logits, scores, ids, scale && numbersOf(scale), { tokens, experts, k });
    return [integers([tokens, k], ids), floats("f32", [tokens, k], weights.values, weights.bound)];
  },
  flops(operands, attributes, results, dims) {
    const { score, extras, groups, weight, renormalise, scale } = routerOf(attributes);
    const all = elementCount(operandAt(operands, 0)).evaluate(dims);
    const chosen = elementCount(operandAt(results, 0)).evaluate(dims);
    const tokens = dimAt(operandAt(operands, 0), 0).evaluate(dims);
    // softmax: subtract, exp, sum, divide. Comparisons are no arithmetic.
    const perScore = score === undefined ? 0 : score === "softmax" ? 4 : scalarFlops(score.body);
    const perWeight = weight === "score" ? 0 : 4;
    const perSlot = typeof weight === "object" ? (4 * all) / tokens : perWeight;
    const grouped = groups?.by === "top2" ? tokens * groups.count.evaluate(dims) : 0;
    return (
      all * (perScore + (extras.has("select_bias") ? 1 : 0)) +
      grouped +
      chosen *
        ((tokens > 0 ? perSlot : 0) +
          (renormalise.kind === "none" ? 0 : 2) +
          (scale === 1 ? 0 : 1) +
          (extras.has("expert_scale") ? 1 : 0))
    );
  },
};

const numbersOf = (t: Tensor): Scores => ({ values: realsOf(t), bound: t.bound });

/** The experts that a table gives each token. */
function lookUp(table: Tensor, tokenIds: Tensor, experts: number, { given, report }: Choice): Int32Array {
  const [rows = 0, k = 0] = table.dims;
  const entries = intsOf(table);
  const wrong: number[] = [];
  const ids = new Int32Array(tokenIds.data.length * k);
  intsOf(tokenIds).forEach((token, t) => {
    if (token < 0 || token >= rows)
      throw new IrError(
        `token ${t} has the id ${token}, but the table has ${rows} rows`,
        "Give ids from 0 on, below the number of rows.",
      );
    ids.set(entries.subarray(token * k, (token + 1) * k), t * k);
    if (given !== undefined && !ids.subarray(t * k, (t + 1) * k).every((id, i) => id === given[t * k + i]))
      wrong.push(t);
  });
  const beyond = ids.find((id) => id < 0 || id >= experts);
  if (beyond !== undefined)
    throw new IrError(
      `the table names expert ${beyond}, but there are ${experts}`,
      "Give a table of ids of experts that exist.",
    );
  report({ ambiguous: [], wrong });
  return ids;
}

function groupsOf({ groups }: Router, experts: number, dims: Readonly<Record<string, number>>): Groups | undefined {
  if (groups === undefined) return undefined;
  return { size: experts / groups.count.evaluate(dims), keep: groups.keep.evaluate(dims), by: groups.by };
}

function biasedKeys(scores: Scores, bias: Tensor | undefined, tokens: number, experts: number): Scores {
  if (bias === undefined) return scores;
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
