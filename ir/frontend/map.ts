import type { ts } from "ts-morph";
import { f32, type ScalarFunction, variable } from "../core/scalar.ts";
import { isScalarFunction, scalarFunctions } from "../dsl/scalar-functions.ts";
import { argumentNode, checkCount, tensorArgument } from "./arguments.ts";
import type { Machine } from "./machine.ts";
import { Problem, problem } from "./source.ts";
import { describe, type StaticValue } from "./values.ts";

/** `map(g, u, (g, u) => …)`: the function is evaluated once, over variables, into one expression. */
export function mapCall(
  machine: Machine,
  args: readonly StaticValue[],
  call: ts.CallExpression,
  hint?: string,
): StaticValue {
  if (args.length < 2) checkCount(call, "map", args.length, 2, Number.POSITIVE_INFINITY);
  const fn = args[args.length - 1] as StaticValue;
  const at = argumentNode(call, args.length - 1);
  const operands = args.slice(0, -1).map((a, i) => tensorArgument(a, "an operand of map", argumentNode(call, i)));
  if (fn.kind === "builtin" && isScalarFunction(fn.name)) {
    const { params, body } = scalarFunctions[fn.name];
    if (params.length !== operands.length) throw wrongArity(at, "map", params.length, operands.length);
    return machine.one("map", operands, { fn: { params, body } }, call, { names: [hint ?? fn.name] });
  }
  if (fn.kind !== "function") {
    throw problem("U025", at, `the last argument of map is a function of numbers, found ${describe(fn)}`, {
      help: "Write map(x, (x) => …).",
    });
  }
  const scalar = scalarFunctionOf(machine, fn, operands.length, at, "map");
  return machine.one("map", operands, { fn: scalar }, call, { names: [hint ?? "map"] });
}

/** The expression of a function of `arity` numbers, given as `what`. @throws Problem U024, U025 */
export function scalarFunctionOf(
  machine: Machine,
  fn: StaticValue & { kind: "function" },
  arity: number,
  at: ts.Node,
  what: string,
): ScalarFunction {
  const { parameters } = fn.node;
  if (parameters.length !== arity) throw wrongArity(at, what, parameters.length, arity);
  const params = parameters.map((p, i) => (p.name.getText().match(/^[A-Za-z_]\w*$/) ? p.name.getText() : `x${i}`));
  const result = machine.invoke(
    fn,
    params.map((p) => ({ kind: "scalar", expr: variable(p, "f32") })),
    at,
  );
  if (result.kind === "unknown") throw new Problem(undefined);
  if (result.kind === "undefined" && result.ended === true) {
    throw problem("U072", at, `${what}'s function ends without return`, { help: "Return a number." });
  }
  const body = result.kind === "number" ? f32(result.value) : result.kind === "scalar" ? result.expr : undefined;
  if (body?.type !== "f32") {
    throw problem("U025", at, `${what}'s function gives ${describe(result)}`, {
      expected: "a number",
      help:
        result.kind === "scalar"
          ? "Choose between numbers: condition ? 1 : 0."
          : "The function is given one element of each operand, and returns one number.",
    });
  }
  return { params, body };
}

const wrongArity = (at: ts.Node, what: string, found: number, tensors: number): Problem =>
  problem(
    "U024",
    at,
    `${what}'s function takes ${found} number${found === 1 ? "" : "s"}, but ${tensors} tensor${tensors === 1 ? " is" : "s are"} given`,
    {
      help: "Give the function one parameter for each tensor.",
    },
  );
