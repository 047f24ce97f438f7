import type { ts } from "ts-morph";
import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import { formatType } from "../core/types.ts";
import { type RopeScaling, ropeParameters } from "../ops/rope-frequencies.ts";
import { argumentNode, checkCount, tensorArgument } from "./arguments.ts";
import type { Machine } from "./machine.ts";
import { dimOf } from "./operators.ts";
import { booleanOption, choice, isGiven, number, type Options, options } from "./options.ts";
import { problem } from "./source.ts";
import type { StaticValue } from "./values.ts";

/** `rope(x, positions, { theta, … })`: its frequencies are numbers, computed here. */
export function ropeCall(
  machine: Machine,
  args: readonly StaticValue[],
  call: ts.CallExpression,
  hint = "rope",
): StaticValue {
  checkCount(call, "rope", args.length, 3);
  const x = tensorArgument(args[0], "the tensor of rope", argumentNode(call, 0));
  const positions = tensorArgument(args[1], "the positions of rope", argumentNode(call, 1));
  const at = argumentNode(call, 2);
  const given = options(args[2], at, "rope", ["theta", "style", "rotary", "start", "scaling"]);
  const style = choice(given, "style", ["half", "interleaved"], "half");
  const theta = number(given, "theta").value;
  const start = size(given, "start", 0);
  const depth = x.type.dims.at(-1)?.substitute(machine.params).constant;
  const first = start.evaluate(machine.params);
  const rotary = isGiven(given, "rotary") ? size(given, "rotary", 2).evaluate(machine.params) : (depth ?? 0) - first;
  if (depth !== undefined && first + rotary > depth)
    throw problem(
      "U020",
      isGiven(given, "rotary") ? given.at("rotary") : at,
      `rope rotates dimensions up to ${first + rotary}, but there are ${depth}`,
      {
        found: formatType(x.type),
        help: "Rotate fewer dimensions, or begin earlier.",
      },
    );
  const scaling = isGiven(given, "scaling") ? scalingOf(given) : undefined;
  try {
    const { frequencies, factor } = ropeParameters(rotary, theta, scaling);
    const values = machine.one("constant", [], { values: frequencies }, call, { names: [`${hint}_frequencies`] });
    const operands = [x, positions, tensorArgument(values, "the frequencies", call)];
    return machine.one("rope", operands, { style, start, factor }, call, { names: [hint] });
  } catch (error) {
    if (error instanceof IrError) throw problem("U023", at, error.message, { help: error.help });
    throw error;
  }
}

/** A whole number of at least `least`, as a dimension. @throws Problem U013 */
function size(given: Options, name: string, least: number): Dim {
  const found = number(given, name, least);
  if (Number.isSafeInteger(found.value) && found.value >= least) return dimOf(found) ?? Dim.of(found.value);
  throw problem("U013", given.at(name), `${name} is ${found.value}`, {
    expected: `a whole number of at least ${least}`,
  });
}

const optional = <N extends string>(from: Options, names: readonly N[]): { readonly [K in N]?: number } =>
  Object.fromEntries(names.filter((n) => isGiven(from, n)).map((n) => [n, number(from, n).value])) as {
    readonly [K in N]?: number;
  };

function scalingOf(given: Options): RopeScaling {
  const [value, node] = [given.get("scaling"), given.at("scaling")];
  const all = [
    "kind",
    "factor",
    "low",
    "high",
    "original",
    "betaFast",
    "betaSlow",
    "truncate",
    "attentionFactor",
    "mscale",
    "mscaleAllDim",
  ];
  const kind = choice(options(value, node, "scaling", all), "kind", ["linear", "llama3", "yarn"]);
  const known = {
    linear: ["kind", "factor"],
    llama3: ["kind", "factor", "low", "high", "original"],
    yarn: all.filter((name) => name !== "low" && name !== "high"),
  }[kind];
  const from = options(value, node, `scaling ${kind}`, known);
  const of = (name: string): number => number(from, name).value;
  const factor = of("factor");
  if (kind === "linear") return { kind, factor };
  const original = of("original");
  if (kind === "llama3") return { kind, factor, original, low: of("low"), high: of("high") };
  return {
    kind,
    factor,
    original,
    truncate: booleanOption(from, "truncate", true),
    ...optional(from, ["betaFast", "betaSlow", "attentionFactor", "mscale", "mscaleAllDim"]),
  };
}
