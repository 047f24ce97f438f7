import { IrError } from "../core/diagnostic.ts";
import type { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import { formatType } from "../core/types.ts";
import { axisAttribute, onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { assemble } from "./elements.ts";
import { count } from "./reals.ts";
import { dimAt, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

const op = "expand";

/** Which dimension, counted from the last, takes which size. */
export function expandOf(attributes: AttributeMap): { readonly axis: number; readonly size: Dim } {
  onlyAttributes(op, attributes, ["axis", "size"]);
  return { axis: axisAttribute(op, attributes), size: sizeAttribute(op, attributes, "size") };
}

/** Elements repeated along a dimension of size 1. */
export const expand: OpDefinition = {
  name: op,
  summary: "x → x with its dimension `axis`, of size 1, repeated to `size`",
  infer(operands, attributes, regions) {
    const { axis, size } = expandOf(attributes);
    expectOperands(op, operands, 1, 1, "one tensor");
    expectNoRegions(op, regions);
    const x = operandAt(operands, 0);
    if (dimAt(x, axis).constant !== 1)
      throw new IrError(
        `expand repeats a dimension of size 1, found ${dimAt(x, axis)} in ${formatType(x)}`,
        "Give the tensor a dimension of size 1 there, with reshape.",
      );
    return [{ dtype: x.dtype, dims: x.dims.map((d, i) => (i === x.dims.length + axis ? size : d)) }];
  },
  evaluate(operands, attributes, _, context) {
    const [x] = operands;
    const { axis, size } = expandOf(attributes);
    const [at, times] = [x.dims.length + axis, size.evaluate(context.dims)];
    const inner = count(x.dims.slice(at + 1));
    const outer = count(x.dims.slice(0, at));
    const dims = x.dims.map((d, i) => (i === at ? times : d));
    const expanded = assemble(x.dtype, dims, [x], (put) => {
      for (let o = 0; o < outer; o++) for (let i = 0; i < times; i++) put(0, o * inner, (o * times + i) * inner, inner);
    });
    return [expanded];
  },
  flops: () => 0,
};
