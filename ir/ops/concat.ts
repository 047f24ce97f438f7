import { IrError } from "../core/diagnostic.ts";
import type { AttributeMap } from "../core/layer.ts";
import { formatType } from "../core/types.ts";
import { axisAttribute, onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { assemble, commonDType } from "./elements.ts";
import { count } from "./reals.ts";
import { dimAt, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

const op = "concat";

/** The dimension along which tensors are joined, counted from the last: −1 … −rank. */
export function concatAxis(attributes: AttributeMap): number {
  onlyAttributes(op, attributes, ["axis"]);
  return axisAttribute(op, attributes);
}

/** Tensors one after the other along one dimension. */
export const concat: OpDefinition = {
  name: op,
  summary: "x₀, x₁ … → one tensor: their elements one after the other along the dimension `axis`",
  infer(operands, attributes, regions) {
    const axis = concatAxis(attributes);
    expectOperands(op, operands, 1, Number.POSITIVE_INFINITY, "at least one tensor");
    expectNoRegions(op, regions);
    const first = operandAt(operands, 0);
    const joined = operands.map((x) => dimAt(x, axis)).reduce((a, b) => a.plus(b));
    for (const x of operands.slice(1)) {
      if (x.dims.length !== first.dims.length)
        throw new IrError(
          `concat takes tensors with equally many dimensions, found ${formatType(first)} and ${formatType(x)}`,
          "Give tensors that differ in the joined dimension only.",
        );
      x.dims.forEach((dim, i) => {
        const own = dimAt(first, i);
        if (i !== first.dims.length + axis && !own.equals(dim))
          throw new IrError(
            `dimensions differ: ${own} vs ${dim} (${formatType(first)} and ${formatType(x)})`,
            "Give tensors that differ in the joined dimension only.",
          );
      });
    }
    const dtype = commonDType(
      op,
      operands.map((x) => x.dtype),
    );
    return [{ dtype, dims: first.dims.map((d, i) => (i === first.dims.length + axis ? joined : d)) }];
  },
  evaluate(operands, attributes) {
    const [first] = operands;
    const at = first.dims.length + concatAxis(attributes);
    const outer = count(first.dims.slice(0, at));
    const sizes = operands.map((x) => count(x.dims.slice(at)));
    const dims = first.dims.map((d, i) => (i === at ? operands.reduce((sum, x) => sum + x.dims[at], 0) : d));
    const dtype = commonDType(
      op,
      operands.map((x) => x.dtype),
    );
    const joined = assemble(dtype, dims, operands, (put) => {
      let to = 0;
      for (let o = 0; o < outer; o++)
        sizes.forEach((size, i) => {
          put(i, o * size, to, size);
          to += size;
        });
    });
    return [joined];
  },
  flops: () => 0,
};
