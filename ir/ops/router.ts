import { IrError } from "../core/diagnostic.ts";
import type { Dim } from "../core/dim.ts";
import type { Attribute, AttributeMap } from "../core/layer.ts";
import { apply, type ScalarFunction, sigmoid, softplus, variable } from "../core/scalar.ts";
import type { TensorType } from "../core/types.ts";
import {
  choiceAttribute,
  functionAttribute,
  isAttributeMap,
  isScalarFunction,
  numberAttribute,
  onlyAttributes,
  sizeAttribute,
} from "./attributes.ts";
import { dimAt, expectFloat, expectIds, expectSame } from "./shapes.ts";

/** Operands of `route` after the logits. Its attribute `with` names those that are given, in their order. */
const extraNames = ["select_bias", "table", "token_ids", "expert_scale"] as const;
type ExtraName = (typeof extraNames)[number];

const partNames = ["with", "score", "key", "groups", "top_k", "weight", "renormalise", "scale"];

/** A router as a value: its parts, in the order in which they apply. */
export interface Router {
  /** The score of an expert: over all logits of a token (softmax), or a function of its own logit. */
  readonly score: "softmax" | ScalarFunction | undefined;
  /** What experts are chosen by, before the selection bias is added. */
  readonly key: "score" | "logits";
  /** Only experts of the `keep` best of `count` groups can be chosen; a group is as good as its best key, or its two best added. */
  readonly groups: GroupLimit | undefined;
  readonly topK: Dim;
  /**
   * The weight of a chosen expert: its score; softmax over the chosen logits; sigmoid of its logit; or, with `sequential`,
   * softmax over the logits not chosen before it that are near it: (z − l) ≤ sequential · max(|l|, z).
   */
  readonly weight: "score" | "softmax" | "sigmoid" | { readonly sequential: number };
  readonly renormalise: Renormalisation;
  readonly scale: number;
  /** Which operand each given extra is. */
  readonly extras: ReadonlyMap<ExtraName, number>;
}

export interface GroupLimit {
  readonly count: Dim;
  readonly keep: Dim;
  readonly by: "max" | "top2";
}

/** What a token's weights are divided by: nothing; their sum, plus epsilon or at least so much; their p-norm. */
export type Renormalisation =
  | { readonly kind: "none" | "sum" }
  | { readonly kind: "epsilon" | "at_least" | "norm"; readonly value: number };

const z = variable("z", "f32");
const elementwiseScores = {
  sigmoid: { params: ["z"], body: sigmoid(z) },
  sqrt_softplus: { params: ["z"], body: apply("sqrt", softplus(z)) },
} as const satisfies Record<string, ScalarFunction>;

/** sigmoid as a score or weight of one logit. */
export const sigmoidOfLogit: ScalarFunction = elementwiseScores.sigmoid;

/** The router that the attributes of `route` say. Throws IrError where they say none. */
export function routerOf(attributes: AttributeMap): Router {
  onlyAttributes("route", attributes, partNames);
  const router: Router = {
    score: scoreOf(attributes),
    key: choiceAttribute("route", attributes, "key", ["score", "logits"], "score"),
    groups: groupsOf(attributes.groups),
    topK: sizeAttribute("route", attributes, "top_k"),
    weight: weightOf(attributes),
    renormalise: renormalisationOf(attributes),
    scale: numberAttribute("route", attributes, "scale", 1),
    extras: extrasOf(attributes.with),
  };
  checkParts(router);
  return router;
}

function scoreOf(attributes: AttributeMap): Router["score"] {
  const { score } = attributes;
  if (score !== undefined && isScalarFunction(score)) return functionAttribute("route", attributes, "score", 1);
  const word = choiceAttribute("route", attributes, "score", ["softmax", "sigmoid", "sqrt_softplus", "none"]);
  return word === "none" ? undefined : word === "softmax" ? word : elementwiseScores[word];
}

function groupsOf(value: Attribute | undefined): GroupLimit | undefined {
  if (value === undefined) return undefined;
  if (!isAttributeMap(value)) throw new IrError("groups of route is {count, keep, by}", "Write these three.");
  onlyAttributes("the groups of route", value, ["count", "keep", "by"]);
  return {
    count: sizeAttribute("groups", value, "count"),
    keep: sizeAttribute("groups", value, "keep"),
    by: choiceAttribute("groups", value, "by", ["max", "top2"]),
  };
}

function weightOf(attributes: AttributeMap): Router["weight"] {
  const { weight } = attributes;
  if (weight === undefined || !isAttributeMap(weight)) {
    const words = ["score", "softmax", "sigmoid"] as const;
    return choiceAttribute<(typeof words)[number]>("route", attributes, "weight", words, "score");
  }
  return { sequential: onlyPart("weight", weight, ["sequential"], 0).value };
}

function renormalisationOf(attributes: AttributeMap): Renormalisation {
  const { renormalise } = attributes;
  if (renormalise === undefined || !isAttributeMap(renormalise))
    return { kind: choiceAttribute("route", attributes, "renormalise", ["none", "sum"], "none") };
  const part = onlyPart("renormalise", renormalise, ["epsilon", "at_least", "norm"], 0);
  if (part.kind === "norm" && (!Number.isInteger(part.value) || part.value < 1 || part.value > 8))
    throw new IrError(
      `the norm of renormalise is ${part.value}, expected a whole number from 1 to 8`,
      "Write { norm: 1 } for the sum of sizes, { norm: 2 } for the Euclidean norm.",
    );
  return part;
}

/** A structure with exactly one of some numbers. */
function onlyPart<Kind extends string>(
  what: string,
  given: AttributeMap,
  kinds: readonly Kind[],
  least: number,
): { readonly kind: Kind; readonly value: number } {
  onlyAttributes(`${what} of route`, given, kinds);
  const [kind, ...more] = kinds.filter((k) => given[k] !== undefined);
  if (kind === undefined || more.length > 0)
    throw new IrError(
      `${what} of route names ${kind === undefined ? "no part" : "several parts"}`,
      `Give one of ${kinds.join(", ")}.`,
    );
  const value = numberAttribute(what, given, kind, Number.NaN);
  if (value < least)
    throw new IrError(`${kind} of ${what} is ${value}, expected at least ${least}`, "Give a larger number.");
  return { kind, value };
}

function extrasOf(value: Attribute | undefined): ReadonlyMap<ExtraName, number> {
  const extras = new Map<ExtraName, number>();
  if (value === undefined) return extras;
  if (!Array.isArray(value))
    throw new IrError("with of route is a list of names", `Name some of ${extraNames.join(", ")}.`);
  for (const name of value as readonly Attribute[]) {
    const known = extraNames.find((n) => n === name);
    if (known === undefined || extras.has(known))
      throw new IrError(
        `route has ${known === undefined ? "no operand" : "two operands"} ${String(name)}`,
        `Name each of ${extraNames.join(", ")} at most once.`,
      );
    extras.set(known, extras.size + 1);
  }
  return extras;
}

/** Refuses parts that contradict each other, or that change nothing. */
function checkParts({ score, key, groups, weight, extras }: Router): void {
  const refuse = (message: string, help: string): never => {
    throw new IrError(message, help);
  };
  const byTable = extras.has("table");
  if (byTable !== extras.has("token_ids"))
    refuse("a table chooses experts by token ids, and both are needed", "Give the table together with the token ids.");
  if (byTable && (extras.has("select_bias") || groups !== undefined || key !== "score"))
    refuse(
      "a table chooses the experts, so a selection bias, groups, or a choice by logits change nothing",
      "Leave them out, or leave out the table.",
    );
  if (score !== undefined && weight !== "score" && (key === "logits" || byTable))
    refuse(
      "the score is never used: neither the choice nor the weights depend on it",
      'Give score: "none", or choose or weigh by the score.',
    );
  if (
    typeof weight === "object" &&
    (byTable || extras.has("select_bias") || groups !== undefined || (score !== undefined && key !== "logits"))
  )
    refuse(
      "sequential weights take the largest logits one after the other, but here something else chooses",
      'Choose by the logits alone: score "none", without a bias, groups, or a table.',
    );
}

/** Checks the types of the operands: logits first, then the extras. */
export function checkRouterOperands(router: Router, operands: readonly TensorType[]): void {
  const { extras, groups, topK } = router;
  if (operands.length !== extras.size + 1)
    throw new IrError(
      `route takes logits${[...extras.keys()].map((n) => `, ${n}`).join("")}, found ${operands.length} operands`,
      "Give these operands, in this order.",
    );
  const typeOf = (name: ExtraName): TensorType | undefined => operands[extras.get(name) ?? -1];
  const logits = operands[0] as TensorType;
  expectFloat("route", "logits", logits, 2, "[T, E]");
  const [tokens, experts] = [dimAt(logits, 0), dimAt(logits, 1)];
  for (const [name, words] of [
    ["select_bias", "the bias"],
    ["expert_scale", "the scale of each expert"],
  ] as const) {
    const vector = typeOf(name);
    if (vector === undefined) continue;
    expectFloat("route", words, vector, 1, "[E]");
    expectSame("route", `experts of the logits and of ${words}`, experts, dimAt(vector, 0));
  }
  const table = typeOf("table");
  const tokenIds = typeOf("token_ids");
  if (table !== undefined && tokenIds !== undefined) {
    expectIds("route", "the table", table, 2, "[V, K]");
    expectIds("route", "the token ids", tokenIds, 1, "[T]");
    expectSame("route", "tokens of the logits and of the token ids", tokens, dimAt(tokenIds, 0));
    expectSame("route", "experts per token of top_k and of the table", topK, dimAt(table, 1));
  }
  if (topK.constant !== undefined && experts.constant !== undefined && topK.constant > experts.constant)
    throw new IrError(
      `top_k is ${topK}, but there are only ${experts} experts`,
      `Choose at most ${experts} experts per token, or give the router more of them.`,
    );
  if (groups !== undefined) checkGroups(groups, experts, topK);
}

/** Checks what can be said of groups without the values of symbols. */
function checkGroups({ count, keep, by }: GroupLimit, experts: Dim, topK: Dim): void {
  const [groups, kept, all, k] = [count, keep, experts, topK].map((d) => d.constant);
  if (groups !== undefined && kept !== undefined && kept > groups)
    throw new IrError(`${keep} groups are kept, but there are only ${count}`, `Keep at most ${count}.`);
  if (groups === undefined || all === undefined) return;
  if (all % groups !== 0)
    throw new IrError(
      `${experts} experts do not fall into ${count} groups of one size`,
      "Give a number that divides the experts.",
    );
  const size = all / groups;
  if (by === "top2" && size < 2)
    throw new IrError(
      `the two best of a group are added, but a group has ${size} expert`,
      'Use fewer groups, or "max".',
    );
  if (kept !== undefined && k !== undefined && k > kept * size)
    throw new IrError(
      `top_k is ${topK}, but the ${keep} kept groups have only ${kept * size} experts`,
      "Keep more groups, or choose fewer experts.",
    );
}
