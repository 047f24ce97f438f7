import { ts } from "ts-morph";
import { Dim } from "../core/dim.ts";
import { apply, bool, f32, type ScalarExpr, type ScalarOp } from "../core/scalar.ts";
import { scalarFunctions } from "../dsl/scalar-functions.ts";
import { Problem, problem } from "./source.ts";
import { booleanValue, describe, numberValue, type StaticValue, undefinedValue } from "./values.ts";

const K = ts.SyntaxKind;

/** The number as a polynomial over parameters, where it is one. */
export function dimOf(value: StaticValue & { kind: "number" }): Dim | undefined {
  return value.dim ?? (Number.isSafeInteger(value.value) ? Dim.of(value.value) : undefined);
}

/** A value inside map's function as an expression; undefined for what is no number or condition. */
export function scalarOf(value: StaticValue): ScalarExpr | undefined {
  if (value.kind === "scalar") return value.expr;
  if (value.kind === "number") return f32(value.value);
  return value.kind === "boolean" ? bool(value.value) : undefined;
}

/** Whether a condition holds. @throws Problem where only the elements of a tensor decide it */
export function truth(value: StaticValue, at: ts.Node): boolean {
  switch (value.kind) {
    case "boolean":
      return value.value;
    case "number":
      return value.value !== 0 && !Number.isNaN(value.value);
    case "string":
      return value.value !== "";
    case "undefined":
      return false;
    case "unknown":
      throw new Problem(undefined);
    case "scalar":
      throw problem("U027", at, "a decision on elements is not known at compile time", {
        help: "Inside map's function, choose between numbers with a conditional expression: g > 0 ? g : 0.",
      });
    case "expert":
      throw problem("U067", at, "a decision on the expert's number");
    case "tensor":
      throw problem("U027", at, `a decision on ${describe(value)} is not known at compile time`);
    default:
      return true;
  }
}

/** The function that does for tensors what an operator does for numbers. */
const tensorFunctions: Partial<Record<ts.SyntaxKind, string>> = {
  [K.PlusToken]: "add",
  [K.MinusToken]: "sub",
  [K.AsteriskToken]: "mul",
  [K.SlashToken]: "div",
};

type Side = StaticValue;

function wrongOperands(operator: ts.SyntaxKind, at: ts.Node, left: Side, right: Side): Problem {
  const sign = ts.tokenToString(operator);
  if (left.kind === "expert" || right.kind === "expert") {
    return problem("U067", at, `${sign} does not work on the expert's number`);
  }
  const instead = tensorFunctions[operator];
  const tensor = left.kind === "tensor" || right.kind === "tensor";
  return problem("U025", at, `${sign} does not work on ${describe(left)} and ${describe(right)}`, {
    expected: "numbers",
    help:
      tensor && instead !== undefined
        ? `On tensors write ${instead}(a, b), or map(a, b, (a, b) => a ${sign} b).`
        : "Operators work on numbers: parameters, constants, and the arguments of map's function.",
  });
}

/** Binary operators of the language, beside && || ?? and assignments. */
const operators: ReadonlySet<ts.SyntaxKind> = new Set([
  K.PlusToken,
  K.MinusToken,
  K.AsteriskToken,
  K.SlashToken,
  K.PercentToken,
  K.AsteriskAsteriskToken,
  K.LessThanToken,
  K.LessThanEqualsToken,
  K.GreaterThanToken,
  K.GreaterThanEqualsToken,
  K.EqualsEqualsToken,
  K.EqualsEqualsEqualsToken,
  K.ExclamationEqualsToken,
  K.ExclamationEqualsEqualsToken,
]);

/** A binary operator but && || ?? and assignments. */
export function binary(operator: ts.SyntaxKind, at: ts.Node, left: Side, right: Side): StaticValue {
  if (!operators.has(operator)) {
    throw problem("U009", at, `the operator ${ts.tokenToString(operator)} is outside the language`, {
      help: "There are + - * / % **, comparisons, && || ! ?? and ? :.",
    });
  }
  if (left.kind === "unknown" || right.kind === "unknown") throw new Problem(undefined);
  const equality = equals(operator);
  if (left.kind === "scalar" || right.kind === "scalar") {
    const [a, b] = [scalarOf(left), scalarOf(right)];
    const expr = a !== undefined && b !== undefined ? scalarBinary(operator, at, a, b, right) : undefined;
    if (expr === undefined) throw wrongOperands(operator, at, left, right);
    return { kind: "scalar", expr };
  }
  if (left.kind === "number" && right.kind === "number") {
    const result = numberBinary(operator, left, right);
    if (result !== undefined) return result;
  }
  if (
    equality !== undefined &&
    "value" in left &&
    "value" in right &&
    left.kind !== "tensor" &&
    left.kind !== "expert"
  ) {
    return booleanValue((left.kind === right.kind && left.value === right.value) === equality);
  }
  if (equality !== undefined && (left.kind === "undefined" || right.kind === "undefined")) {
    return booleanValue((left.kind === right.kind) === equality);
  }
  if (operator === K.PlusToken && (left.kind === "string" || right.kind === "string")) {
    const text = textOf(left);
    const rest = textOf(right);
    if (text !== undefined && rest !== undefined) return { kind: "string", value: text + rest };
  }
  throw wrongOperands(operator, at, left, right);
}

/** The text of a value in a template, or undefined where it has none. */
export function textOf(value: StaticValue): string | undefined {
  if (value.kind === "string") return value.value;
  return value.kind === "number" || value.kind === "boolean" ? String(value.value) : undefined;
}

/** True for === and ==, false for !== and !=, undefined for other operators. */
function equals(kind: ts.SyntaxKind): boolean | undefined {
  if (kind === K.EqualsEqualsEqualsToken || kind === K.EqualsEqualsToken) return true;
  return kind === K.ExclamationEqualsEqualsToken || kind === K.ExclamationEqualsToken ? false : undefined;
}

function numberBinary(
  kind: ts.SyntaxKind,
  left: StaticValue & { kind: "number" },
  right: StaticValue & { kind: "number" },
): StaticValue | undefined {
  const [a, b] = [left.value, right.value];
  // Without a parameter behind it a number is only itself; and a fraction is no dimension.
  const symbolic = (left.dim ?? right.dim) !== undefined && Number.isSafeInteger(a) && Number.isSafeInteger(b);
  const [da, db] = symbolic ? [dimOf(left), dimOf(right)] : [];
  const both = (make: (a: Dim, b: Dim) => Dim): Dim | undefined => (da && db ? make(da, db) : undefined);
  switch (kind) {
    case K.PlusToken:
      return numberValue(
        a + b,
        both((x, y) => x.plus(y)),
      );
    case K.MinusToken:
      return numberValue(
        a - b,
        both((x, y) => x.plus(y.times(-1))),
      );
    case K.AsteriskToken:
      return numberValue(
        a * b,
        both((x, y) => x.times(y)),
      );
    case K.SlashToken:
      return numberValue(a / b);
    case K.PercentToken:
      return numberValue(a % b);
    case K.AsteriskAsteriskToken:
      return numberValue(a ** b);
    case K.LessThanToken:
      return booleanValue(a < b);
    case K.LessThanEqualsToken:
      return booleanValue(a <= b);
    case K.GreaterThanToken:
      return booleanValue(a > b);
    case K.GreaterThanEqualsToken:
      return booleanValue(a >= b);
    default: {
      const equality = equals(kind);
      return equality === undefined ? undefined : booleanValue((a === b) === equality);
    }
  }
}

const arithmetic: Partial<Record<ts.SyntaxKind, ScalarOp>> = {
  [K.PlusToken]: "add",
  [K.MinusToken]: "sub",
  [K.AsteriskToken]: "mul",
  [K.SlashToken]: "div",
};

function scalarBinary(
  operator: ts.SyntaxKind,
  at: ts.Node,
  a: ScalarExpr,
  b: ScalarExpr,
  right: Side,
): ScalarExpr | undefined {
  if (a.type !== b.type || a.type === "bool") return undefined;
  const op = arithmetic[operator];
  if (op !== undefined) return apply(op, a, b);
  switch (operator) {
    case K.LessThanToken:
      return apply("lt", a, b);
    case K.LessThanEqualsToken:
      return apply("le", a, b);
    case K.GreaterThanToken:
      return apply("lt", b, a);
    case K.GreaterThanEqualsToken:
      return apply("le", b, a);
    case K.AsteriskAsteriskToken:
      return right.kind === "number" ? power(at, a, right.value) : undefined;
    default: {
      const equality = equals(operator);
      if (equality === undefined) return undefined;
      return equality ? apply("eq", a, b) : apply("not", apply("eq", a, b));
    }
  }
}

/** Powers as products. */
function power(at: ts.Node, base: ScalarExpr, exponent: number): ScalarExpr {
  if (exponent === 0.5) return apply("sqrt", base);
  if (!Number.isInteger(exponent) || exponent < 1 || exponent > 8) {
    throw problem("U025", at, `** ${exponent} does not work on elements`, {
      expected: "0.5 or a whole number from 1 to 8",
      help: "For other exponents write exp(n * log(x)).",
    });
  }
  return Array.from({ length: exponent - 1 }, () => base).reduce((p, x) => apply("mul", p, x), base);
}

/** The conditional expression on a condition over elements. */
export function select(at: ts.Node, condition: ScalarExpr, yes: StaticValue, no: StaticValue): StaticValue {
  const [a, b] = [scalarOf(yes), scalarOf(no)];
  if (condition.type !== "bool" || a === undefined || b === undefined || a.type !== b.type) {
    throw problem("U025", at, `cannot choose between ${describe(yes)} and ${describe(no)} by elements`, {
      expected: "a condition, and two numbers",
    });
  }
  return { kind: "scalar", expr: apply("select", condition, a, b) };
}

/** && and || where the left side is a condition over elements. */
export function logic(operator: ts.SyntaxKind, at: ts.Node, left: ScalarExpr, right: StaticValue): StaticValue {
  const b = scalarOf(right);
  if (left.type !== "bool" || b?.type !== "bool") {
    throw wrongOperands(operator, at, { kind: "scalar", expr: left }, right);
  }
  return { kind: "scalar", expr: apply(operator === K.AmpersandAmpersandToken ? "and" : "or", left, b) };
}

/** Prefix + - ! */
export function prefix(node: ts.PrefixUnaryExpression, value: StaticValue): StaticValue {
  if (node.operator === K.ExclamationToken) {
    if (value.kind === "scalar" && value.expr.type === "bool") {
      return { kind: "scalar", expr: apply("not", value.expr) };
    }
    return booleanValue(!truth(value, node.operand));
  }
  const sign = node.operator === K.MinusToken ? -1 : 1;
  if (node.operator === K.MinusToken || node.operator === K.PlusToken) {
    if (value.kind === "number") return numberValue(sign * value.value, value.dim?.times(sign));
    if (value.kind === "scalar" && value.expr.type !== "bool") {
      return { kind: "scalar", expr: sign < 0 ? apply("neg", value.expr) : value.expr };
    }
  }
  if (value.kind === "unknown") throw new Problem(undefined);
  throw problem("U025", node, `${node.getText()[0]} does not work on ${describe(value)}`, { expected: "a number" });
}

const member = (value: number): StaticValue => numberValue(value);

/** Functions of numbers known at compile time. */
const numeric: Readonly<Record<string, (x: number) => number>> = {
  ceil: Math.ceil,
  round: Math.round,
  trunc: Math.trunc,
  log2: Math.log2,
};

/** What JavaScript itself defines and a layer may use. */
export function globalValue(name: string): StaticValue | undefined {
  if (name === "undefined") return undefinedValue;
  if (name === "Infinity") return member(Number.POSITIVE_INFINITY);
  if (name === "NaN") return member(Number.NaN);
  if (name !== "Math") return undefined;
  const members = new Map<string, StaticValue>([
    ["PI", member(Math.PI)],
    ["E", member(Math.E)],
    ["SQRT2", member(Math.SQRT2)],
    ["SQRT1_2", member(Math.SQRT1_2)],
    ["LN2", member(Math.LN2)],
  ]);
  // Those of the language that JavaScript has under the same name mean the same.
  for (const same of Object.keys(scalarFunctions))
    if (Object.hasOwn(Math, same)) members.set(same, { kind: "builtin", name: same });
  for (const [own, f] of Object.entries(numeric)) {
    members.set(own, {
      kind: "native",
      name: `Math.${own}`,
      run: (args, call) => {
        const [x] = args;
        if (args.length === 1 && x?.kind === "number") return member(f(x.value));
        throw problem("U025", call, `Math.${own} takes a number known at compile time`, {
          found: args.map(describe).join(", ") || "nothing",
        });
      },
    });
  }
  return { kind: "object", members, what: "Math" };
}
