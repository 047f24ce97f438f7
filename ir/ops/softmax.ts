import { elementCount } from "../core/types.ts";
import { onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { count, floats, realsOf } from "./reals.ts";
import { softmax as softmaxOf } from "./scores.ts";
import { expectNoRegions, expectOperands, expectRows, operandAt } from "./shapes.ts";

/** exp(xᵢ − max x) / Σ exp(xⱼ − max x) of each row. */
export const softmax: OpDefinition = {
  name: "softmax",
  summary: "x [..., n] → f32[..., n]: exp(xᵢ) / Σ exp(xⱼ) over the last dimension",
  infer(operands, attributes, regions) {
    onlyAttributes("softmax", attributes, []);
    expectOperands("softmax", operands, 1, 1, "one tensor");
    expectNoRegions("softmax", regions);
    const x = operandAt(operands, 0);
    expectRows("softmax", x);
    return [{ dtype: "f32", dims: x.dims }];
  },
  evaluate(operands) {
    const [x] = operands;
    const { values, bound } = softmaxOf(
      { values: realsOf(x), bound: x.bound },
      count(x.dims.slice(0, -1)),
      x.dims.at(-1) ?? 1,
    );
    return [floats("f32", x.dims, values, bound)];
  },
  // Comparing is no arithmetic: subtract, exp, add, divide.
  flops: (operands, _, __, dims) => 4 * elementCount(operandAt(operands, 0)).evaluate(dims),
};
