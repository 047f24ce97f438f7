import type { Dim } from "../../ir/core/dim.ts";
import type { Operation, Value } from "../../ir/core/layer.ts";
import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { concatAxis } from "../../ir/ops/concat.ts";
import { sliceOf } from "../../ir/ops/slice.ts";
import { orderOf } from "../../ir/ops/transpose.ts";
import { copyReason } from "../memory.ts";
import type { Target } from "../target.ts";
import { type KernelBuilder, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, dimExpr, floorDiv, int, mod, mul } from "../tile/fold.ts";
import type { KernelBuffer, View, ViewIndex } from "../tile/types.ts";
import { columnGrid, type Stretch, validOf } from "./columns.ts";
import type { Schedule, ScheduleContext } from "./context.ts";
import { columnsOf, kernelName, operandBuffer, originOf, resultOf } from "./elementwise.ts";

/** Schedules that move elements: rows are copied in stretches of columns, as wide as the target's vector work. */

/** A grid over all dimensions of a value but the last. */
const rowGrid = (b: KernelBuilder, dims: readonly Dim[]): readonly ScalarExpr[] =>
  dims.slice(0, -1).map((d, i) => b.grid(i === 0 ? "row" : `row${i}`, d));

/** Copies columns of x to columns of y through a tile; floats of another dtype are converted. */
function copyColumns(
  b: KernelBuilder,
  target: Target,
  stretch: Stretch,
  [y, to]: readonly [KernelBuffer, (columns: ViewIndex) => View],
  [x, from]: readonly [KernelBuffer, (columns: ViewIndex) => View],
  space = target.vector.space,
): void {
  const columns = range(stretch.start, stretch.width);
  const tile = b.alloc("tile", x.dtype, [stretch.width], space);
  b.copy(whole(tile), from(columns), validOf(stretch));
  if (x.dtype === y.dtype) {
    b.copy(to(columns), whole(tile), validOf(stretch));
    return;
  }
  const converted = b.alloc("converted", y.dtype, [stretch.width], space);
  b.map(whole(converted), { v: whole(tile) }, ({ v }) => v);
  b.copy(to(columns), whole(converted), validOf(stretch));
}

const shifted = (columns: ViewIndex, by: ScalarExpr): ViewIndex =>
  columns.kind === "range" ? range(add(columns.start, by), columns.extent) : columns;

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** Row-major number of a row, from its coordinates. */
const rowNumber = (coordinates: readonly ScalarExpr[], dims: readonly Dim[]): ScalarExpr =>
  coordinates.reduce<ScalarExpr>((n, c, i) => add(mul(n, dimExpr(dims[i] as Dim)), c), int(0));

/** Coordinates of a row, from its row-major number. */
function coordinatesOf(row: ScalarExpr, dims: readonly Dim[]): ScalarExpr[] {
  const [outer, ...inner] = dims;
  if (outer === undefined) return [];
  if (inner.length === 0) return [row];
  const size = inner.map(dimExpr).reduce(mul);
  return [floorDiv(row, size), ...coordinatesOf(mod(row, size), inner)];
}

/**
 * Nothing, where the result is the operand's memory. Else a copy: rows of both are cut into runs of the greatest length that
 * divides both widths, so that a run lies in one row of each. Leading dimensions that both have are kept.
 */
export const scheduleReshape: Schedule = (operation, context) => {
  const [x0, y0] = [operandBuffer(operation, 0, context), context.buffer(resultOf(operation))];
  if (y0.alias !== undefined) return [];
  const reason = copyReason(x0, y0) ?? "its rows are copied";
  const b = kernelBuilder(
    kernelName(operation, context),
    originOf(operation, `the same elements in other dimensions, copied since ${reason}`),
  );
  const [x, y] = [b.read(x0), b.write(y0)];
  const [own, wide] = [operation.operands[0] as Value, resultOf(operation)].map((v) => columnsOf(v, context)) as [
    number,
    number,
  ];
  const run = gcd(own, wide);
  const leading = rowGrid(b, y.dims);
  const inColumns = columnGrid(b, context.target, run);
  const [fromDims, toDims] = [x.dims.slice(0, -1), y.dims.slice(0, -1)];
  let kept = 0;
  while (kept < fromDims.length && kept < toDims.length && fromDims[kept]?.equals(toDims[kept] as Dim)) kept++;
  const row = rowNumber(leading.slice(kept), toDims.slice(kept));
  b.forLoop("run", 0, wide / run, 1, (part) => {
    const number = b.letScalar("number", add(mul(row, wide / run), part));
    const rest = fromDims.slice(kept);
    const [line, at] = rest.length === 0 ? [int(0), number] : [floorDiv(number, own / run), mod(number, own / run)];
    const start = b.letScalar("start", mul(at, run));
    const source = [...leading.slice(0, kept), ...coordinatesOf(line, rest)].map((c, i) => b.letScalar(`at${i}`, c));
    inColumns((stretch) =>
      copyColumns(
        b,
        context.target,
        stretch,
        [y, (columns) => view(y, ...leading, shifted(columns, mul(part, run)))],
        [x, (columns) => view(x, ...source, shifted(columns, start))],
      ),
    );
  });
  return [b.build()];
};

/** Rows, or stretches of columns; columns with others between them one by one. */
export const scheduleSlice: Schedule = (operation, context) => {
  const { axis, step, ...sizes } = sliceOf(operation.attributes);
  const start = dimExpr(context.dim(sizes.start));
  const b = kernelBuilder(
    kernelName(operation, context),
    originOf(operation, axis === -1 ? "some columns" : axis === -2 ? "some rows" : "some of one dimension"),
  );
  const x = b.read(operandBuffer(operation, 0, context));
  const y = b.write(context.buffer(resultOf(operation)));
  const leading = rowGrid(b, y.dims);
  const columns = columnsOf(resultOf(operation), context);
  if (axis === -1 && step > 1) {
    b.forLoop("column", 0, columns, 1, (column) =>
      b.set(y, [...leading, column], load(x, ...leading, add(mul(column, step), start))),
    );
    return [b.build()];
  }
  const at = leading.length + 1 + axis;
  const from = leading.map((c, d) => (d === at ? add(mul(c, step), start) : c));
  const inColumns = columnGrid(b, context.target, columns);
  inColumns((stretch) =>
    copyColumns(
      b,
      context.target,
      stretch,
      [y, (part) => view(y, ...leading, part)],
      [x, (part) => view(x, ...from, axis === -1 ? shifted(part, start) : part)],
    ),
  );
  return [b.build()];
};

/** Rows where the last dimension stays the last; else each row of the result is a column of the operand. */
export const scheduleTranspose: Schedule = (operation, context) => {
  const x0 = operandBuffer(operation, 0, context);
  const order = orderOf(operation.attributes, x0.dims.length);
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "dimensions in another order"));
  const x = b.read(x0);
  const y = b.write(context.buffer(resultOf(operation)));
  const leading = rowGrid(b, y.dims);
  const columns = columnsOf(resultOf(operation), context);
  const inColumns = columnGrid(b, context.target, columns);
  // Elements that do not lie side by side need a tile that can be addressed.
  const space = order.at(-1) === order.length - 1 ? context.target.vector.space : context.target.scratch;
  inColumns((stretch) =>
    copyColumns(
      b,
      context.target,
      stretch,
      [y, (part) => view(y, ...leading, part)],
      [x, (part) => view(x, ...x.dims.map((_, d) => leading[order.indexOf(d)] ?? part))],
      space,
    ),
  );
  return [b.build()];
};

/** A kernel per operand, which copies it to its part of the result: so no kernel has more than two buffers. */
export const scheduleConcat: Schedule = (operation, context) => {
  const result = resultOf(operation);
  const axis = result.type.dims.length + concatAxis(operation.attributes);
  return operation.operands.map((operand, i) => {
    const before = operation.operands
      .slice(0, i)
      .map((v) => context.dim(v.type.dims[axis] as Dim))
      .reduce<ScalarExpr>((sum, d) => add(sum, dimExpr(d)), int(0));
    return partOf(operation, context, i, operand, axis, before);
  });
};

function partOf(
  operation: Operation,
  context: ScheduleContext,
  i: number,
  operand: Value,
  axis: number,
  before: ScalarExpr,
) {
  const several = operation.operands.length > 1;
  const b = kernelBuilder(
    `${kernelName(operation, context)}${several ? `_${i}` : ""}`,
    originOf(operation, `${operand.name} as part of ${resultOf(operation).name}`),
  );
  const x = b.read(context.buffer(operand));
  const y = b.write(context.buffer(resultOf(operation)));
  const leading = rowGrid(b, x.dims);
  const inColumns = columnGrid(b, context.target, columnsOf(operand, context));
  const to = leading.map((c, d) => (d === axis ? add(c, before) : c));
  const shift = axis === leading.length ? before : int(0);
  inColumns((stretch) =>
    copyColumns(
      b,
      context.target,
      stretch,
      [y, (columns) => view(y, ...to, shifted(columns, shift))],
      [x, (columns) => view(x, ...leading, columns)],
    ),
  );
  return b.build();
}
