import { type BlockFormatName, blockFormatNames, formatOf, isBlockFormat } from "../core/block-formats.ts";
import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { Attribute, AttributeMap } from "../core/layer.ts";
import type { ScalarExpr, ScalarFunction } from "../core/scalar.ts";
import { type DType, isFloat, isReal } from "../core/types.ts";

/** Readers of attributes that say what is wrong with one. Each throws IrError for a value of the wrong kind. */

const describe = (value: Attribute | undefined): string => {
  if (value === undefined) return "nothing";
  if (value instanceof Dim) return `dimension ${value}`;
  if (isScalarFunction(value)) return "a function";
  return typeof value === "object" ? "a structure" : JSON.stringify(value);
};

const wrong = (op: string, name: string, expected: string, value: Attribute | undefined): never => {
  throw new IrError(
    `${name} of ${op} is ${expected}, found ${describe(value)}`,
    value === undefined ? `Give ${name}.` : `Write ${expected} for ${name}.`,
  );
};

export const isScalarFunction = (value: Attribute | undefined): value is ScalarFunction =>
  typeof value === "object" &&
  !(value instanceof Dim) &&
  !Array.isArray(value) &&
  "params" in value &&
  Array.isArray(value.params) &&
  "body" in value &&
  typeof value.body === "object" &&
  "kind" in value.body &&
  typeof value.body.kind === "string";

/** True for a structure of named attributes, such as `packed`. */
export const isAttributeMap = (value: Attribute): value is AttributeMap =>
  typeof value === "object" && !(value instanceof Dim) && !Array.isArray(value) && !isScalarFunction(value);

/** Rejects attributes that the op does not have. */
export function onlyAttributes(op: string, attributes: AttributeMap, allowed: readonly string[]): void {
  for (const name of Object.keys(attributes)) {
    if (!allowed.includes(name)) {
      throw new IrError(
        `${op} has no option "${name}"`,
        allowed.length === 0
          ? `${op} has no options; leave it out.`
          : `The options of ${op} are ${allowed.join(", ")}.`,
      );
    }
  }
}

/** A size: a whole number or a dimension over parameter names. A size that is a number is at least `least`. */
export function sizeAttribute(op: string, attributes: AttributeMap, name: string, least = 1): Dim {
  const value = attributes[name];
  if (!(value instanceof Dim) && !(typeof value === "number" && Number.isSafeInteger(value)))
    return wrong(op, name, "a whole number or a dimension", value);
  const dim = Dim.of(value);
  if (dim.constant !== undefined && dim.constant < least)
    throw new IrError(`${name} of ${op} is ${dim}, expected at least ${least}`, `Give ${least} or more.`);
  return dim;
}

/** A list of dimensions: whole numbers, or dimensions over parameter names and run-time symbols. */
export function dimsAttribute(op: string, attributes: AttributeMap, name: string): readonly Dim[] {
  const value = attributes[name];
  if (!Array.isArray(value)) return wrong(op, name, "a list of dimensions", value);
  return value.map((item: Attribute, i) => sizeAttribute(op, { [`${name}[${i}]`]: item }, `${name}[${i}]`, 0));
}

/** A dimension counted from the last, as −1 (the last), −2, …: the same for one token and for many. */
export function axisAttribute(op: string, attributes: AttributeMap): number {
  const { axis } = attributes;
  if (typeof axis === "number" && Number.isSafeInteger(axis) && axis < 0) return axis;
  return wrong(op, "axis", "a dimension counted from the last, -1 or below", axis);
}

/** A whole number of at least 1 that must be known now, such as the width of a block. */
export function countAttribute(op: string, attributes: AttributeMap, name: string): number {
  const value = attributes[name];
  const known = value instanceof Dim ? value.constant : value;
  if (typeof known !== "number" || !Number.isSafeInteger(known) || known < 1)
    return wrong(op, name, "a whole number of at least 1", value);
  return known;
}

export function numberAttribute(op: string, attributes: AttributeMap, name: string, fallback: number): number {
  const value = attributes[name];
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !Number.isFinite(value)) return wrong(op, name, "a finite number", value);
  return value;
}

/** One of a few words. */
export function choiceAttribute<T extends string>(
  op: string,
  attributes: AttributeMap,
  name: string,
  choices: readonly T[],
  fallback?: T,
): T {
  const value = attributes[name];
  if (value === undefined && fallback !== undefined) return fallback;
  const found = choices.find((c) => c === value);
  return found ?? wrong(op, name, `one of ${choices.map((c) => `"${c}"`).join(", ")}`, value);
}

/** A float type: f32, f16 or bf16. */
export function floatTypeAttribute(op: string, attributes: AttributeMap, name: string, fallback?: DType) {
  const value = attributes[name] ?? fallback;
  if (typeof value === "string" && isFloat(value as DType)) return value as "f32" | "f16" | "bf16";
  return wrong(op, name, 'one of "f32", "f16", "bf16"', attributes[name]);
}

const isRounded = (name: BlockFormatName): boolean => formatOf(name, 1).error !== undefined;

/** What values may be rounded to: a float type or a block format. */
export function realTypeAttribute(op: string, attributes: AttributeMap, name: string): DType {
  const value = attributes[name];
  if (typeof value === "string" && isReal(value as DType) && !(isBlockFormat(value) && !isRounded(value)))
    return value as DType;
  const names = ["f32", "f16", "bf16", ...blockFormatNames.filter(isRounded)];
  return wrong(op, name, `one of ${names.map((n) => `"${n}"`).join(", ")}`, value);
}

/** A function of `arity` f32 numbers with an f32 result, or undefined where the attribute is absent. */
export function functionAttribute(
  op: string,
  attributes: AttributeMap,
  name: string,
  arity: number,
): ScalarFunction | undefined {
  const value = attributes[name];
  if (value === undefined) return undefined;
  if (!isScalarFunction(value)) return wrong(op, name, "a function over numbers", value);
  if (value.params.length !== arity) {
    throw new IrError(
      `the function of ${op} takes ${value.params.length} number${value.params.length === 1 ? "" : "s"}, but ${arity} ${arity === 1 ? "is" : "are"} given`,
      `Write a function with ${arity} parameter${arity === 1 ? "" : "s"}.`,
    );
  }
  if (new Set(value.params).size !== arity)
    throw new IrError(`two parameters of the function of ${op} have one name`, "Give each parameter its own name.");
  if (value.body.type !== "f32")
    throw new IrError(
      `the function of ${op} gives ${value.body.type}, expected a number`,
      "Return a number: choose between numbers with a conditional where the result is a condition.",
    );
  checkClosed(op, value.body, new Set(value.params));
  return value;
}

function checkClosed(op: string, expr: ScalarExpr, params: ReadonlySet<string>): void {
  switch (expr.kind) {
    case "const":
      return;
    case "var":
      if (!params.has(expr.name) || expr.type !== "f32")
        throw new IrError(
          `the function of ${op} uses ${expr.name}, which is not one of its parameters (${[...params].join(", ")})`,
          "Use the function's parameters and constants only; give further tensors as further operands.",
        );
      return;
    case "apply":
      for (const arg of expr.args) checkClosed(op, arg, params);
      return;
    case "element":
      throw new IrError(
        `the function of ${op} reads an element of ${expr.base}`,
        "Use the function's parameters and constants only; give further tensors as further operands.",
      );
  }
}
