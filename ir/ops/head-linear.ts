import type { Tensor } from "../core/tensor.ts";
import { onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { finish, productFlops, weightRows } from "./linear.ts";
import { products } from "./product.ts";
import { productAttributes, productSignature } from "./product-types.ts";
import { floats, realsOf, slice } from "./reals.ts";
import { dimAt, expectFloat, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

const op = "head_linear";

/** The rows of one head: x[:, head, :]. */
function headRows(x: Tensor, head: number): Tensor {
  const [tokens = 0, heads = 1, depth = 1] = x.dims;
  const pick = (data: Float64Array): Float64Array => {
    const out = new Float64Array(tokens * depth);
    for (let t = 0; t < tokens; t++) {
      const from = (t * heads + head) * depth;
      out.set(data.subarray(from, from + depth), t * depth);
    }
    return out;
  };
  return floats(x.dtype, [tokens, depth], pick(realsOf(x)), x.bound && pick(x.bound));
}

/** The product of `linear`, with a matrix of its own for each head. */
export const headLinear: OpDefinition = {
  name: op,
  summary: "x [T, A, k], w₀ [A, n, k] … → [T, A, n]: linear with each head's own weights",
  infer(operands, attributes, regions) {
    onlyAttributes(op, attributes, productAttributes);
    expectOperands(op, operands, 2, Number.POSITIVE_INFINITY, "a tensor and at least one weight");
    expectNoRegions(op, regions);
    const x = operandAt(operands, 0);
    expectFloat(op, "x", x, 3, "[T, A, k]");
    const heads = dimAt(x, 1);
    const { columns, result } = productSignature(op, dimAt(x, 2), operands.slice(1), attributes, { heads });
    return [{ dtype: result, dims: [dimAt(x, 0), heads, columns] }];
  },
  evaluate(operands, attributes, _, context) {
    const [x, ...weights] = operands as [Tensor, ...Tensor[]];
    const [tokens = 0, heads = 1, depth = 1] = x.dims;
    const reals = floats(x.dtype, x.dims, realsOf(x), x.bound);
    const made = Array.from({ length: heads }, (_head, a) => {
      const own = weights.map((w) => slice(w, a));
      const rows = weightRows(op, own, attributes, depth, context.dims);
      const sums = products(headRows(reals, a), tokens, rows);
      return finish(op, sums, attributes, [tokens, rows.columns]);
    });
    const columns = made[0]?.dims[1] ?? 1;
    const values = new Float64Array(tokens * heads * columns);
    const bound = new Float64Array(values.length);
    made.forEach((part, a) => {
      for (let t = 0; t < tokens; t++) {
        const [from, to] = [t * columns, (t * heads + a) * columns];
        values.set((part.data as Float64Array).subarray(from, from + columns), to);
        if (part.bound) bound.set(part.bound.subarray(from, from + columns), to);
      }
    });
    return [floats(made[0]?.dtype ?? "f32", [tokens, heads, columns], values, bound)];
  },
  flops(operands, attributes, results, dims) {
    const x = operandAt(operands, 0);
    const rows = dimAt(x, 0).times(dimAt(x, 1)).evaluate(dims);
    return productFlops(op, rows, x, operands.slice(1), attributes, results, dims);
  },
};
