import { Dim } from "../core/dim.ts";
import type { Tensor } from "../core/tensor.ts";
import { elementCount } from "../core/types.ts";
import { choiceAttribute, onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { count, floats, gamma, realsOf, tiny32, u32 } from "./reals.ts";
import { expectNoRegions, expectOperands, expectRows, operandAt } from "./shapes.ts";

export const reductions = ["sum", "mean", "max", "min"] as const;
export type Reduction = (typeof reductions)[number];

/** One number of each row: its sum, mean, largest or smallest element. */
export const reduce: OpDefinition = {
  name: "reduce",
  summary: "x [..., n] → f32[..., 1]: the sum, mean, maximum or minimum over the last dimension",
  infer(operands, attributes, regions) {
    onlyAttributes("reduce", attributes, ["kind"]);
    choiceAttribute("reduce", attributes, "kind", reductions);
    expectOperands("reduce", operands, 1, 1, "one tensor");
    expectNoRegions("reduce", regions);
    const x = operandAt(operands, 0);
    expectRows("reduce", x);
    return [{ dtype: "f32", dims: [...x.dims.slice(0, -1), Dim.of(1)] }];
  },
  evaluate(operands, attributes) {
    const [x] = operands;
    const kind = choiceAttribute("reduce", attributes, "kind", reductions);
    const { values, bound } = kind === "max" || kind === "min" ? extremes(x, kind) : sums(x, kind);
    return [floats("f32", [...x.dims.slice(0, -1), 1], values, bound)];
  },
  flops: (operands, _, __, dims) => elementCount(operandAt(operands, 0)).evaluate(dims),
};

interface Numbers {
  readonly values: Float64Array;
  readonly bound: Float64Array;
}

/** Sums of rows with their bounds; for means, divided by the length, also as a multiplication by its reciprocal. */
export function sums(x: Tensor, kind: "sum" | "mean"): Numbers {
  const n = x.dims.at(-1) ?? 1;
  const rows = count(x.dims.slice(0, -1));
  const from = realsOf(x);
  const values = new Float64Array(rows);
  const bound = new Float64Array(rows);
  const relative = gamma(n);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    let error = 0;
    for (let i = row * n; i < (row + 1) * n; i++) {
      const e = x.bound?.[i] ?? 0;
      sum += from[i];
      error += e + relative * (Math.abs(from[i]) + e);
    }
    values[row] = kind === "sum" ? sum : sum / n;
    bound[row] = kind === "sum" ? error : error / n + 5 * u32 * (Math.abs(sum) + error) * (1 / n) + tiny32;
  }
  return { values, bound };
}

/** The largest of inexact numbers is off by at most the largest of their bounds. */
function extremes(x: Tensor, kind: "max" | "min"): Numbers {
  const n = x.dims.at(-1) ?? 1;
  const rows = count(x.dims.slice(0, -1));
  const from = realsOf(x);
  const pick = kind === "max" ? Math.max : Math.min;
  const values = new Float64Array(rows).fill(kind === "max" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY);
  const bound = new Float64Array(rows);
  for (let i = 0; i < rows * n; i++) {
    const row = Math.floor(i / n);
    values[row] = pick(values[row], from[i]);
    bound[row] = Math.max(bound[row], x.bound?.[i] ?? 0);
  }
  return { values, bound };
}
