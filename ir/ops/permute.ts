import { onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { gatherRows, intsOf } from "./reals.ts";
import { dimAt, expectFloat, expectIds, expectNoRegions, expectOperands, expectSame, operandAt } from "./shapes.ts";

/** The token of each row, in rows sorted by expert. */
export const permute: OpDefinition = {
  name: "permute",
  summary: "x [T, H], slots i32[T*K] → [T*K, H]: row r = x[slots[r] div K]; rows with slot −1 are unspecified",
  infer(operands, attributes, regions) {
    onlyAttributes("permute", attributes, ["top_k"]);
    expectOperands("permute", operands, 2, 2, "tokens and slots");
    expectNoRegions("permute", regions);
    const x = operandAt(operands, 0);
    const slots = operandAt(operands, 1);
    expectFloat("permute", "x", x, 2, "[T, H]");
    expectIds("permute", "slots", slots, 1, "[T*K]");
    const expected = dimAt(x, 0).times(sizeAttribute("permute", attributes, "top_k"));
    expectSame("permute", "slots and tokens × top_k", dimAt(slots, 0), expected);
    return [{ dtype: x.dtype, dims: [dimAt(slots, 0), dimAt(x, 1)] }];
  },
  evaluate(operands, attributes, _, context) {
    const k = sizeAttribute("permute", attributes, "top_k").evaluate(context.dims);
    const tokens = intsOf(operands[1]).map((slot) => Math.floor(slot / k));
    return [gatherRows(operands[0], tokens)];
  },
  flops: () => 0,
};
