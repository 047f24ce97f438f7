import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import { elementCount, formatType, isFloat } from "../core/types.ts";
import { onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { count, floats, gamma, realsOf } from "./reals.ts";
import { expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

/** The sum over the last dimension, in f32. */
export const sum: OpDefinition = {
  name: "sum",
  summary: "x [..., n] → f32[..., 1]: the sum over the last dimension",
  infer(operands, attributes, regions) {
    onlyAttributes("sum", attributes, []);
    expectOperands("sum", operands, 1, 1, "one tensor");
    expectNoRegions("sum", regions);
    const x = operandAt(operands, 0);
    if (!isFloat(x.dtype) || x.dims.length === 0)
      throw new IrError(
        `sum adds floats along the last dimension, found ${formatType(x)}`,
        "Give a float tensor with at least one dimension.",
      );
    return [{ dtype: "f32", dims: [...x.dims.slice(0, -1), Dim.of(1)] }];
  },
  evaluate(operands) {
    const [x] = operands;
    const n = x.dims.at(-1) ?? 1;
    const rows = count(x.dims.slice(0, -1));
    const from = realsOf(x);
    const values = new Float64Array(rows);
    const bound = new Float64Array(rows);
    for (let i = 0; i < rows * n; i++) {
      const row = Math.floor(i / n);
      const e = x.bound?.[i] ?? 0;
      values[row] = values[row] + from[i];
      bound[row] = bound[row] + e + gamma(n) * (Math.abs(from[i]) + e);
    }
    return [floats("f32", [...x.dims.slice(0, -1), 1], values, bound)];
  },
  flops: (operands, _, __, dims) => elementCount(operandAt(operands, 0)).evaluate(dims),
};
