import type { ts } from "ts-morph";
import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { Attribute, AttributeMap, Region, Value } from "../core/layer.ts";
import { formatType } from "../core/types.ts";
import { ownScoreAlone, ownScoreHelp, type RouteOptions, routerParts } from "../dsl/routing.ts";
import { scalarFunctions } from "../dsl/scalar-functions.ts";
import { routerOf } from "../ops/router.ts";
import { argumentNode, checkCount, tensorArgument } from "./arguments.ts";
import type { Machine } from "./machine.ts";
import { scalarFunctionOf } from "./map.ts";
import { dimOf } from "./operators.ts";
import { choice, isGiven, number, type Options, options } from "./options.ts";
import { Problem, problem } from "./source.ts";
import { describe, type StaticValue } from "./values.ts";

const routeOptions = [
  "score",
  "selectBy",
  "selectBias",
  "groups",
  "topK",
  "table",
  "weight",
  "renormalise",
  "scale",
  "expertScale",
  "experts",
];

/** `route(logits, { … })`: a route op, and the functions of its result. */
export function routeCall(
  machine: Machine,
  args: readonly StaticValue[],
  call: ts.CallExpression,
  hint = "routing",
): StaticValue {
  checkCount(call, "route", args.length, 2);
  const logits = tensorArgument(args[0], "the logits of route", argumentNode(call, 0));
  const given = options(args[1], argumentNode(call, 1), "route", routeOptions);
  const experts = options(given.get("experts"), given.at("experts"), "experts", [
    "ffn",
    "identity",
    "constant",
    "zero",
  ]);
  const ffn = size(experts, "ffn", 1);
  const identity = size(experts, "identity", 0);
  const constant = isGiven(experts, "constant")
    ? tensorArgument(experts.get("constant"), "constant", experts.at("constant"))
    : undefined;
  const zero = size(experts, "zero", 0);
  const topK = size(given, "topK", 1);
  const constants = constant?.type.dims[0] ?? Dim.of(0);
  const all = ffn.dim.plus(identity.dim).plus(constants).plus(zero.dim);
  const logitDim = logits.type.dims.at(-1);
  if (logitDim !== undefined && !logitDim.equals(all)) {
    throw problem(
      "U020",
      given.at("experts"),
      `the router gives ${logitDim} logits per token, but there are ${all} experts`,
      {
        found: `logits ${formatType(logits.type)}`,
        help: "All experts together must be the last dimension of the logits.",
      },
    );
  }
  const count = ffn.value + identity.value + constants.evaluate(machine.params) + zero.value;
  if (topK.value > count) {
    throw problem("U021", given.at("topK"), `topK is ${topK.value}, but there are only ${count} experts`, {
      expected: `a number from 1 to ${count}`,
      found: [topK, { dim: all, value: count }]
        .map(({ dim, value }) => (dim.constant === undefined ? `${dim} = ${value}` : String(value)))
        .join(", "),
    });
  }
  const extras = extraOperands(given);
  const attributes = {
    ...(extras.length === 0 ? {} : { with: extras.map(([name]) => name) }),
    score: scoreOf(machine, given),
    top_k: topK.dim,
    ...routerParts({
      selectBy: choice(given, "selectBy", ["score", "logits"], "score"),
      ...groupsOf(given, count, topK.value),
      weight: weightOf(given),
      renormalise: renormalisationOf(given),
      scale: number(given, "scale", 1).value,
    }),
  };
  checkParts(attributes, argumentNode(call, 1));
  const [ids, weights] = machine.add("route", [logits, ...extras.map(([, value]) => value)], attributes, call, {
    names: [`${hint}_ids`, `${hint}_weights`],
  }) as [Value, Value];
  const mix = (given: readonly StaticValue[], at: ts.CallExpression, name?: string): StaticValue =>
    mixCall(machine, { ids, weights, ffn: ffn.dim, identity: identity.dim, constant }, given, at, name);
  const members = new Map<string, StaticValue>([
    ["ids", { kind: "tensor", value: ids }],
    ["weights", { kind: "tensor", value: weights }],
    ["mix", { kind: "native", name: "mix", run: mix }],
  ]);
  return { kind: "object", members, what: "a routing" };
}

/** @throws Problem U032 for parts that contradict each other */
function checkParts(attributes: AttributeMap, at: ts.Node): void {
  try {
    routerOf(attributes);
  } catch (error) {
    if (error instanceof IrError) throw problem("U032", at, error.message, { help: error.help });
    throw error;
  }
}

/** Operands of the router after the logits, with the names that the op has for them. */
function extraOperands(given: Options): (readonly [name: string, value: Value])[] {
  const extras: (readonly [string, Value])[] = [];
  if (isGiven(given, "selectBias"))
    extras.push(["select_bias", tensorArgument(given.get("selectBias"), "selectBias", given.at("selectBias"))]);
  if (isGiven(given, "table")) {
    const at = given.at("table");
    const table = options(given.get("table"), at, "table", ["experts", "tokenIds"]);
    extras.push(["table", tensorArgument(table.get("experts"), "the experts of table", table.at("experts"))]);
    extras.push(["token_ids", tensorArgument(table.get("tokenIds"), "the tokenIds of table", table.at("tokenIds"))]);
  }
  if (isGiven(given, "expertScale"))
    extras.push(["expert_scale", tensorArgument(given.get("expertScale"), "expertScale", given.at("expertScale"))]);
  return extras;
}

/** The score as an attribute: a word, or the expression of an own function. */
function scoreOf(machine: Machine, given: Options): Attribute {
  const score = given.get("score");
  if (score?.kind !== "function")
    return choice(given, "score", ["softmax", "sigmoid", "sqrt-softplus", "none"]).replace("-", "_");
  const alone = ownScoreAlone({
    selectBy: choice(given, "selectBy", ["score", "logits"], "score"),
    weight: isGiven(given, "weight") ? weightOf(given) : "score",
  });
  if (alone !== undefined)
    throw problem("U032", given.at("score"), `an own score does not go with ${alone}`, { help: ownScoreHelp });
  return scalarFunctionOf(machine, score, 1, given.at("score"), "score");
}

/** The groups, checked against the parameters' values where the author wrote them. */
function groupsOf(given: Options, experts: number, topK: number): { groups?: GroupParts } {
  if (!isGiven(given, "groups")) return {};
  const from = options(given.get("groups"), given.at("groups"), "groups", ["count", "keep", "by"]);
  const [count, keep] = [size(from, "count", 1), size(from, "keep", 1)];
  const by = choice(from, "by", ["max", "top2"]);
  const wrong = (name: string, message: string, help: string): never => {
    throw problem("U033", from.at(name), message, { help });
  };
  const members = experts / count.value;
  if (!Number.isInteger(members))
    wrong(
      "count",
      `${experts} experts do not fall into ${count.value} groups of one size`,
      "Give a number that divides the experts.",
    );
  if (keep.value > count.value)
    wrong("keep", `${keep.value} groups are kept, but there are only ${count.value}`, `Keep at most ${count.value}.`);
  if (by === "top2" && members < 2)
    wrong("by", "the two best of a group are added, but a group has one expert", 'Use fewer groups, or "max".');
  if (topK > keep.value * members)
    wrong(
      "keep",
      `topK is ${topK}, but the kept groups have only ${keep.value * members} experts`,
      "Keep more groups, or choose fewer experts.",
    );
  return { groups: { count: count.dim, keep: keep.dim, by } };
}

interface GroupParts {
  readonly count: Dim;
  readonly keep: Dim;
  readonly by: "max" | "top2";
}

function weightOf(given: Options): NonNullable<RouteOptions["weight"]> {
  if (given.get("weight")?.kind !== "object") return choice(given, "weight", ["score", "softmax", "sigmoid"], "score");
  const { value } = onlyNumber(given, "weight", ["sequential"]);
  return { sequential: value };
}

function renormalisationOf(given: Options): NonNullable<RouteOptions["renormalise"]> {
  if (given.get("renormalise")?.kind !== "object") return choice(given, "renormalise", ["none", "sum"], "none");
  const { name, value } = onlyNumber(given, "renormalise", ["epsilon", "atLeast", "norm"]);
  if (name === "epsilon") return { epsilon: value };
  return name === "atLeast" ? { atLeast: value } : { norm: value };
}

/** An object with exactly one of some numbers, which is not below 0. @throws Problem U023 */
function onlyNumber<N extends string>(
  given: Options,
  option: string,
  names: readonly N[],
): { readonly name: N; readonly value: number } {
  const from = options(given.get(option), given.at(option), option, names);
  const [name, ...more] = names.filter((n) => isGiven(from, n));
  if (name === undefined || more.length > 0)
    throw problem("U023", given.at(option), `${option} names ${name === undefined ? "nothing" : "several parts"}`, {
      expected: `one of ${names.map((n) => `{ ${n} }`).join(", ")}`,
    });
  const { value } = number(from, name);
  if (value < 0) throw problem("U023", from.at(name), `${name} is ${value}`, { expected: "a number of at least 0" });
  return { name, value };
}

/** A number of experts. @throws Problem U013, U023 */
function size(from: Options, name: string, least: 0 | 1): { readonly value: number; readonly dim: Dim } {
  const found = least === 0 ? number(from, name, 0) : number(from, name);
  const dim = dimOf(found);
  if (dim !== undefined && Number.isInteger(found.value) && found.value >= least) return { value: found.value, dim };
  throw problem("U013", from.at(name), `${name} is ${found.value}`, {
    expected: `a whole number of at least ${least}`,
  });
}

interface Routing {
  readonly ids: Value;
  readonly weights: Value;
  readonly ffn: Dim;
  readonly identity: Dim;
  /** What constant experts give, [C, N]. */
  readonly constant: Value | undefined;
}

/** `routing.mix(x, (token, e) => …)`: the body becomes a region for one token and one expert. */
function mixCall(
  machine: Machine,
  routing: Routing,
  args: readonly StaticValue[],
  call: ts.CallExpression,
  hint = "mix",
): StaticValue {
  checkCount(call, "mix", args.length, 2);
  const x = tensorArgument(args[0], "the tokens of mix", argumentNode(call, 0));
  const fn = args[1];
  const at = argumentNode(call, 1);
  if (fn?.kind !== "function") {
    throw problem(
      "U025",
      at,
      `mix takes a function of a token and an expert, found ${fn === undefined ? "nothing" : describe(fn)}`,
      {
        help: "Write routing.mix(x, (token, e) => …).",
      },
    );
  }
  if (x.type.dims.length !== 2) {
    throw problem("U020", argumentNode(call, 0), `mix takes tokens [T, H], found ${formatType(x.type)}`);
  }
  const token: Value = { name: machine.fresh("token"), type: { dtype: x.type.dtype, dims: x.type.dims.slice(1) } };
  const expert: Value = { name: machine.fresh("e"), type: { dtype: "i32", dims: [] } };
  // A body with a third parameter applies its weight itself.
  const own: Value[] =
    fn.node.parameters.length > 2 ? [{ name: machine.fresh("weight"), type: { dtype: "f32", dims: [Dim.of(1)] } }] : [];
  const region = machine.region([token, expert, ...own], () => {
    const values: StaticValue[] = [
      { kind: "tensor", value: token },
      { kind: "expert", value: expert, experts: routing.ffn },
      ...own.map((value): StaticValue => ({ kind: "tensor", value })),
    ];
    const result = machine.invoke(fn, values, at, "expert");
    if (result.kind === "unknown") throw new Problem(undefined);
    if (result.kind === "tensor") return result.value;
    if (result.kind === "undefined" && result.ended === true) {
      throw problem("U072", at, "the expert's function ends without return", {
        help: "Return what the expert makes of its token.",
      });
    }
    throw problem("U026", at, `the expert's function gives ${describe(result)}`, {
      expected: "a tensor [N] for one token",
      help: "Return what the expert makes of its token.",
    });
  });
  if (!dependsOn(region, [token, ...own])) {
    throw problem("U076", at, "what the expert gives does not depend on its token");
  }
  const { ids, weights, ffn, identity, constant } = routing;
  const mixed = machine.one("mix", [x, ids, weights], { ffn, identity }, call, { names: [hint], regions: [region] });
  if (constant === undefined) return mixed;
  const first = ffn.plus(identity);
  const share = machine.one("constant_experts", [constant, ids, weights], { first }, call, { names: ["constants"] });
  const parts = [mixed, share].flatMap((v) => (v.kind === "tensor" ? [v.value] : []));
  return machine.one("map", parts, { fn: scalarFunctions.add }, call, { names: [hint] });
}

/** Whether a body's result is computed from any of these values. */
function dependsOn({ body, results }: Region, values: readonly Value[]): boolean {
  const from = new Set(values);
  for (const { operands, results: made } of body) {
    if (operands.some((v) => from.has(v))) for (const value of made) from.add(value);
  }
  return results.every((v) => from.has(v));
}
