import { IrError } from "../core/diagnostic.ts";
import { formatType } from "../core/types.ts";
import { onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { intsOf, slice } from "./reals.ts";
import { expectIds, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

/** One expert's part of a stacked weight. Shares memory with the weight. */
export const index: OpDefinition = {
  name: "index",
  summary: "w [E, ...], expert i32[] → [...]: the expert's slice",
  infer(operands, attributes, regions) {
    onlyAttributes("index", attributes, []);
    expectOperands("index", operands, 2, 2, "a tensor and an expert");
    expectNoRegions("index", regions);
    const w = operandAt(operands, 0);
    expectIds("index", "the expert", operandAt(operands, 1), 0, "[]");
    if (w.dims.length === 0)
      throw new IrError(
        `index takes a tensor [E, ...], found ${formatType(w)}`,
        "Index a tensor that holds all experts.",
      );
    return [{ dtype: w.dtype, dims: w.dims.slice(1) }];
  },
  evaluate(operands) {
    const w = operands[0];
    const expert = intsOf(operands[1])[0];
    const experts = w.dims[0];
    if (expert < 0 || expert >= experts)
      throw new IrError(`expert ${expert} is outside 0 … ${experts - 1}`, "Index with the id of an FFN expert.");
    return [slice(w, expert)];
  },
  flops: () => 0,
};
