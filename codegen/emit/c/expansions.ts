import type { ScalarOp } from "../../../ir/core/scalar.ts";

/** Operations that expansions are made of, beyond ScalarOp. Each is `name.f32` in an instruction table. */
export type Primitive =
  | "add"
  | "sub"
  | "mul"
  | "min"
  | "max"
  | "fma"
  | "round"
  | "scale"
  | "exponent"
  | "mantissa"
  | "lt"
  | "eq"
  | "select";

/** Builds an expression of primitive instructions. `N` stands for a node of it. */
export interface PrimitiveBuilder<N> {
  constant(value: number): N;
  apply(op: Primitive, ...args: readonly N[]): N;
}

export interface Expansion {
  /** For the comment above the C function. */
  readonly summary: string;
  build<N>(b: PrimitiveBuilder<N>, x: N): N;
}

/**
 * e^x = 2^n·e^r with n = round(x·log2 e), r = x − n·ln 2 in [−ln 2 / 2, ln 2 / 2]. ln 2 is split so that n·(its first part) is
 * exact in f32. e^r by a polynomial of degree 7. Constants: S. Moshier, Cephes library, expf.c. Error: below 3 ulp
 * for normal results. The clamp keeps n within what `scale` takes; its operands are ordered so that NaN passes through.
 */
const exp: Expansion = {
  summary: "e^x: 2^n * e^r, n = round(x / ln 2), e^r by a polynomial (Cephes); overflows to infinity, underflows to 0",
  build(b, x) {
    const clamped = b.apply("min", b.constant(89), b.apply("max", b.constant(-104), x));
    const n = b.apply("round", b.apply("mul", clamped, b.constant(Math.LOG2E)));
    const r1 = b.apply("fma", n, b.constant(-0.693359375), clamped);
    const r = b.apply("fma", n, b.constant(2.1219444e-4), r1);
    const coefficients = [1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1];
    const polynomial = coefficients.reduce((p, c) => b.apply("fma", p, r, b.constant(c)), b.constant(1.98756915e-4));
    const e = b.apply("add", b.apply("fma", polynomial, b.apply("mul", r, r), r), b.constant(1));
    return b.apply("scale", e, n);
  },
};

/**
 * log x = e·ln 2 + log m with x = m·2^e, √½ ≤ m < √2; log m by a polynomial in m − 1. Constants: S. Moshier, Cephes library,
 * logf.c. Error: below 3 ulp, and below 2^-21 near 1. Denormals are scaled to normal numbers first.
 */
const log: Expansion = {
  summary: "log x: e * ln 2 + log m with x = m * 2^e, log m by a polynomial (Cephes)",
  build(b, x) {
    const isSmall = b.apply("lt", x, b.constant(2 ** -126));
    const normal = b.apply("select", isSmall, b.apply("mul", x, b.constant(2 ** 24)), x);
    const exponent = b.apply(
      "sub",
      b.apply("exponent", normal),
      b.apply("select", isSmall, b.constant(24), b.constant(0)),
    );
    const mantissa = b.apply("mantissa", normal);
    const isLarge = b.apply("lt", b.constant(Math.SQRT2), mantissa);
    const e = b.apply("add", exponent, b.apply("select", isLarge, b.constant(1), b.constant(0)));
    const m = b.apply("select", isLarge, b.apply("mul", mantissa, b.constant(0.5)), mantissa);
    const f = b.apply("sub", m, b.constant(1));
    const square = b.apply("mul", f, f);
    const coefficients = [
      -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
      -2.4999993993e-1, 3.3333331174e-1,
    ];
    const polynomial = coefficients.reduce((p, c) => b.apply("fma", p, f, b.constant(c)), b.constant(7.0376836292e-2));
    const cubic = b.apply("mul", b.apply("mul", polynomial, f), square);
    const low = b.apply("fma", e, b.constant(-2.1219444e-4), cubic);
    const rest = b.apply("fma", square, b.constant(-0.5), low);
    const result = b.apply("fma", e, b.constant(0.693359375), b.apply("add", f, rest));
    // Beyond the positive numbers: infinity and NaN as they are, zero to -infinity, negative numbers to NaN.
    const finite = b.apply("select", b.apply("lt", x, b.constant(Number.POSITIVE_INFINITY)), result, x);
    const nonNegative = b.apply("select", b.apply("lt", x, b.constant(0)), b.constant(Number.NaN), finite);
    return b.apply("select", b.apply("eq", x, b.constant(0)), b.constant(Number.NEGATIVE_INFINITY), nonNegative);
  },
};

/** Operations that are written as others where an instruction table lacks them. */
export const expansions: Readonly<Partial<Record<ScalarOp, Expansion>>> = { exp, log };
