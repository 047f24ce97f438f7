import { IrError } from "../core/diagnostic.ts";
import { elementCount } from "../core/types.ts";
import { onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { floats, gamma, integers, realsOf, u32 } from "./reals.ts";
import { expectNoRegions, expectOperands, expectRows, operandAt } from "./shapes.ts";

/**
 * Each element is the sum of those of its row up to it. Added one after the other, as machines do, the sum of k elements is off by at
 * most Σ u·|sⱼ| over the sums sⱼ on the way; in other orders by what any sum may be.
 */
export const cumsum: OpDefinition = {
  name: "cumsum",
  summary: "x [..., n] → f32[..., n], of i32 i32: the sums of a row's first elements",
  infer(operands, attributes, regions) {
    onlyAttributes("cumsum", attributes, []);
    expectOperands("cumsum", operands, 1, 1, "one tensor");
    expectNoRegions("cumsum", regions);
    const x = operandAt(operands, 0);
    expectRows("cumsum", x, true);
    return [{ dtype: x.dtype === "i32" ? "i32" : "f32", dims: x.dims }];
  },
  evaluate(operands) {
    const [x] = operands;
    const n = x.dims.at(-1) ?? 1;
    const from = realsOf(x);
    const values = new Float64Array(from.length);
    const bound = new Float64Array(from.length);
    /** What the errors of the elements alone make: whole numbers add exactly. */
    const carriedErrors = new Float64Array(from.length);
    let sum = 0;
    let carried = 0;
    let size = 0;
    let rounding = 0;
    for (let i = 0; i < from.length; i++) {
      const column = i % n;
      if (column === 0) [sum, carried, size, rounding] = [0, 0, 0, 0];
      const e = x.bound?.[i] ?? 0;
      sum += from[i];
      carried += e;
      carriedErrors[i] = carried;
      size += Math.abs(from[i]) + e;
      values[i] = sum;
      // The first element is no sum.
      if (column > 0) rounding += u32 * (Math.abs(sum) + carried + rounding);
      bound[i] = column === 0 ? e : carried + Math.max(rounding, gamma(column + 1) * size);
    }
    if (x.dtype !== "i32") return [floats("f32", x.dims, values, bound)];
    const beyond = values.find((v) => v !== (v | 0));
    if (beyond !== undefined)
      throw new IrError(`cumsum gives ${beyond}, which is no i32`, "Keep sums of whole numbers within 32 bits.");
    const result = integers(x.dims, Int32Array.from(values));
    return [x.bound === undefined ? result : { ...result, bound: carriedErrors }];
  },
  flops: (operands, _, __, dims) => elementCount(operandAt(operands, 0)).evaluate(dims),
};
