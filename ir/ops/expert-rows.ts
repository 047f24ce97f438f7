import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import { formatType, isFloat } from "../core/types.ts";
import { onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { count, gatherRows, intsOf } from "./reals.ts";
import { dimAt, expectFloat, expectIds, expectNoRegions, expectOperands, expectSame, operandAt } from "./shapes.ts";

/** What belongs to the expert of each row, such as its bias. */
export const expertRows: OpDefinition = {
  name: "expert_rows",
  summary:
    "w [E, n] (or [E]), ids i32[T, K], slots i32[T*K] → [T*K, n] (or [T*K, 1]): row r = w[ids[slots[r]]]; rows with slot −1 are unspecified",
  infer(operands, attributes, regions) {
    onlyAttributes("expert_rows", attributes, []);
    expectOperands("expert_rows", operands, 3, 3, "a tensor of all experts, ids and slots");
    expectNoRegions("expert_rows", regions);
    const w = operandAt(operands, 0);
    if (!isFloat(w.dtype) || w.dims.length < 1 || w.dims.length > 2)
      throw new IrError(
        `an expert's own numbers are a float tensor [E] or [E, n], found ${formatType(w)}`,
        "Use an expert's matrix as the second operand of linear.",
      );
    const ids = operandAt(operands, 1);
    const slots = operandAt(operands, 2);
    expectIds("expert_rows", "ids", ids, 2, "[T, K]");
    expectIds("expert_rows", "slots", slots, 1, "[T*K]");
    expectSame("expert_rows", "slots and ids", dimAt(slots, 0), dimAt(ids, 0).times(dimAt(ids, 1)));
    return [{ dtype: w.dtype, dims: [dimAt(slots, 0), w.dims[1] ?? Dim.of(1)] }];
  },
  evaluate(operands) {
    const [w, idTensor, slotTensor] = operands;
    const ids = intsOf(idTensor);
    const experts = intsOf(slotTensor).map((slot) => (slot < 0 ? -1 : ids[slot]));
    const columns = count(w.dims.slice(1));
    return [gatherRows({ ...w, dims: [w.dims[0], columns] }, experts)];
  },
  flops: () => 0,
};

/** The weight of each row in its token's mixture. */
export const slotWeights: OpDefinition = {
  name: "slot_weights",
  summary:
    "weights [T, K], slots i32[T*K] → [T*K, 1]: row r = the weight of slot slots[r]; rows with slot −1 are unspecified",
  infer(operands, attributes, regions) {
    onlyAttributes("slot_weights", attributes, []);
    expectOperands("slot_weights", operands, 2, 2, "weights and slots");
    expectNoRegions("slot_weights", regions);
    const weights = operandAt(operands, 0);
    const slots = operandAt(operands, 1);
    expectFloat("slot_weights", "weights", weights, 2, "[T, K]");
    expectIds("slot_weights", "slots", slots, 1, "[T*K]");
    expectSame("slot_weights", "slots and weights", dimAt(slots, 0), dimAt(weights, 0).times(dimAt(weights, 1)));
    return [{ dtype: weights.dtype, dims: [dimAt(slots, 0), Dim.of(1)] }];
  },
  evaluate(operands) {
    const [weights, slots] = operands;
    return [gatherRows({ ...weights, dims: [count(weights.dims), 1] }, intsOf(slots))];
  },
  flops: () => 0,
};
