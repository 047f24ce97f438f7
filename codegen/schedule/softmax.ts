import { apply, f32, type ScalarExpr } from "../../ir/core/scalar.ts";
import type { Schedule } from "./context.ts";
import { RowKernel } from "./row-work.ts";

/** The largest element, the sum of the exponentials, then the elements, whose exponentials are computed again. */
export const scheduleSoftmax: Schedule = (operation, context) => {
  const k = new RowKernel(operation, context, "softmax of each row");
  const largest = k.reduce("max", "largest", (x) => x);
  const exponential = (x: ScalarExpr): ScalarExpr => apply("exp", apply("sub", x, largest));
  const sum = k.reduce("sum", "sum", exponential);
  const share = k.b.letScalar("share", apply("div", f32(1), sum));
  k.map((x) => apply("mul", exponential(x), share));
  return k.build();
};
