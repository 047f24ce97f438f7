import { IrError } from "../../../ir/core/diagnostic.ts";
import type { ScalarOp, ScalarType } from "../../../ir/core/scalar.ts";
import { isComposite } from "../../tile/composites.ts";
import { type Level, levels, type WgslLanguage } from "./language.ts";

/**
 * A WGSL expression on its way to text, with what is known of its value. An i32 expression is `text + offset`, so that
 * constants meet and fold; a constant has no text.
 */
export interface Code {
  readonly type: ScalarType;
  readonly text: string;
  readonly level: Level;
  readonly offset: number;
  readonly constant?: number;
  /** Whether an i32 is known not to be negative. */
  readonly natural: boolean;
  /** A number that an i32 is known to be a multiple of; 0 for zero itself. */
  readonly multiple: number;
}

export const constant = (type: ScalarType, value: number): Code => ({
  type,
  text: "",
  level: "primary",
  offset: 0,
  constant: type === "f32" ? Math.fround(value) : value,
  natural: value >= 0,
  multiple: Number.isInteger(value) ? Math.abs(value) : 1,
});

/** A name or another expression that binds tightest. */
export const primary = (
  type: ScalarType,
  text: string,
  known: { readonly natural?: boolean; readonly multiple?: number } = {},
): Code => ({
  type,
  text,
  level: "primary",
  offset: 0,
  natural: known.natural ?? false,
  multiple: known.multiple ?? 1,
});

/** Text that binds as `level`, of which no more is known. */
export const expression = (type: ScalarType, text: string, level: Level): Code => ({ ...primary(type, text), level });

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
const isInt32 = (value: number): boolean => Number.isInteger(value) && Math.abs(value) < 2 ** 31;

/** The text and how tightly it binds, with the offset written out. */
function finish(code: Code): { text: string; level: Level } {
  const value = code.constant;
  if (value !== undefined) return literal(code.type, value);
  if (code.offset === 0) return { text: code.text, level: code.level };
  const left = binds(code.level, "additive") ? code.text : `(${code.text})`;
  return { text: `${left} ${code.offset > 0 ? "+" : "-"} ${Math.abs(code.offset)}`, level: "additive" };
}

function literal(type: ScalarType, value: number): { text: string; level: Level } {
  if (type === "bool") return { text: value !== 0 ? "true" : "false", level: "primary" };
  const negative = value < 0 || Object.is(value, -0);
  if (type === "f32" && !Number.isFinite(value)) {
    if (Number.isNaN(value)) return { text: "not_a_number()", level: "primary" };
    return negative ? { text: "-infinity()", level: "unary" } : { text: "infinity()", level: "primary" };
  }
  const digits = String(Math.abs(value));
  const point = type === "f32" && !/[.e]/.test(digits) ? ".0" : "";
  return { text: `${negative ? "-" : ""}${digits}${point}`, level: negative ? "unary" : "primary" };
}

const binds = (level: Level, loosest: Level): boolean => levels.indexOf(level) >= levels.indexOf(loosest);

/** The expression as text that may stand where `loosest` is the loosest that needs no parentheses. */
export function print(code: Code, loosest: Level = "or"): string {
  const { text, level } = finish(code);
  return binds(level, loosest) ? text : `(${text})`;
}

/** a + b for i32, constants folded. */
export function add(a: Code, b: Code): Code {
  if (a.constant !== undefined && b.constant !== undefined) return constant("i32", a.constant + b.constant);
  const offset = (a.constant ?? a.offset) + (b.constant ?? b.offset);
  const texts = [a, b].filter((c) => c.constant === undefined).map((c) => ({ ...c, offset: 0 }));
  const [first, second] = texts;
  const text = [first && print(first, "additive"), second && print(second, "multiplicative")]
    .filter((t) => t !== undefined)
    .join(" + ");
  return {
    type: "i32",
    text,
    level: second ? "additive" : (first?.level ?? "additive"),
    offset,
    natural: a.natural && b.natural,
    multiple: gcd(a.multiple, b.multiple),
  };
}

/** a · b for i32, constants folded. */
export function times(a: Code, b: Code): Code {
  if (a.constant !== undefined && b.constant !== undefined) return constant("i32", a.constant * b.constant);
  if (a.constant !== undefined) return times(b, a);
  if (b.constant === 0) return constant("i32", 0);
  if (b.constant === 1) return a;
  const natural = a.natural && b.natural;
  const multiple = a.multiple * b.multiple;
  const spread = b.constant !== undefined && isInt32(a.offset * b.constant);
  const left = spread ? { ...a, offset: 0 } : a;
  const text = `${print(left, "multiplicative")} * ${print(b, "unary")}`;
  const offset = spread ? a.offset * (b.constant ?? 0) : 0;
  return { type: "i32", text, level: "multiplicative", offset, natural, multiple };
}

export const sum = (terms: readonly Code[]): Code => terms.reduce(add, constant("i32", 0));

/** Applies a scalar operation: folds constants by the operation's meaning, else prints its text. */
export function applyOp(op: ScalarOp, type: ScalarType, args: readonly Code[], language: WgslLanguage): Code {
  if (isComposite(op)) throw new IrError(`${op} stands in a kernel`, "Decompose kernels before they are printed.");
  const fn = language.functions[op];
  const [a, b, c] = args;
  const operandType = (op === "select" ? b : a)?.type ?? type;
  if ((op === "floorDiv" || op === "mod") && b?.constant === 0)
    throw new IrError(`an index divides by zero (${op} by the constant 0)`, "Divide by a number other than zero.");
  const values = args.map((x) => x.constant);
  if (values.every((v) => v !== undefined)) {
    const [x = 0, y = 0, z = 0] = values;
    return constant(type, fn.meaning(operandType, x, y, z));
  }
  if (type === "i32" && a && b) {
    if (op === "add") return add(a, b);
    if (op === "sub" && b.constant !== undefined) return { ...add(a, constant("i32", -b.constant)), natural: false };
    if (op === "mul") return times(a, b);
    if ((op === "floorDiv" && b.constant === 1) || (op === "mod" && b.constant === 1))
      return op === "mod" ? constant("i32", 0) : a;
  }
  if (op === "select" && a?.constant !== undefined && b && c) return a.constant !== 0 ? b : c;
  if (op === "and" || op === "or") {
    const known = [a, b].find((x) => x?.constant !== undefined);
    const other = [a, b].find((x) => x !== known);
    if (known?.constant !== undefined && other)
      return (known.constant !== 0) === (op === "and") ? other : constant("bool", known.constant);
  }
  const natural = fn.natural !== undefined && a?.natural === true && b?.constant !== undefined && b.constant > 0;
  const form = natural && fn.natural ? fn.natural : fn;
  const holes = ["a", "b", "c"];
  const text = args.reduce(
    (t, arg, i) => t.replaceAll(`{${holes[i]}}`, () => print(arg, form.operands[i] ?? "primary")),
    form.text,
  );
  return { type, text, level: form.level, offset: 0, ...knowledge(op, args) };
}

/** What is known of an i32 result: its sign, and what it is a multiple of. */
function knowledge(op: ScalarOp, args: readonly Code[]): { natural: boolean; multiple: number } {
  const [a, b, c] = args;
  const all = args.every((x) => x.natural);
  const shared = args.reduce((m, x) => gcd(m, x.multiple), 0);
  switch (op) {
    case "sub":
      return { natural: false, multiple: shared };
    case "min":
      return { natural: all, multiple: shared };
    case "max":
      return { natural: args.some((x) => x.natural), multiple: shared };
    case "floorDiv":
      return { natural: all, multiple: 1 };
    case "mod":
      return { natural: (b?.constant ?? 0) > 0 || all, multiple: gcd(a?.multiple ?? 1, b?.multiple ?? 1) };
    case "select":
      return { natural: b?.natural === true && c?.natural === true, multiple: gcd(b?.multiple ?? 1, c?.multiple ?? 1) };
    default:
      return { natural: op === "abs", multiple: 1 };
  }
}
