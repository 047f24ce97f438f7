import type { ts } from "ts-morph";
import type { AttributeMap } from "../core/layer.ts";
import { formatType } from "../core/types.ts";
import { argumentNode, checkCount, tensorArgument } from "./arguments.ts";
import type { Machine } from "./machine.ts";
import { dimOf } from "./operators.ts";
import { booleanOption, isGiven, number, type Options, options } from "./options.ts";
import { problem, written } from "./source.ts";
import type { StaticValue } from "./values.ts";

/** `attention(q, k, v, { … })`. */
export function attentionCall(
  machine: Machine,
  args: readonly StaticValue[],
  call: ts.CallExpression,
  hint = "attention",
): StaticValue {
  checkCount(call, "attention", args.length, 3, 4);
  const operands = ["queries", "keys", "values"].map((what, i) =>
    tensorArgument(args[i], `the ${what} of attention`, argumentNode(call, i)),
  );
  const given = options(args[3] ?? { kind: "object", members: new Map() }, argumentNode(call, 3), "attention", [
    "causal",
    "window",
    "scale",
    "softCap",
    "sinks",
  ]);
  if (isGiven(given, "sinks")) operands.push(tensorArgument(given.get("sinks"), "sinks", given.at("sinks")));
  const causal = booleanOption(given, "causal", true);
  const attributes: AttributeMap = {
    causal,
    ...(isGiven(given, "window") ? { window: windowOf(given, causal) } : {}),
    ...(isGiven(given, "scale") ? { scale: number(given, "scale").value } : {}),
    ...(isGiven(given, "softCap") ? { soft_cap: above0(given, "softCap") } : {}),
  };
  return machine.one("attention", operands, attributes, call, { names: [hint] });
}

function above0(from: Options, name: string): number {
  const { value } = number(from, name);
  if (value > 0) return value;
  throw problem("U023", from.at(name), `${name} is ${value}`, { expected: "a number above 0" });
}

function windowOf(given: Options, causal: boolean) {
  const found = number(given, "window");
  const window = dimOf(found);
  if (window === undefined || !Number.isInteger(found.value) || found.value < 1)
    throw problem("U013", given.at("window"), `window is ${found.value}`, {
      expected: "a whole number of at least 1",
    });
  if (!causal)
    throw problem(
      "U023",
      given.at("window"),
      "window counts back from a query's own position, but attention is not causal",
      {
        help: "Leave the window out, or make the attention causal.",
      },
    );
  return window;
}

/** `headLinear(x, w)`. */
export function headLinearCall(
  machine: Machine,
  args: readonly StaticValue[],
  call: ts.CallExpression,
  hint = "head_linear",
): StaticValue {
  checkCount(call, "headLinear", args.length, 2);
  const x = tensorArgument(args[0], "the input of headLinear", argumentNode(call, 0));
  const w = tensorArgument(args[1], "the weight of headLinear", argumentNode(call, 1));
  const [own, inner] = [x.type.dims.at(-1), w.type.dims.at(-1)];
  if (own !== undefined && inner !== undefined && !own.equals(inner))
    throw problem("U019", argumentNode(call, 1), `inner dimensions differ: ${own} vs ${inner}`, {
      expected: `a weight [A, N, ${own}], since ${written(argumentNode(call, 0))} is ${formatType(x.type)}`,
      found: `${written(argumentNode(call, 1))} is ${formatType(w.type)}`,
      help: "headLinear(x [T, A, K], w [A, N, K]) multiplies along K: the last dimension of both must be the same.",
    });
  return machine.one("head_linear", [x, w], {}, call, { names: [hint] });
}
