import { IrError } from "../core/diagnostic.ts";
import { formatType } from "../core/types.ts";
import { onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { assemble } from "./elements.ts";
import { count, intsOf } from "./reals.ts";
import { expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

const op = "gather";

/**
 * Rows by their ids: an embedding. An id below 0 counts as 0, one beyond the last row as the last, so that no kernel reads outside
 * of the table; of a tensor without rows, the result is zero. Ids that are inputs or weights are held to the number of rows before
 * a layer runs.
 */
export const gather: OpDefinition = {
  name: op,
  summary: "x [V, ...], ids i32[...] → [..., ...]: for each id that row of x",
  infer(operands, attributes, regions) {
    onlyAttributes(op, attributes, []);
    expectOperands(op, operands, 2, 2, "a tensor and ids of its rows");
    expectNoRegions(op, regions);
    const [x, ids] = [operandAt(operands, 0), operandAt(operands, 1)];
    if (x.dims.length === 0)
      throw new IrError(`gather takes rows of a tensor [V, ...], found ${formatType(x)}`, "Give a tensor with rows.");
    if (ids.dtype !== "i32")
      throw new IrError(`the ids of gather are i32, found ${formatType(ids)}`, "Give ids of rows: a tensor of i32.");
    return [{ dtype: x.dtype, dims: [...ids.dims, ...x.dims.slice(1)] }];
  },
  evaluate(operands) {
    const [x, idTensor] = operands;
    const ids = intsOf(idTensor);
    const [rows = 0, ...inner] = x.dims;
    const width = count(inner);
    const gathered = assemble(x.dtype, [...idTensor.dims, ...inner], [x], (put) => {
      if (rows === 0) return;
      ids.forEach((id, i) => {
        put(0, Math.min(Math.max(id, 0), rows - 1) * width, i * width, width);
      });
    });
    return [gathered];
  },
  flops: () => 0,
};
