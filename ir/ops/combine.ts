import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { Tensor } from "../core/tensor.ts";
import { onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { floats, gamma, intsOf, realsOf } from "./reals.ts";
import { dimAt, expectFloat, expectIds, expectNoRegions, expectOperands, expectSame, operandAt } from "./shapes.ts";
import { WeightedSum } from "./weighted-sum.ts";

const op = "combine";

/** The weighted sum of a token's slots, in slot order, and then of the token itself for its zero-computation experts. */
export const combine: OpDefinition = {
  name: op,
  summary:
    "y [T*K, N], rows i32[T*K], weights [T, K] (, x [T, N], xw [T, 1]) → f32[T, N]: Σ over slots with a row: weight·y[row] (y[row] where not `weighted`); then + xw·x",
  infer(operands, attributes, regions) {
    onlyAttributes(op, attributes, ["weighted"]);
    if (attributes.weighted !== undefined && typeof attributes.weighted !== "boolean")
      throw new IrError("weighted of combine is true or false", "Say false where the rows are weighed already.");
    expectOperands(op, operands, 3, 5, "rows of results, their places, weights, and maybe tokens with their weights");
    if (operands.length === 4)
      throw new IrError("combine takes tokens together with their weights", "Give both x [T, N] and xw [T, 1].");
    expectNoRegions(op, regions);
    const y = operandAt(operands, 0);
    const rows = operandAt(operands, 1);
    const weights = operandAt(operands, 2);
    expectFloat(op, "y", y, 2, "[T*K, N]");
    expectIds(op, "rows", rows, 1, "[T*K]");
    expectFloat(op, "weights", weights, 2, "[T, K]");
    const [tokens, columns] = [dimAt(weights, 0), dimAt(y, 1)];
    expectSame(op, "rows and slots", dimAt(rows, 0), tokens.times(dimAt(weights, 1)));
    expectSame(op, "rows of y and slots", dimAt(y, 0), dimAt(rows, 0));
    if (operands.length === 5) {
      const x = operandAt(operands, 3);
      const xw = operandAt(operands, 4);
      expectFloat(op, "x", x, 2, "[T, N]");
      expectFloat(op, "xw", xw, 2, "[T, 1]");
      expectSame(op, "tokens of x and weights", dimAt(x, 0), tokens);
      expectSame(op, "columns of x and y", dimAt(x, 1), columns);
      expectSame(op, "tokens of xw and weights", dimAt(xw, 0), tokens);
      expectSame(op, "weights per token in xw", dimAt(xw, 1), Dim.of(1));
    }
    return [{ dtype: "f32", dims: [tokens, columns] }];
  },
  evaluate(operands, attributes) {
    const [y, placed, weights, x, xw] = operands as [Tensor, Tensor, Tensor, Tensor?, Tensor?];
    const rows = intsOf(placed);
    const [tokens = 0, k = 0] = weights.dims;
    const columns = y.dims[1] ?? 0;
    const factors = realsOf(weights);
    const values = realsOf(y);
    // K products and sums, and one more for the token itself.
    const sum = new WeightedSum(tokens, columns, gamma(k + 1));
    const weighted = attributes.weighted !== false;
    rows.forEach((row, slot) => {
      if (row < 0) return;
      const [weight, error] = weighted ? [factors[slot], weights.bound?.[slot] ?? 0] : [1, 0];
      sum.add(Math.floor(slot / k), weight, error, values, y.bound, row * columns);
    });
    if (x !== undefined && xw !== undefined) {
      const own = realsOf(x);
      const ownWeights = realsOf(xw);
      for (let t = 0; t < tokens; t++) sum.add(t, ownWeights[t], xw.bound?.[t] ?? 0, own, x.bound, t * columns);
    }
    return [floats("f32", [tokens, columns], sum.values, sum.bound)];
  },
  flops(operands, _, results, dims) {
    const n = dimAt(operandAt(results, 0), 1).evaluate(dims);
    const slots = dims.rows ?? dimAt(operandAt(operands, 1), 0).evaluate(dims);
    const tokens = operands.length === 5 ? dimAt(operandAt(operands, 4), 0).evaluate(dims) : 0;
    return 2 * n * (slots + tokens);
  },
};
