import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { Tensor } from "../core/tensor.ts";
import type { TensorType } from "../core/types.ts";
import { onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { finish, productFlops, weightRows } from "./linear.ts";
import { products } from "./product.ts";
import { besideRows, checkBeside, splitBeside } from "./product-beside.ts";
import { productAttributes, productSignature } from "./product-types.ts";
import { floats, gatherRows, intsOf, slice } from "./reals.ts";
import { dimAt, expectFloat, expectIds, expectNoRegions, expectOperands, expectSame, operandAt } from "./shapes.ts";

const op = "grouped_linear";

/** The product of `linear`, with the weights of expert e for rows offsets[e] … offsets[e + 1]. */
export const groupedLinear: OpDefinition = {
  name: op,
  summary:
    "x [S, k] (or, with gather: K, x [T, k]), offsets [E+1] (, slots [S]), w₀ [E, n, k] … (, b₀ …) → [S, n]: linear with each row's expert's weights",
  infer(operands, attributes, regions) {
    onlyAttributes(op, attributes, [...productAttributes, "beside", "gather"]);
    const first = attributes.gather === undefined ? 2 : 3;
    const which = first === 2 ? "rows, offsets and weights" : "tokens, offsets, slots and weights";
    expectOperands(op, operands, first + 1, Number.POSITIVE_INFINITY, which);
    expectNoRegions(op, regions);
    const x = operandAt(operands, 0);
    const offsets = operandAt(operands, 1);
    expectFloat(op, "x", x, 2, first === 2 ? "[S, k]" : "[T, k]");
    expectIds(op, "offsets", offsets, 1, "[E + 1]");
    let rows = dimAt(x, 0);
    if (first === 3) {
      const slots = operandAt(operands, 2);
      expectIds(op, "slots", slots, 1, "[S]");
      expectSame(op, "slots and tokens × gather", dimAt(slots, 0), rows.times(sizeAttribute(op, attributes, "gather")));
      rows = dimAt(slots, 0);
    }
    const { weights, beside } = splitBeside(op, operands.slice(first), attributes);
    const experts = expertsOf(weights);
    expectSame(op, "offsets and experts + 1", dimAt(offsets, 0), experts.plus(1));
    const signature = productSignature(op, dimAt(x, 1), weights, attributes, { experts, beside: beside.length });
    const { columns, result } = signature;
    checkBeside(op, beside, { rows: [rows], columns, experts });
    return [{ dtype: result, dims: [rows, columns] }];
  },
  evaluate(operands, attributes, _, context) {
    const gather =
      attributes.gather === undefined ? undefined : sizeAttribute(op, attributes, "gather").evaluate(context.dims);
    const x = operands[0];
    const offsets = intsOf(operands[1]);
    const slots = gather === undefined ? undefined : intsOf(operands[2]);
    const { weights, beside } = splitBeside(op, operands.slice(gather === undefined ? 2 : 3), attributes);
    const depth = x.dims[1];
    const rows = slots?.length ?? x.dims[0];
    checkOffsets(offsets, rows);
    let out: { dtype: Tensor["dtype"]; columns: number; data: Float64Array; bound: Float64Array } | undefined;
    for (let e = 0; e + 1 < offsets.length; e++) {
      const start = offsets[e];
      const m = offsets[e + 1] - start;
      const experts = weightRows(
        op,
        weights.map((w) => slice(w, e)),
        attributes,
        depth,
        context.dims,
      );
      const sources = Array.from({ length: m }, (_, i) =>
        slots === undefined ? start + i : Math.floor(slots[start + i] / (gather ?? 1)),
      );
      const { columns } = experts;
      const others = besideRows(beside, { expert: e, first: start, rows: m, columns });
      const y = finish(op, products(gatherRows(x, sources), m, experts), attributes, [m, columns], others);
      out ??= {
        dtype: y.dtype,
        columns: experts.columns,
        data: new Float64Array(rows * experts.columns).fill(Number.NaN),
        bound: new Float64Array(rows * experts.columns),
      };
      out.data.set(y.data, start * experts.columns);
      if (y.bound !== undefined) out.bound.set(y.bound, start * experts.columns);
    }
    if (out === undefined) throw new IrError("grouped_linear has no experts", "Give at least one expert.");
    return [floats(out.dtype, [rows, out.columns], out.data, out.bound)];
  },
  flops(operands, attributes, results, dims) {
    const rows = dims.rows ?? dimAt(operandAt(results, 0), 0).evaluate(dims);
    const own = operands.slice(attributes.gather === undefined ? 2 : 3);
    return productFlops(op, rows, operandAt(operands, 0), own, attributes, results, dims);
  },
};

const expertsOf = (weights: readonly TensorType[]): Dim => weights[0]?.dims[0] ?? Dim.of(0);

function checkOffsets(offsets: Int32Array, rows: number): void {
  for (let e = 0; e < offsets.length; e++) {
    const low = e === 0 ? 0 : offsets[e - 1];
    if (offsets[e] < low || offsets[e] > rows || (e === 0 && offsets[0] !== 0))
      throw new IrError(
        `offset ${e} is ${offsets[e]}, expected ${e === 0 ? "0" : `${low} … ${rows}`}`,
        "Give the offsets that dispatch makes.",
      );
  }
}
