import { apply, f32, type ScalarExpr, type ScalarOp, scalarOps } from "../../ir/core/scalar.ts";

/**
 * Scalar functions that no target computes as its own: each is made of basic ones, the same on every target, with the accuracy that
 * ir/core/scalar.ts states. `step` names an intermediate value and gives the variable that stands for it.
 */
export type Composite = (x: ScalarExpr, step: (hint: string, value: ScalarExpr) => ScalarExpr) => ScalarExpr;

const add = (a: ScalarExpr, b: ScalarExpr): ScalarExpr => apply("add", a, b);
const sub = (a: ScalarExpr, b: ScalarExpr): ScalarExpr => apply("sub", a, b);
const mul = (a: ScalarExpr, b: ScalarExpr): ScalarExpr => apply("mul", a, b);
const floor = (a: ScalarExpr): ScalarExpr => apply("floor", a);
const clamp = (x: ScalarExpr, limit: number): ScalarExpr => apply("max", f32(-limit), apply("min", f32(limit), x));

/** c₀ + x·(c₁ + x·(…)) */
const polynomial = (x: ScalarExpr, coefficients: readonly number[]): ScalarExpr =>
  coefficients.map(f32).reduceRight((sum, c) => add(c, mul(x, sum)));

/**
 * π in three parts (Cody and Waite): the first two have 13 bits, so that their products with whole and half numbers of at most 11
 * bits are exact; the third has what is left.
 */
const pi = [3.14111328125, 0.0004793405532836914, 3.178650922459171e-8] as const;

/** Numbers of half turns of more bits are split in two at this one. */
const split = 1024;

/** sin r = r + r³·(…) for |r| up to 1.68, by least squares towards the smallest maximum; error below 10⁻⁸. */
const sine = [-0.16666650387978457, 0.008332863134134193, -0.0001979616340799806, 2.5783470849124616e-6];

/**
 * ±sin(x − n·π), where n is the whole number nearest to x / π for the sine, and the half number nearest to it for the cosine. The
 * reduced argument is exact but for its last rounding up to 2^20 radians. Beyond, the result is some number from −1 to 1.
 */
const wave =
  (kind: "sin" | "cos"): Composite =>
  (x, step) => {
    const ratio = mul(x, f32(1 / Math.PI));
    const whole = step("turns", floor(kind === "sin" ? add(ratio, f32(0.5)) : ratio));
    const n = kind === "sin" ? whole : step("half_turns", add(whole, f32(0.5)));
    const high = step("high", mul(floor(add(mul(n, f32(1 / split)), f32(0.5))), f32(split)));
    const low = step("low", sub(n, high));
    const [first, second, third] = pi.map(f32) as [ScalarExpr, ScalarExpr, ScalarExpr];
    const parts = [mul(high, first), mul(low, first), mul(high, second), mul(low, second), mul(n, third)];
    const r = step("rest", clamp(parts.reduce(sub, x), 1.75));
    const square = step("square", mul(r, r));
    const value = step("value", add(r, mul(r, mul(square, polynomial(square, sine)))));
    // Odd numbers of turns change the sign.
    const half = step("half", mul(whole, f32(0.5)));
    const odd = mul(f32(4), sub(half, floor(half)));
    return mul(value, kind === "sin" ? sub(f32(1), odd) : sub(odd, f32(1)));
  };

/** erf x = x·P(x²)/Q(x²) up to ±4, beyond which it is ±1 in f32. The coefficients are those of Eigen's rational approximation. */
const erf: Composite = (x, step) => {
  const near = step("near", clamp(x, 4));
  const square = step("square", mul(near, near));
  const above = [
    -1.60960333262415e-2, -2.95459980854025e-3, -7.34990630326855e-4, -5.69250639462346e-5, -2.10102402082508e-6,
    2.77068142495902e-8, -2.72614225801306e-10,
  ];
  const below = [
    -1.42647390514189e-2, -7.37332916720468e-3, -1.68282697438203e-3, -2.13374055278905e-4, -1.45660718464996e-5,
  ];
  return apply("div", mul(near, polynomial(square, above)), polynomial(square, below));
};

/** e^x − 1: near 0, where the difference would cancel, its Taylor series; the rest of the series is below 10⁻⁹ of it. */
const expm1: Composite = (x, step) => {
  const near = step("near", clamp(x, 0.35));
  const series = mul(near, polynomial(near, [1, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040, 1 / 40320]));
  return apply("select", apply("lt", apply("abs", x), f32(0.35)), series, sub(apply("exp", x), f32(1)));
};

export const composites = { sin: wave("sin"), cos: wave("cos"), erf, expm1 } as const satisfies Partial<
  Record<ScalarOp, Composite>
>;

type CompositeOp = keyof typeof composites;

/** What emitters print. */
export type BasicOp = Exclude<ScalarOp, CompositeOp>;

export const basicOps = (Object.keys(scalarOps) as ScalarOp[]).filter((op): op is BasicOp => !isComposite(op));

export function isComposite(op: ScalarOp): op is CompositeOp {
  return Object.hasOwn(composites, op);
}
