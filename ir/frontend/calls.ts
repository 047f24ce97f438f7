import { ts } from "ts-morph";
import { checkCount } from "./arguments.ts";
import { builtin } from "./builtins.ts";
import type { Machine } from "./machine.ts";
import { builtinWords } from "./names.ts";
import type { Scope } from "./scope.ts";
import { Problem, problem } from "./source.ts";
import { describe, type StaticValue, unknownValue } from "./values.ts";

export function callExpression(machine: Machine, node: ts.CallExpression, scope: Scope, hint?: string): StaticValue {
  if (node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    throw problem("U009", node, "import() is outside the language", { help: "Import names at the top of the file." });
  }
  const callee = machine.evaluate(node.expression, scope);
  if (callee.kind === "unknown") throw new Problem(undefined);
  if (callee.kind === "undefined" && node.questionDotToken !== undefined) return callee;
  const args = node.arguments.flatMap((a) => elements(a, (e) => attempt(machine, e, scope)));
  if (args.some((a) => a.kind === "unknown")) throw new Problem(undefined);
  switch (callee.kind) {
    case "builtin":
      return builtin(machine, callee.name, args, node, hint);
    case "native":
      return callee.run(args, node, hint);
    case "function": {
      const { parameters } = callee.node;
      const least = parameters.filter(isRequired).length;
      const most = parameters.some((p) => p.dotDotDotToken !== undefined)
        ? Number.POSITIVE_INFINITY
        : parameters.length;
      checkCount(node, node.expression.getText(), args.length, least, most);
      return machine.invoke(callee, args, node, hint);
    }
    case "layer":
      throw problem("U008", node.expression, `a layer cannot call the layer ${callee.name}`, {
        help: "Write what both need as a function, and call that in each.",
      });
    default:
      throw problem("U008", node.expression, `${node.expression.getText()} is ${describe(callee)}, not a function`, {
        help: `Call a function: your own, or one of "unmoor": ${builtinWords}.`,
      });
  }
}

/** Evaluates; an error is reported and gives an unknown value, so that the errors beside it are found as well. */
export function attempt(machine: Machine, node: ts.Expression, scope: Scope, hint?: string): StaticValue {
  try {
    return machine.evaluate(node, scope, hint);
  } catch (error) {
    machine.report(error);
    return unknownValue;
  }
}

/** One element of an array literal or argument list; a spread gives several. */
export function elements(node: ts.Expression, evaluate: (e: ts.Expression) => StaticValue): readonly StaticValue[] {
  if (!ts.isSpreadElement(node)) return [evaluate(node)];
  const spread = evaluate(node.expression);
  if (spread.kind === "array") return spread.items;
  if (spread.kind === "unknown") throw new Problem(undefined);
  throw problem("U025", node, `... does not spread ${describe(spread)}`, { expected: "an array" });
}

const isRequired = (p: ts.ParameterDeclaration): boolean =>
  p.initializer === undefined && p.questionToken === undefined && p.dotDotDotToken === undefined;
