import { apply, f32, type ScalarExpr, type ScalarFunction, sigmoid, silu, softplus, variable } from "../core/scalar.ts";

const zero = f32(0);
const one = f32(1);

/** Elementwise functions of one argument. The formulas are the usual definitions, in forms that do not overflow early. */
const unary = {
  exp: (x) => apply("exp", x),
  log: (x) => apply("log", x),
  sqrt: (x) => apply("sqrt", x),
  abs: (x) => apply("abs", x),
  sigmoid,
  silu,
  relu: (x) => apply("max", x, zero),
  tanh: (x) => apply("sub", apply("mul", f32(2), sigmoid(apply("mul", f32(2), x))), one),
  softplus,
  floor: (x) => apply("floor", x),
  sin: (x) => apply("sin", x),
  cos: (x) => apply("cos", x),
  erf: (x) => apply("erf", x),
} as const satisfies Record<string, (x: ScalarExpr) => ScalarExpr>;

/** Elementwise functions of two arguments. */
const binary = {
  add: (a, b) => apply("add", a, b),
  sub: (a, b) => apply("sub", a, b),
  mul: (a, b) => apply("mul", a, b),
  div: (a, b) => apply("div", a, b),
  min: (a, b) => apply("min", a, b),
  max: (a, b) => apply("max", a, b),
} as const satisfies Record<string, (a: ScalarExpr, b: ScalarExpr) => ScalarExpr>;

export type UnaryName = keyof typeof unary;
export type BinaryName = keyof typeof binary;
export type ScalarFunctionName = UnaryName | BinaryName;

const x = variable("x", "f32");
const a = variable("a", "f32");
const b = variable("b", "f32");

/**
 * What each elementwise function of the language means, as an expression over f32. Calls with numbers, with tensors,
 * and the compiler all use this one table.
 */
export const scalarFunctions: Readonly<Record<ScalarFunctionName, ScalarFunction>> = {
  ...(Object.fromEntries(
    Object.entries(unary).map(([name, build]) => [name, { params: ["x"], body: build(x) }]),
  ) as unknown as Record<UnaryName, ScalarFunction>),
  ...(Object.fromEntries(
    Object.entries(binary).map(([name, build]) => [name, { params: ["a", "b"], body: build(a, b) }]),
  ) as unknown as Record<BinaryName, ScalarFunction>),
};

export const isScalarFunction = (name: string): name is ScalarFunctionName => Object.hasOwn(scalarFunctions, name);
