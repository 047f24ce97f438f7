import { ts } from "ts-morph";
import { attempt, callExpression, elements } from "./calls.ts";
import type { Machine } from "./machine.ts";
import { memberOf } from "./members.ts";
import { builtinNames } from "./names.ts";
import { binary, globalValue, logic, prefix, select, textOf, truth } from "./operators.ts";
import type { Scope } from "./scope.ts";
import { Problem, problem } from "./source.ts";
import { nearest } from "./suggest.ts";
import { booleanValue, describe, type StaticValue, undefinedValue } from "./values.ts";

const K = ts.SyntaxKind;

/** Expressions outside the language: their name, and what to write instead. */
const outside: Partial<Record<ts.SyntaxKind, readonly [name: string, help: string]>> = {
  [K.AwaitExpression]: ["await", "A layer computes at once. Leave await out."],
  [K.YieldExpression]: ["yield", "Return one value, or an object of several."],
  [K.NewExpression]: ["new", "Write object and array literals."],
  [K.ClassExpression]: ["class", "Write functions and constants."],
  [K.ThisKeyword]: ["this", "Give the function what it needs as a parameter."],
  [K.DeleteExpression]: ["delete", "Make a new object without the member."],
  [K.VoidExpression]: ["void", "Write undefined."],
  [K.TypeOfExpression]: ["typeof", "Decide on parameters and constants."],
  [K.RegularExpressionLiteral]: ["a regular expression", "Compare texts with ===."],
  [K.BigIntLiteral]: ["a bigint", "Write a number."],
  [K.TaggedTemplateExpression]: ["a tagged template", "Write a template string without a tag."],
};

/** Names that only running code has, and what to do instead. */
const runTime: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    "process performance Date Promise setTimeout setInterval queueMicrotask structuredClone eval globalThis window document"
      .split(" ")
      .map((name) => [name, ""]),
  ),
  console:
    "Call the layer as a function of concrete tensors, outside of it, and print what it gives: a tensor has a text.",
  require: 'Import names from another file: import { name } from "./other.ts".',
  module: "Write export before a declaration.",
  fetch: "Take what varies as a parameter, an input or a weight.",
  JSON: "Write the values as an object literal, or take them as parameters.",
  Number: "Parameters and constants are numbers already.",
  parseInt: "Write the number. Math.trunc(x) cuts one.",
  parseFloat: "Write the number.",
  String: "Write a template string.",
  Array: "Write range(n), or an array literal.",
  Object: "Write an object literal, or name the members one by one.",
  Map: "Write an object literal.",
  Set: "Write an array literal.",
  Symbol: "Write texts as names.",
  Error: "What a layer cannot do, its types and sizes say.",
};

/** Evaluates an expression at compile time; what it makes of tensors becomes ops. */
export function evaluateExpression(machine: Machine, node: ts.Expression, scope: Scope, hint?: string): StaticValue {
  const evaluate = (e: ts.Expression): StaticValue => machine.evaluate(e, scope);
  if (ts.isIdentifier(node)) return identifier(machine, node, scope);
  if (
    ts.isParenthesizedExpression(node) ||
    ts.isAsExpression(node) ||
    ts.isSatisfiesExpression(node) ||
    ts.isNonNullExpression(node) ||
    ts.isTypeAssertionExpression(node)
  ) {
    return machine.evaluate(node.expression, scope, hint);
  }
  if (ts.isNumericLiteral(node)) return { kind: "number", value: Number(node.text) };
  if (ts.isStringLiteralLike(node)) return { kind: "string", value: node.text };
  if (node.kind === K.TrueKeyword || node.kind === K.FalseKeyword) return booleanValue(node.kind === K.TrueKeyword);
  if (node.kind === K.NullKeyword) return undefinedValue;
  if (ts.isTemplateExpression(node)) return template(node, evaluate);
  if (ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)) return memberOf(machine, node, scope);
  if (ts.isCallExpression(node)) return callExpression(machine, node, scope, hint);
  if (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) return { kind: "function", node, scope };
  if (ts.isConditionalExpression(node)) return conditional(machine, node, scope, hint);
  if (ts.isBinaryExpression(node)) return binaryExpression(machine, node, scope);
  if (ts.isPrefixUnaryExpression(node) && node.operator !== K.PlusPlusToken && node.operator !== K.MinusMinusToken) {
    return prefix(node, evaluate(node.operand));
  }
  if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
    throw problem("U010", node, "++ and -- inside an expression are outside the language", {
      help: "Write the change as a statement of its own.",
    });
  }
  if (ts.isObjectLiteralExpression(node)) return objectLiteral(machine, node, scope);
  if (ts.isArrayLiteralExpression(node)) {
    return { kind: "array", items: node.elements.flatMap((e) => elements(e, (x) => attempt(machine, x, scope))) };
  }
  const [name, help] = outside[node.kind] ?? ["this expression", undefined];
  throw problem("U009", node, `${name} is outside the language`, help === undefined ? {} : { help });
}

function identifier(machine: Machine, node: ts.Identifier, scope: Scope): StaticValue {
  const name = node.text;
  const local = scope.find(name);
  if (local === "later") {
    throw problem("U063", node, `${name} is used before its declaration`);
  }
  const value = local ?? machine.lookup(scope.module, name, node) ?? globalValue(name);
  if (value?.kind === "unknown") throw new Problem(undefined);
  if (value !== undefined) return value;
  const instead = Object.hasOwn(runTime, name) ? runTime[name] : undefined;
  if (instead !== undefined) {
    throw problem("U066", node, `${name} belongs to JavaScript's run time`, instead === "" ? {} : { help: instead });
  }
  const near = nearest(name, [...scope.names(), ...scope.module.declarations.keys(), ...builtinNames]);
  throw problem("U007", node, `${name} is not defined`, {
    help: builtinNames.includes(name)
      ? `Add ${name} to the import from "unmoor".`
      : near === undefined
        ? "Define the name before its use, or import it."
        : `Did you mean ${near}?`,
  });
}

function template(node: ts.TemplateExpression, evaluate: (e: ts.Expression) => StaticValue): StaticValue {
  const parts = node.templateSpans.map((span) => {
    const value = evaluate(span.expression);
    const text = textOf(value);
    if (text === undefined) {
      throw problem("U025", span.expression, `${describe(value)} has no text`, { expected: "a text or a number" });
    }
    return text + span.literal.text;
  });
  return { kind: "string", value: node.head.text + parts.join("") };
}

function conditional(machine: Machine, node: ts.ConditionalExpression, scope: Scope, hint?: string): StaticValue {
  const condition = machine.evaluate(node.condition, scope);
  if (condition.kind === "scalar") {
    return select(
      node,
      condition.expr,
      machine.evaluate(node.whenTrue, scope),
      machine.evaluate(node.whenFalse, scope),
    );
  }
  return machine.evaluate(truth(condition, node.condition) ? node.whenTrue : node.whenFalse, scope, hint);
}

function binaryExpression(machine: Machine, node: ts.BinaryExpression, scope: Scope): StaticValue {
  const operator = node.operatorToken.kind;
  if (operator >= K.FirstAssignment && operator <= K.LastAssignment) {
    throw problem("U010", node, "an assignment inside an expression is outside the language", {
      help: "Write the assignment as a statement of its own.",
    });
  }
  const left = attempt(machine, node.left, scope);
  if (operator === K.AmpersandAmpersandToken || operator === K.BarBarToken) {
    if (left.kind === "scalar") return logic(operator, node, left.expr, machine.evaluate(node.right, scope));
    const goesOn = truth(left, node.left) === (operator === K.AmpersandAmpersandToken);
    return goesOn ? machine.evaluate(node.right, scope) : left;
  }
  if (operator === K.QuestionQuestionToken)
    return left.kind === "undefined" ? machine.evaluate(node.right, scope) : left;
  return binary(operator, node, left, attempt(machine, node.right, scope));
}

function objectLiteral(machine: Machine, node: ts.ObjectLiteralExpression, scope: Scope): StaticValue {
  const members = new Map<string, StaticValue>();
  const given = new Set<string>();
  const once = (name: string, at: ts.Node): void => {
    if (given.has(name)) throw problem("U064", at, `${name} is given twice`);
    given.add(name);
  };
  for (const property of node.properties) {
    if (ts.isSpreadAssignment(property)) {
      const spread = machine.evaluate(property.expression, scope);
      if (spread.kind === "unknown") throw new Problem(undefined);
      if (spread.kind === "object") for (const [name, value] of spread.members) members.set(name, value);
      else if (spread.kind !== "undefined") {
        throw problem("U025", property, `... does not spread ${describe(spread)}`, { expected: "an object" });
      }
    } else if (ts.isShorthandPropertyAssignment(property)) {
      once(property.name.text, property.name);
      members.set(property.name.text, attempt(machine, property.name, scope));
    } else if (ts.isPropertyAssignment(property)) {
      const name = propertyName(machine, property.name, scope);
      once(name, property.name);
      members.set(name, attempt(machine, property.initializer, scope, name));
    } else {
      throw problem("U009", property, "methods and accessors are outside the language", {
        help: "Write name: (a, b) => ….",
      });
    }
  }
  return { kind: "object", members };
}

/** The name of a member: written, or computed at compile time. */
export function propertyName(machine: Machine, name: ts.PropertyName, scope: Scope): string {
  if (!ts.isComputedPropertyName(name)) return name.text;
  const value = machine.evaluate(name.expression, scope);
  const text = textOf(value);
  if (text === undefined)
    throw problem("U025", name, `${describe(value)} is no name of a member`, { expected: "a text" });
  return text;
}
