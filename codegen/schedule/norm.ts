import { apply, f32, type ScalarExpr } from "../../ir/core/scalar.ts";
import { factorOf, normalised, normOf } from "../../ir/ops/norm.ts";
import type { Schedule } from "./context.ts";
import { RowKernel } from "./row-work.ts";

/** The row's statistics, then its elements. */
export const scheduleNorm: Schedule = (operation, context) => {
  const norm = normOf(operation.attributes);
  const summary = norm.kind === "rms" ? "rows by their root mean square" : "rows by their mean and deviation";
  const k = new RowKernel(operation, context, summary, [...norm.vectors.values()]);
  const mean =
    norm.kind === "layer"
      ? k.b.letScalar(
          "mean",
          apply(
            "mul",
            k.reduce("sum", "total", (x) => x),
            f32(1 / k.columns),
          ),
        )
      : undefined;
  const centered = (x: ScalarExpr): ScalarExpr => (mean ? apply("sub", x, mean) : x);
  const squares = k.reduce("sum", "squares", (x) => apply("mul", centered(x), centered(x)));
  const factor = k.scalar("factor", squares, (v) => factorOf(v, k.columns, norm.epsilon));
  k.map((x, vectors) => {
    const vector = (name: "weight" | "bias"): ScalarExpr => vectors[(norm.vectors.get(name) ?? 0) - 1] ?? x;
    return normalised(norm, { x, factor, mean: mean ?? x, weight: vector("weight"), bias: vector("bias") });
  });
  return k.build();
};
