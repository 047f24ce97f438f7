import type { Dim } from "../../ir/core/dim.ts";
import type { Value } from "../../ir/core/layer.ts";
import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { type KernelBuilder, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, and, constantOf, dimExpr, lt, max, min, mul, not, sub } from "../tile/fold.ts";
import type { KernelBuffer } from "../tile/types.ts";
import { columnGrid, rowGrid, rowsOf, validOf } from "./columns.ts";
import type { Schedule } from "./context.ts";
import { kernelName, operandBuffer, originOf, resultOf } from "./elementwise.ts";
import { copyColumns } from "./shapes.ts";

/** Schedules of rows that are found by their ids. */

/** Each row of the result by a block of its own. Ids are moved into the table: a kernel reads nothing outside of it. */
export const scheduleGather: Schedule = (operation, context) => {
  const { target } = context;
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "rows by their ids"));
  const x = b.read(operandBuffer(operation, 0, context));
  const ids = b.read(operandBuffer(operation, 1, context));
  const y = b.write(context.buffer(resultOf(operation)));
  const rows = dimExpr(x.dims[0] as Dim);
  const rowAt = (coordinates: readonly ScalarExpr[]): ScalarExpr =>
    b.letScalar("id", min(max(load(ids, ...coordinates), 0), sub(rows, 1)));
  if (x.dims.length === 1) {
    const at = y.dims.map((d, i) => b.grid(i === 0 ? "row" : `row${i}`, d));
    whereRows(
      b,
      rows,
      () => b.set(y, at, load(x, rowAt(at))),
      () => b.set(y, at, 0),
    );
    return [b.build()];
  }
  const [from, to] = [rowsOf(operation.operands[0] as Value, context), rowsOf(resultOf(operation), context)];
  const leading = rowGrid(b, to);
  const inColumns = columnGrid(b, target, to.columns);
  const inner = leading.slice(ids.dims.length);
  whereRows(
    b,
    rows,
    () => {
      const row = rowAt(leading.slice(0, ids.dims.length));
      inColumns((stretch) =>
        copyColumns(
          b,
          target,
          stretch,
          [y, (columns) => to.at(leading, columns)],
          [x, (columns) => from.at([row, ...inner], columns)],
        ),
      );
    },
    () =>
      inColumns((stretch) => {
        const zeros = b.alloc("zeros", y.dtype, [stretch.width], target.vector.space);
        b.fill(whole(zeros), 0);
        const columns = range(stretch.start, stretch.width);
        b.copy(view(y, ...to.at(leading, columns)), whole(zeros), validOf(stretch));
      }),
  );
  return [b.build()];
};

/** One thing where a table has rows, another where a run-time size leaves it without. */
function whereRows(b: KernelBuilder, rows: ScalarExpr, then: () => void, otherwise: () => void): void {
  if (constantOf(rows) !== undefined) then();
  else b.when(lt(0, rows), then, otherwise);
}

/** Rows that one block finds the replacements of together, and blocks at most. */
const stretchOfRows = 64;
const mostBlocks = 64;

/**
 * A block takes stretches of rows: it goes through all ids once per stretch and notes the last for each row, then copies rows.
 * So the result is the same for any number of blocks at once, and no row is written twice.
 */
export const scheduleScatter: Schedule = (operation, context) => {
  const { target } = context;
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "rows replaced by their ids"));
  const [x, ids, rows] = [0, 1, 2].map((i) => b.read(operandBuffer(operation, i, context))) as [
    KernelBuffer,
    KernelBuffer,
    KernelBuffer,
  ];
  const y = b.write(context.buffer(resultOf(operation)));
  const to = rowsOf(resultOf(operation), context);
  const count = dimExpr(y.dims[0] as Dim);
  const known = constantOf(count);
  const parts = known === undefined ? mostBlocks : Math.min(mostBlocks, Math.ceil(known / stretchOfRows));
  const part = b.grid("part", parts);
  const inner = to.leading.slice(1).map((d, i) => b.grid(`inner${i}`, d));
  const inColumns = columnGrid(b, target, to.columns);
  const last = b.alloc("last", "i32", [stretchOfRows], target.scratch);
  b.forLoop("first", mul(part, stretchOfRows), count, stretchOfRows * parts, (first) => {
    b.fill(whole(last), -1);
    b.forLoop("r", 0, dimExpr(ids.dims[0] as Dim), 1, (r) => {
      const place = b.letScalar("place", sub(load(ids, r), first));
      b.when(and(not(lt(place, 0)), lt(place, stretchOfRows)), () => b.set(last, place, r));
    });
    b.forLoop("place", 0, min(stretchOfRows, sub(count, first)), 1, (place) => {
      const row = b.letScalar("row", add(first, place));
      const source = b.letScalar("source", load(last, place));
      const copyFrom = (from: KernelBuffer, at: ScalarExpr): void =>
        inColumns((stretch) =>
          copyColumns(
            b,
            target,
            stretch,
            [y, (columns) => to.at([row, ...inner], columns)],
            [from, (columns) => to.at([at, ...inner], columns)],
          ),
        );
      b.when(
        lt(source, 0),
        () => copyFrom(x, row),
        () => copyFrom(rows, source),
      );
    });
  });
  return [b.build()];
};
