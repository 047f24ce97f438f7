import { onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { integers, intsOf } from "./reals.ts";
import { dimAt, expectIds, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

/** Stable counting sort of the slots of FFN experts. */
export const dispatch: OpDefinition = {
  name: "dispatch",
  summary:
    "ids i32[T, K] → offsets i32[E+1], slots i32[T*K] (row → slot), rows i32[T*K] (slot → row): slots with id < ffn sorted by expert, −1 where there is none",
  infer(operands, attributes, regions) {
    onlyAttributes("dispatch", attributes, ["ffn"]);
    expectOperands("dispatch", operands, 1, 1, "ids");
    expectNoRegions("dispatch", regions);
    const ids = operandAt(operands, 0);
    expectIds("dispatch", "ids", ids, 2, "[T, K]");
    const slots = dimAt(ids, 0).times(dimAt(ids, 1));
    return [
      { dtype: "i32", dims: [sizeAttribute("dispatch", attributes, "ffn").plus(1)] },
      { dtype: "i32", dims: [slots] },
      { dtype: "i32", dims: [slots] },
    ];
  },
  evaluate(operands, attributes, _, context) {
    const ids = intsOf(operands[0]);
    const experts = sizeAttribute("dispatch", attributes, "ffn").evaluate(context.dims);
    const offsets = new Int32Array(experts + 1);
    for (const id of ids) if (id >= 0 && id < experts) offsets[id + 1] = offsets[id + 1] + 1;
    for (let e = 0; e < experts; e++) offsets[e + 1] = offsets[e + 1] + offsets[e];
    const next = offsets.slice();
    const slots = new Int32Array(ids.length).fill(-1);
    const rows = new Int32Array(ids.length).fill(-1);
    ids.forEach((id, slot) => {
      if (id < 0 || id >= experts) return;
      const row = next[id];
      next[id] = row + 1;
      slots[row] = slot;
      rows[slot] = row;
    });
    return [integers([experts + 1], offsets), integers([ids.length], slots), integers([ids.length], rows)];
  },
  flops: () => 0,
};
