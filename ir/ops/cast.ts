import { IrError } from "../core/diagnostic.ts";
import { formatType, isFloat } from "../core/types.ts";
import { floatTypeAttribute, onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { floats, realsOf, roundedBound } from "./reals.ts";
import { expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

/**
 * Permission to round. The reference meaning keeps the real value and widens the bound by the unit roundoff of `to`:
 * an implementation may round there, or may keep more digits. Widening to f32 is exact and adds nothing.
 */
export const cast: OpDefinition = {
  name: "cast",
  summary: "x → the same dimensions: rounding to the float type `to` is allowed",
  infer(operands, attributes, regions) {
    onlyAttributes("cast", attributes, ["to"]);
    expectOperands("cast", operands, 1, 1, "one tensor");
    expectNoRegions("cast", regions);
    const x = operandAt(operands, 0);
    if (!isFloat(x.dtype)) throw new IrError(`cast rounds floats, found ${formatType(x)}`, "Give a float tensor.");
    return [{ dtype: floatTypeAttribute("cast", attributes, "to"), dims: x.dims }];
  },
  evaluate(operands, attributes) {
    const x = operands[0];
    const to = floatTypeAttribute("cast", attributes, "to");
    const values = realsOf(x);
    return [floats(to, x.dims, values, to === "f32" || to === x.dtype ? x.bound : roundedBound(values, x.bound, to))];
  },
  flops: () => 0,
};
