import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import { elementCount, formatType } from "../core/types.ts";
import { dimsAttribute, onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { count } from "./reals.ts";
import { expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

const op = "reshape";

/** The same elements in other dimensions. Row-major order stays, so nothing moves. */
export const reshape: OpDefinition = {
  name: op,
  summary: "x → the same elements, in row-major order, in the dimensions `dims`",
  infer(operands, attributes, regions) {
    onlyAttributes(op, attributes, ["dims"]);
    expectOperands(op, operands, 1, 1, "one tensor");
    expectNoRegions(op, regions);
    const x = operandAt(operands, 0);
    const dims = dimsAttribute(op, attributes, "dims");
    const [found, wanted] = [elementCount(x), dims.reduce((a, b) => a.times(b), Dim.of(1))];
    if (!found.equals(wanted))
      throw new IrError(
        `element counts differ: ${formatType(x)} has ${found} elements, [${dims.join(", ")}] has ${wanted}`,
        "Give dimensions whose product is the same polynomial: a dimension A*D can become A, D, but H cannot, even where H = A*D.",
      );
    return [{ dtype: x.dtype, dims }];
  },
  evaluate(operands, attributes, _, context) {
    const [x] = operands;
    const dims = dimsAttribute(op, attributes, "dims").map((d) => d.evaluate(context.dims));
    if (count(dims) !== count(x.dims))
      throw new IrError(
        `a tensor [${x.dims.join(", ")}] cannot take the shape [${dims.join(", ")}]`,
        "Keep the number of elements.",
      );
    return [{ ...x, dims }];
  },
  flops: () => 0,
};
