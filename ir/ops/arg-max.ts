import { IrError } from "../core/diagnostic.ts";
import { elementCount, formatType } from "../core/types.ts";
import { onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { count, integers, realsOf } from "./reals.ts";
import { selectRows } from "./selection.ts";
import { expectNoRegions, expectOperands, expectRows, operandAt } from "./shapes.ts";

const op = "arg_max";

/** Where the largest element of each row is: the lowest index among equals. */
export const argMax: OpDefinition = {
  name: op,
  chooses: true,
  summary: "x [..., n] → i32[...]: the index of the largest element of the last dimension, the lowest among equals",
  infer(operands, attributes, regions) {
    onlyAttributes(op, attributes, []);
    expectOperands(op, operands, 1, 1, "one tensor");
    expectNoRegions(op, regions);
    const x = operandAt(operands, 0);
    expectRows(op, x);
    if (x.dims.length < 2)
      throw new IrError(
        `${op} gives a number for each row, but ${formatType(x)} is one row`,
        "Give a tensor with at least two dimensions.",
      );
    return [{ dtype: "i32", dims: x.dims.slice(0, -1) }];
  },
  evaluate(operands, _, __, context) {
    const [x] = operands;
    const dims = x.dims.slice(0, -1);
    const [rows, n] = [count(dims), x.dims.at(-1) ?? 0];
    if (n === 0 && rows > 0) throw new IrError("a row of no elements has no largest", "Give rows with elements.");
    const choice = context.choice(context.results[0]);
    const keys = { values: realsOf(x), bound: x.bound };
    return [integers(dims, selectRows(keys, { rows, n, k: 1 }, undefined, choice))];
  },
  // Comparing is no arithmetic, but takes as long.
  flops: (operands, _, __, dims) => elementCount(operandAt(operands, 0)).evaluate(dims),
};
