import type { Dim } from "../../ir/core/dim.ts";
import { sliceOf } from "../../ir/ops/slice.ts";
import { kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, mul } from "../tile/fold.ts";
import { columnGrid, validOf } from "./columns.ts";
import type { Schedule } from "./context.ts";
import { kernelName, operandBuffer, originOf, resultOf } from "./elementwise.ts";

/** Rows copied as they are, or single columns one by one. */
export const scheduleSlice: Schedule = (operation, context) => {
  const { axis, step, ...sizes } = sliceOf(operation.attributes);
  const start = context.size(sizes.start);
  const b = kernelBuilder(
    kernelName(operation, context),
    originOf(operation, axis === -1 ? "some columns" : "some rows"),
  );
  const x = b.read(operandBuffer(operation, 0, context));
  const y = b.write(context.buffer(resultOf(operation)));
  const leading = y.dims.slice(0, -1).map((d, i) => b.grid(i === 0 ? "row" : `row${i}`, d));
  const columns = context.size(y.dims.at(-1) as Dim);
  if (axis === -1) {
    b.forLoop("column", 0, columns, 1, (column) =>
      b.set(y, [...leading, column], load(x, ...leading, add(mul(column, step), start))),
    );
    return [b.build()];
  }
  const source = leading.map((at, i) => (i === leading.length - 1 ? add(mul(at, step), start) : at));
  columnGrid(
    b,
    context.target,
    columns,
  )((stretch) => {
    const tile = b.alloc("tile", x.dtype, [stretch.width], context.target.vector.space);
    b.copy(whole(tile), view(x, ...source, range(stretch.start, stretch.width)), validOf(stretch));
    b.copy(view(y, ...leading, range(stretch.start, stretch.width)), whole(tile), validOf(stretch));
  });
  return [b.build()];
};
