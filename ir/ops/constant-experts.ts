import type { Tensor } from "../core/tensor.ts";
import { elementCount } from "../core/types.ts";
import { onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { floats, gamma, intsOf, realsOf } from "./reals.ts";
import { expectRouting } from "./routing-types.ts";
import { dimAt, expectFloat, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";
import { WeightedSum } from "./weighted-sum.ts";

const op = "constant_experts";

/** The share of experts that give the same vector for every token. */
export const constantExperts: OpDefinition = {
  name: op,
  summary:
    "c [C, N], ids i32[T, K], weights [T, K] → f32[T, N]: Σ over slots, in order, with first ≤ id < first + C: weight·c[id − first]",
  infer(operands, attributes, regions) {
    onlyAttributes(op, attributes, ["first"]);
    expectOperands(op, operands, 3, 3, "constants, ids and weights");
    expectNoRegions(op, regions);
    const c = operandAt(operands, 0);
    const ids = operandAt(operands, 1);
    expectFloat(op, "the constants", c, 2, "[C, N]");
    expectRouting(op, ids, operandAt(operands, 2));
    sizeAttribute(op, attributes, "first", 0);
    return [{ dtype: "f32", dims: [dimAt(ids, 0), dimAt(c, 1)] }];
  },
  evaluate(operands, attributes, _, context) {
    const [c, idTensor, weights] = operands as [Tensor, Tensor, Tensor];
    const [constants = 0, columns = 0] = c.dims;
    const [tokens = 0, k = 0] = weights.dims;
    const first = sizeAttribute(op, attributes, "first", 0).evaluate(context.dims);
    const sum = new WeightedSum(tokens, columns, gamma(k));
    const [values, factors] = [realsOf(c), realsOf(weights)];
    intsOf(idTensor).forEach((id, slot) => {
      const row = id - first;
      if (row < 0 || row >= constants) return;
      sum.add(Math.floor(slot / k), factors[slot], weights.bound?.[slot] ?? 0, values, c.bound, row * columns);
    });
    return [floats("f32", [tokens, columns], sum.values, sum.bound)];
  },
  flops: (operands, _, results, dims) =>
    2 * elementCount(operandAt(operands, 1)).evaluate(dims) * dimAt(operandAt(results, 0), 1).evaluate(dims),
};
