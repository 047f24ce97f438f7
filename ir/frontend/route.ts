import type { ts } from "ts-morph";
import type { Dim } from "../core/dim.ts";
import type { Value } from "../core/layer.ts";
import { formatType } from "../core/types.ts";
import { argumentNode, checkCount, tensorArgument } from "./arguments.ts";
import type { Machine } from "./machine.ts";
import { dimOf } from "./operators.ts";
import { choice, number, type Options, options } from "./options.ts";
import { Problem, problem } from "./source.ts";
import { describe, type StaticValue } from "./values.ts";

const routeOptions = ["score", "selectBias", "topK", "renormalise", "scale", "experts"];

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
  const score = choice(given, "score", ["softmax", "sigmoid", "none"]);
  const renormalise = choice(given, "renormalise", ["none", "sum"], "none");
  const scale = number(given, "scale", 1).value;
  const bias = given.get("selectBias");
  const biased = bias !== undefined && bias.kind !== "undefined";
  const operands = biased ? [logits, tensorArgument(bias, "selectBias", given.at("selectBias"))] : [logits];

  const experts = options(given.get("experts"), given.at("experts"), "experts", ["ffn", "identity"]);
  const ffn = size(experts, "ffn", 1);
  const identity = size(experts, "identity", 0);
  const topK = size(given, "topK", 1);
  const all = ffn.dim.plus(identity.dim);
  const logitDim = logits.type.dims.at(-1);
  if (logitDim !== undefined && !logitDim.equals(all)) {
    throw problem(
      "U020",
      given.at("experts"),
      `the router gives ${logitDim} logits per token, but there are ${all} experts`,
      {
        found: `logits ${formatType(logits.type)}`,
        help: "ffn + identity must be the last dimension of the logits.",
      },
    );
  }
  const count = ffn.value + identity.value;
  if (topK.value > count) {
    throw problem("U021", given.at("topK"), `topK is ${topK.value}, but there are only ${count} experts`, {
      expected: `a number from 1 to ${count}`,
      found: [topK, { dim: all, value: count }]
        .map(({ dim, value }) => (dim.constant === undefined ? `${dim} = ${value}` : String(value)))
        .join(", "),
    });
  }
  const [ids, weights] = machine.add(
    "route",
    operands,
    { score, select: biased ? "biased" : "score", top_k: topK.dim, renormalise, scale },
    call,
    { names: [`${hint}_ids`, `${hint}_weights`] },
  ) as [Value, Value];
  const mix = (given: readonly StaticValue[], at: ts.CallExpression, name?: string): StaticValue =>
    mixCall(machine, { ids, weights, ffn: ffn.dim, identity: identity.dim }, given, at, name);
  const members = new Map<string, StaticValue>([
    ["ids", { kind: "tensor", value: ids }],
    ["weights", { kind: "tensor", value: weights }],
    ["mix", { kind: "native", name: "mix", run: mix }],
  ]);
  return { kind: "object", members, what: "a routing" };
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
  const region = machine.region([token, expert], () => {
    const values: StaticValue[] = [
      { kind: "tensor", value: token },
      { kind: "expert", value: expert },
    ];
    const result = machine.invoke(fn, values, at, "expert");
    if (result.kind === "unknown") throw new Problem(undefined);
    if (result.kind === "tensor") return result.value;
    throw problem("U026", at, `the expert's function gives ${describe(result)}`, {
      expected: "a tensor [N] for one token",
      help: "Return what the expert makes of its token.",
    });
  });
  const { ids, weights, ffn, identity } = routing;
  return machine.one("mix", [x, ids, weights], { ffn, identity }, call, { names: [hint], regions: [region] });
}
