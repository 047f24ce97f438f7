import { IrError } from "../core/diagnostic.ts";
import type { AttributeMap } from "../core/layer.ts";
import { formatType } from "../core/types.ts";
import { onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { assemble } from "./elements.ts";
import { count } from "./reals.ts";
import { dimAt, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

const op = "transpose";

/** For each dimension of the result, which of the operand's it is. Throws IrError where it is no order of `rank` dimensions. */
export function orderOf(attributes: AttributeMap, rank: number): readonly number[] {
  onlyAttributes(op, attributes, ["order"]);
  const { order } = attributes;
  const numbers = Array.isArray(order) ? order.filter((i): i is number => typeof i === "number") : [];
  if (
    !Array.isArray(order) ||
    [...numbers].sort((a, b) => a - b).join() !== Array.from({ length: rank }, (_, i) => i).join()
  )
    throw new IrError(
      `the order of transpose is [${Array.isArray(order) ? order.join(", ") : ""}], but there are ${rank} dimensions`,
      `Name each dimension from 0 to ${rank - 1} once.`,
    );
  return numbers;
}

/** Dimensions in another order. */
export const transpose: OpDefinition = {
  name: op,
  summary: "x → x with its dimensions in another order: dimension i of the result is dimension `order`[i] of x",
  infer(operands, attributes, regions) {
    expectOperands(op, operands, 1, 1, "one tensor");
    expectNoRegions(op, regions);
    const x = operandAt(operands, 0);
    if (x.dims.length === 0)
      throw new IrError(`${formatType(x)} has no dimensions`, "Transpose a tensor with dimensions.");
    return [{ dtype: x.dtype, dims: orderOf(attributes, x.dims.length).map((i) => dimAt(x, i)) }];
  },
  evaluate(operands, attributes) {
    const [x] = operands;
    const order = orderOf(attributes, x.dims.length);
    const dims = order.map((i) => x.dims[i]);
    const strides = order.map((i) => count(x.dims.slice(i + 1)));
    const size = count(dims);
    const transposed = assemble(x.dtype, dims, [x], (put) => {
      for (let to = 0; to < size; to++) {
        let from = 0;
        let rest = to;
        for (let d = dims.length - 1; d >= 0; d--) {
          from += (rest % dims[d]) * strides[d];
          rest = Math.floor(rest / dims[d]);
        }
        put(0, from, to, 1);
      }
    });
    return [transposed];
  },
  flops: () => 0,
};
