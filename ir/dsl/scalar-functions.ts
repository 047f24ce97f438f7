import {
  apply,
  f32,
  type ScalarExpr,
  type ScalarFunction,
  type ScalarOp,
  scalarOps,
  sigmoid,
  silu,
  softplus,
  variable,
} from "../core/scalar.ts";

const zero = f32(0);
const one = f32(1);

/** Scalar ops from float to float: each is a function of the language as it is. */
type FloatOp = {
  [K in ScalarOp]: (typeof scalarOps)[K] extends { readonly arity: 1; readonly signature: "float" } ? K : never;
}[ScalarOp];

const floatOps = (Object.keys(scalarOps) as ScalarOp[]).filter(
  (op): op is FloatOp => scalarOps[op].signature === "float" && scalarOps[op].arity === 1,
);

/** Other elementwise functions of one argument. The formulas are the usual definitions, in forms that do not overflow early. */
const unary = {
  abs: (x) => apply("abs", x),
  sigmoid,
  silu,
  relu: (x) => apply("max", x, zero),
  tanh: (x) => apply("sub", apply("mul", f32(2), sigmoid(apply("mul", f32(2), x))), one),
  softplus,
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

export type UnaryName = FloatOp | keyof typeof unary;
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
  ...(Object.fromEntries([
    ...floatOps.map((op) => [op, { params: ["x"], body: apply(op, x) }]),
    ...Object.entries(unary).map(([name, build]) => [name, { params: ["x"], body: build(x) }]),
  ]) as unknown as Record<UnaryName, ScalarFunction>),
  ...(Object.fromEntries(
    Object.entries(binary).map(([name, build]) => [name, { params: ["a", "b"], body: build(a, b) }]),
  ) as unknown as Record<BinaryName, ScalarFunction>),
};

export const isScalarFunction = (name: string): name is ScalarFunctionName => Object.hasOwn(scalarFunctions, name);
