import type { ScalarOp } from "../../../ir/core/scalar.ts";

/** Operations that expansions are made of, beyond ScalarOp. Each is `name.f32` in an instruction table. */
export type Primitive = "add" | "mul" | "min" | "max" | "fma" | "round" | "scale";

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
    const n = b.apply("round", b.apply("mul", clamped, b.constant(1.44269504088896341)));
    const r1 = b.apply("fma", n, b.constant(-0.693359375), clamped);
    const r = b.apply("fma", n, b.constant(2.12194440e-4), r1);
    const coefficients = [1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1];
    const polynomial = coefficients.reduce(
      (p, c) => b.apply("fma", p, r, b.constant(c)),
      b.constant(1.9875691500e-4),
    );
    const e = b.apply("add", b.apply("fma", polynomial, b.apply("mul", r, r), r), b.constant(1));
    return b.apply("scale", e, n);
  },
};

/** Operations that are written as others where an instruction table lacks them. */
export const expansions: Readonly<Partial<Record<ScalarOp, Expansion>>> = { exp };
