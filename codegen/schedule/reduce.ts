import { apply, f32, type ScalarExpr } from "../../ir/core/scalar.ts";
import { choiceAttribute } from "../../ir/ops/attributes.ts";
import { reductions } from "../../ir/ops/reduce.ts";
import type { Schedule } from "./context.ts";
import { RowKernel } from "./row-work.ts";

const same = (x: ScalarExpr): ScalarExpr => x;
const negative = (x: ScalarExpr): ScalarExpr => apply("neg", x);

/** One number of each row. A minimum is the negative maximum of the negative elements. */
export const scheduleReduce: Schedule = (operation, context) => {
  const kind = choiceAttribute("reduce", operation.attributes, "kind", reductions);
  const k = new RowKernel(operation, context, `${kind} of each row`);
  const value = {
    sum: () => k.reduce("sum", "total", same),
    mean: () => apply("mul", k.reduce("sum", "total", same), f32(1 / k.columns)),
    max: () => k.reduce("max", "largest", same),
    min: () => negative(k.reduce("max", "largest", negative)),
  }[kind]();
  k.b.set(k.y, [...k.row, 0], value);
  return k.build();
};
