import type { ts } from "ts-morph";
import { evaluateScalar, substitute, variable } from "../core/scalar.ts";
import { formatType } from "../core/types.ts";
import { isScalarFunction, type ScalarFunctionName, scalarFunctions } from "../dsl/scalar-functions.ts";
import { argumentNode, checkCount, tensorArgument } from "./arguments.ts";
import { attentionCall, headLinearCall } from "./attention.ts";
import type { Machine } from "./machine.ts";
import { mapCall } from "./map.ts";
import { typeNames } from "./names.ts";
import { scalarOf } from "./operators.ts";
import { ropeCall } from "./rope.ts";
import { routeCall } from "./route.ts";
import { rowBuiltins } from "./rows.ts";
import { shapeBuiltins } from "./shapes.ts";
import { Problem, problem, written } from "./source.ts";
import { describe, numberValue, type StaticValue } from "./values.ts";

/** A call of a function of "unmoor". */
export type Builtin = (
  machine: Machine,
  args: readonly StaticValue[],
  call: ts.CallExpression,
  hint: string | undefined,
) => StaticValue;

const builtins: Readonly<Record<string, Builtin>> = {
  linear(machine, args, call, hint) {
    checkCount(call, "linear", args.length, 2);
    const x = tensorArgument(args[0], "the input of linear", argumentNode(call, 0));
    const w = tensorArgument(args[1], "the weight of linear", argumentNode(call, 1));
    const [own, inner] = [x.type.dims.at(-1), w.type.dims.at(-1)];
    if (own !== undefined && inner !== undefined && w.type.dims.length === 2 && !own.equals(inner)) {
      throw problem("U019", argumentNode(call, 1), `inner dimensions differ: ${own} vs ${inner}`, {
        expected: `a weight [N, ${own}], since ${written(argumentNode(call, 0))} is ${formatType(x.type)}`,
        found: `${written(argumentNode(call, 1))} is ${formatType(w.type)}`,
      });
    }
    return machine.one("linear", [x, w], {}, call, { names: [hint ?? "linear"] });
  },
  cast(machine, args, call, hint) {
    checkCount(call, "cast", args.length, 2);
    const x = tensorArgument(args[0], "the operand of cast", argumentNode(call, 0));
    const to = args[1];
    const known = ["f32", "f16", "bf16", "i32"];
    if (to?.kind !== "string" || !known.includes(to.value)) {
      throw problem(
        "U016",
        argumentNode(call, 1),
        `cast gives floats or i32, found ${to === undefined ? "nothing" : describe(to)}`,
        {
          expected: known.map((d) => `"${d}"`).join(", "),
          help: "Write one of these.",
        },
      );
    }
    return machine.one("cast", [x], { to: to.value }, call, { names: [hint ?? "cast"] });
  },
  ...rowBuiltins,
  ...shapeBuiltins,
  map: mapCall,
  route: routeCall,
  attention: attentionCall,
  headLinear: headLinearCall,
  rope: ropeCall,
  range(_, args, call) {
    checkCount(call, "range", args.length, 1, 2);
    const [start, end] = args.length === 1 ? [numberValue(0), args[0]] : args;
    if (
      start?.kind !== "number" ||
      end?.kind !== "number" ||
      !Number.isInteger(start.value) ||
      !Number.isInteger(end.value)
    ) {
      throw problem("U013", call, "range counts whole numbers", { found: args.map(describe).join(" and ") });
    }
    const length = Math.max(0, end.value - start.value);
    if (length > longest) {
      throw problem("U028", call, `range of ${length} numbers is too long`, { expected: `at most ${longest}` });
    }
    return { kind: "array", items: Array.from({ length }, (_item, i) => numberValue(start.value + i)) };
  },
  layer(_, __, call) {
    throw problem("U008", call, "a layer is declared at the top of a file, not inside a function", {
      help: "Write what is used several times as a function, and call it.",
    });
  },
  tensor(_, __, call) {
    throw problem("U008", call, "tensor(…) makes numbers to call a layer with; inside a layer there are none", {
      help: "Take the tensor as an input or a weight of the layer.",
    });
  },
};

/** The longest range that is written out. */
const longest = 100_000;

export function builtin(
  machine: Machine,
  name: string,
  args: readonly StaticValue[],
  call: ts.CallExpression,
  hint?: string,
): StaticValue {
  if (isScalarFunction(name)) return elementwise(machine, name, args, call, hint);
  if (typeNames.includes(name)) throw problem("U008", call, `${name} is a type, not a function`);
  const run = Object.hasOwn(builtins, name) ? builtins[name] : undefined;
  // A name that "unmoor" does not have was reported at its import.
  if (run === undefined) throw new Problem(undefined);
  return run(machine, args, call, hint);
}

/** `silu(x)`, `mul(a, b)`: on numbers a number, inside map's function an expression, on tensors a map. */
function elementwise(
  machine: Machine,
  name: ScalarFunctionName,
  args: readonly StaticValue[],
  call: ts.CallExpression,
  hint?: string,
): StaticValue {
  const fn = scalarFunctions[name];
  checkCount(call, name, args.length, fn.params.length);
  if (args.every((a) => a.kind === "number")) {
    const values = Object.fromEntries(fn.params.map((p, i) => [p, (args[i] as { value: number }).value]));
    return numberValue(evaluateScalar(fn.body, values));
  }
  const tensors = args.some((a) => a.kind === "tensor");
  const exprs = fn.params.map((p, i) => {
    const arg = args[i] as StaticValue;
    if (tensors && arg.kind === "tensor") return variable(p, "f32");
    const expr = tensors && arg.kind !== "number" ? undefined : scalarOf(arg);
    if (expr !== undefined && expr.type === "f32") return expr;
    if (arg.kind === "expert") {
      throw problem("U067", argumentNode(call, i), `${name} does not work on the expert's number`);
    }
    throw problem(
      "U025",
      argumentNode(call, i),
      `${name} does not work on ${describe(arg)}${tensors ? " together with a tensor" : ""}`,
      {
        expected: tensors ? "tensors, or numbers known at compile time" : "a number or a tensor",
        ...(tensors && arg.kind === "scalar"
          ? { help: "Give the tensor to map as a further operand: map(x, y, (x, y) => …)." }
          : {}),
      },
    );
  });
  const body = substitute(fn.body, new Map(fn.params.map((p, i) => [p, exprs[i] ?? variable(p, "f32")])));
  if (!tensors) return { kind: "scalar", expr: body };
  const params = fn.params.filter((_, i) => args[i]?.kind === "tensor");
  const operands = args.flatMap((a) => (a.kind === "tensor" ? [a.value] : []));
  return machine.one("map", operands, { fn: { params, body } }, call, { names: [hint ?? name] });
}
