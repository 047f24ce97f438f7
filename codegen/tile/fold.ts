import { IrError } from "../../ir/core/diagnostic.ts";
import type { Dim } from "../../ir/core/dim.ts";
import { apply, bool, i32, type ScalarExpr, type ScalarOp, scalarOp, variable } from "../../ir/core/scalar.ts";

/** An integer expression, or a number that stands for one. */
export type Int = ScalarExpr | number;

/**
 * Expression makers for indices, bounds and conditions. They fold constants, so that generated text stays clean:
 * `add(0, x)` is `x`, `add(add(x, 1), 2)` is `x + 3`. Floats are never folded, since folding could round differently.
 */

/** The expression itself, or a number as an i32 constant. */
export function int(value: Int): ScalarExpr {
  if (typeof value !== "number") return value;
  if (!Number.isInteger(value) || value !== (value | 0))
    throw new IrError(`expected a whole number of 32 bits, found ${value}`, "Use a whole number.");
  return i32(value | 0);
}

/** The value of an i32 or bool constant. */
export const constantOf = (expr: ScalarExpr): number | undefined =>
  expr.kind === "const" && expr.type !== "f32" ? expr.value : undefined;

/** The constant that an expression always has, by evaluating its constant parts; undefined where it depends on a variable or element. */
export function staticValue(expr: ScalarExpr): number | undefined {
  if (expr.kind === "const") return expr.value;
  if (expr.kind !== "apply") return undefined;
  const args: number[] = [];
  for (const arg of expr.args) {
    const value = staticValue(arg);
    if (value === undefined) return undefined;
    args.push(value);
  }
  const [a = 0, b = 0, c = 0] = args;
  return scalarOp(expr.op).evaluate(a, b, c);
}

/** Structural equality. */
export function sameExpr(a: ScalarExpr, b: ScalarExpr): boolean {
  if (a === b) return true;
  switch (a.kind) {
    case "const":
      return b.kind === "const" && a.type === b.type && Object.is(a.value, b.value);
    case "var":
      return b.kind === "var" && a.name === b.name;
    case "apply":
      return b.kind === "apply" && a.op === b.op && sameList(a.args, b.args);
    case "element":
      return b.kind === "element" && a.base === b.base && sameList(a.index, b.index);
  }
}

const sameList = (a: readonly ScalarExpr[], b: readonly ScalarExpr[]): boolean =>
  a.length === b.length && a.every((x, i) => sameExpr(x, b[i]));

/** Applies an op; the result is a constant where all arguments are integer or bool constants and it fits i32. */
function folded(op: ScalarOp, ...args: readonly ScalarExpr[]): ScalarExpr {
  const made = apply(op, ...args);
  if (made.type === "f32") return made;
  const values: number[] = [];
  for (const arg of args) {
    const value = constantOf(arg);
    if (value === undefined) return made;
    values.push(value);
  }
  const [a = 0, b = 0, c = 0] = values;
  const value = scalarOp(op).evaluate(a, b, c);
  if (value !== (value | 0)) return made;
  return made.type === "bool" ? bool(value !== 0) : i32(value | 0);
}

/** `expr` as a term and a constant added to it. */
function split(expr: ScalarExpr): { readonly term: ScalarExpr | undefined; readonly constant: number } {
  const constant = constantOf(expr);
  if (constant !== undefined) return { term: undefined, constant };
  if (expr.kind === "apply" && expr.type === "i32" && (expr.op === "add" || expr.op === "sub")) {
    const right = constantOf(expr.args[1]);
    if (right !== undefined) return { term: expr.args[0], constant: expr.op === "add" ? right : -right };
  }
  return { term: expr, constant: 0 };
}

function withConstant(term: ScalarExpr | undefined, constant: number): ScalarExpr {
  if (term === undefined) return int(constant);
  if (constant === 0) return term;
  return constant > 0 ? apply("add", term, int(constant)) : apply("sub", term, int(-constant));
}

/** a + b. */
export function add(a: Int, b: Int): ScalarExpr {
  const [x, y] = [int(a), int(b)];
  if (x.type !== "i32" || y.type !== "i32") return apply("add", x, y);
  const [left, right] = [split(x), split(y)];
  const term = left.term && right.term ? apply("add", left.term, right.term) : (left.term ?? right.term);
  return withConstant(term, left.constant + right.constant);
}

/** a − b. */
export function sub(a: Int, b: Int): ScalarExpr {
  const [x, y] = [int(a), int(b)];
  if (x.type !== "i32" || y.type !== "i32") return apply("sub", x, y);
  const [left, right] = [split(x), split(y)];
  const constant = left.constant - right.constant;
  if (right.term === undefined) return withConstant(left.term, constant);
  if (left.term === undefined) return apply("sub", int(constant), right.term);
  if (sameExpr(left.term, right.term)) return int(constant);
  return withConstant(apply("sub", left.term, right.term), constant);
}

/** `expr` as a factor and a constant that multiplies it. */
function scaled(expr: ScalarExpr): { readonly factor: ScalarExpr; readonly constant: number } {
  if (expr.kind === "apply" && expr.op === "mul" && expr.type === "i32") {
    const right = constantOf(expr.args[1]);
    if (right !== undefined) return { factor: expr.args[0], constant: right };
  }
  return { factor: expr, constant: 1 };
}

/** a · b. A constant goes to the right. */
export function mul(a: Int, b: Int): ScalarExpr {
  const [x, y] = [int(a), int(b)];
  if (x.type !== "i32" || y.type !== "i32") return apply("mul", x, y);
  const [left, right] = [constantOf(x), constantOf(y)];
  if (left !== undefined && right === undefined) return mul(y, x);
  if (left !== undefined || right === undefined) return folded("mul", x, y);
  if (right === 0) return i32(0);
  const { factor, constant } = scaled(x);
  return constant * right === 1 ? factor : apply("mul", factor, int(constant * right));
}

/** ⌊a / b⌋. */
export function floorDiv(a: Int, b: Int): ScalarExpr {
  const [x, y] = [int(a), int(b)];
  const divisor = constantOf(y);
  if (divisor === 0) return apply("floorDiv", x, y);
  if (divisor === undefined || constantOf(x) !== undefined) return folded("floorDiv", x, y);
  if (divisor === 1) return x;
  const { factor, constant } = scaled(x);
  return constant % divisor === 0 ? mul(factor, constant / divisor) : apply("floorDiv", x, y);
}

/** ⌈a / b⌉ for a positive constant b. */
export const ceilDiv = (a: Int, b: number): ScalarExpr => floorDiv(add(a, b - 1), b);

/** a − b·⌊a / b⌋. */
export function mod(a: Int, b: Int): ScalarExpr {
  const [x, y] = [int(a), int(b)];
  const divisor = constantOf(y);
  if (divisor === 0) return apply("mod", x, y);
  if (divisor === 1 || (divisor !== undefined && scaled(x).constant % divisor === 0)) return i32(0);
  return folded("mod", x, y);
}

export function min(a: Int, b: Int): ScalarExpr {
  const [x, y] = [int(a), int(b)];
  return sameExpr(x, y) ? x : folded("min", x, y);
}

export function max(a: Int, b: Int): ScalarExpr {
  const [x, y] = [int(a), int(b)];
  return sameExpr(x, y) ? x : folded("max", x, y);
}

export const lt = (a: Int, b: Int): ScalarExpr => folded("lt", int(a), int(b));
export const le = (a: Int, b: Int): ScalarExpr => folded("le", int(a), int(b));
export const eq = (a: Int, b: Int): ScalarExpr => folded("eq", int(a), int(b));

/** Both; a constant side is dropped. Both sides may be evaluated: neither guards the other. */
export function and(a: ScalarExpr, b: ScalarExpr): ScalarExpr {
  if (constantOf(a) !== undefined) return constantOf(a) === 0 ? a : b;
  if (constantOf(b) !== undefined) return constantOf(b) === 0 ? b : a;
  return apply("and", a, b);
}

/** Either; a constant side is dropped. Both sides may be evaluated. */
export function or(a: ScalarExpr, b: ScalarExpr): ScalarExpr {
  if (constantOf(a) !== undefined) return constantOf(a) === 0 ? b : a;
  if (constantOf(b) !== undefined) return constantOf(b) === 0 ? a : b;
  return apply("or", a, b);
}

/** The opposite. */
export function not(a: ScalarExpr): ScalarExpr {
  const value = constantOf(a);
  return value === undefined ? apply("not", a) : bool(value === 0);
}

/** `a` where the condition holds, else `b`; folds a constant condition. Both sides may be evaluated. */
export function select(condition: ScalarExpr, a: Int, b: Int): ScalarExpr {
  const value = constantOf(condition);
  return value === undefined ? apply("select", condition, int(a), int(b)) : int(value !== 0 ? a : b);
}

/** A dimension as an i32 expression over its symbols. */
export const dimExpr = (dim: Dim): ScalarExpr =>
  dim.terms
    .map(({ factors, coefficient }) =>
      factors.reduce<ScalarExpr>((product, f) => mul(product, variable(f, "i32")), int(coefficient)),
    )
    .reduce(add, int(0));
