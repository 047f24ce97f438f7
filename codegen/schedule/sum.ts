import { apply } from "../../ir/core/scalar.ts";
import { kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import type { Int } from "../tile/fold.ts";
import type { Schedule } from "./context.ts";
import { columnsOf, kernelName, operandBuffer, originOf, resultOf } from "./elementwise.ts";

/** One block per row, in stretches as wide as the target's vector work. */
export const scheduleSum: Schedule = (operation, context) => {
  const { target } = context;
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "sum of each row"));
  const x = b.read(operandBuffer(operation, 0, context));
  const y = b.write(context.buffer(resultOf(operation)));
  const columns = columnsOf(operation.operands[0] ?? resultOf(operation), context);
  const leading = y.dims.slice(0, -1).map((d, i) => b.grid(i === 0 ? "row" : `row${i}`, d));
  const { width } = target.vector;
  const full = Math.floor(columns / width) * width;
  const total = b.alloc("total", "f32", [1], target.scratch);
  b.set(total, 0, 0);
  const addStretch = (start: Int, size: number): void => {
    const tile = b.alloc("part", "f32", [size], target.scratch);
    b.copy(whole(tile), view(x, ...leading, range(start, size)));
    const part = b.alloc("part_sum", "f32", [1], target.scratch);
    b.reduce("sum", view(part, 0), whole(tile));
    b.set(total, 0, apply("add", load(total, 0), load(part, 0)));
  };
  b.forLoop("column", 0, full, width, (start) => addStretch(start, width));
  if (full < columns) addStretch(full, columns - full);
  b.set(y, [...leading, 0], load(total, 0));
  return [b.build()];
};
