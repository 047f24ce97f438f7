import { apply, f32, type ScalarExpr } from "../../ir/core/scalar.ts";

/** The largest code of activations, by magnitude. */
const largest = 127;

/** Below this, 127/max|x| may exceed f32: all codes are zero. */
const smallest = 2 ** -119;

/** What the largest magnitude of a block says that each number of it is multiplied by. */
export const inverseOf = (most: ScalarExpr): ScalarExpr =>
  apply("select", apply("lt", most, f32(smallest)), f32(0), apply("div", f32(largest), most));

/** The scale of a block. */
export const scaleOf = (most: ScalarExpr): ScalarExpr => apply("mul", most, f32(1 / largest));
