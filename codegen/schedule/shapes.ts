import { isBlockFormat } from "../../ir/core/block-formats.ts";
import type { Dim } from "../../ir/core/dim.ts";
import type { Operation, Value } from "../../ir/core/layer.ts";
import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { concatAxis } from "../../ir/ops/concat.ts";
import { expandOf } from "../../ir/ops/expand.ts";
import { sliceOf } from "../../ir/ops/slice.ts";
import { orderOf } from "../../ir/ops/transpose.ts";
import { copyReason } from "../memory.ts";
import type { Target } from "../target.ts";
import { at, type KernelBuilder, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, dimExpr, floorDiv, int, mod, mul } from "../tile/fold.ts";
import type { Kernel, KernelBuffer, ViewIndex } from "../tile/types.ts";
import { scheduleBlockRows } from "./blocks.ts";
import { columnGrid, rowGrid, rowsOf, type Stretch, shifted, validOf } from "./columns.ts";
import type { Schedule, ScheduleContext } from "./context.ts";
import { kernelName, operandBuffer, originOf, resultOf } from "./elementwise.ts";

/** Schedules that move elements: rows are copied in stretches of columns, as wide as the target's vector work. */

/** Where a stretch of columns lies in a buffer. */
export type Place = readonly [KernelBuffer, (columns: ViewIndex) => readonly ViewIndex[]];

/** Copies a stretch of columns through a tile; floats of another dtype are converted. */
export function copyColumns(
  b: KernelBuilder,
  target: Target,
  stretch: Stretch,
  [y, to]: Place,
  [x, from]: Place,
  space = target.vector.space,
): void {
  const columns = range(stretch.start, stretch.width);
  const tile = b.alloc("tile", x.dtype, [stretch.width], space);
  b.copy(whole(tile), view(x, ...from(columns)), validOf(stretch));
  if (x.dtype === y.dtype) {
    b.copy(view(y, ...to(columns)), whole(tile), validOf(stretch));
    return;
  }
  const converted = b.alloc("converted", y.dtype, [stretch.width], space);
  b.map(whole(converted), { v: whole(tile) }, ({ v }) => v);
  b.copy(view(y, ...to(columns)), whole(converted), validOf(stretch));
}

/** The i-th operand of an operation. */
const operandOf = (operation: Operation, i: number): Value => operation.operands[i] as Value;

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
  const [from, to] = [rowsOf(operandOf(operation, 0), context), rowsOf(resultOf(operation), context)];
  const run = gcd(from.columns, to.columns);
  const leading = rowGrid(b, to);
  const inColumns = columnGrid(b, context.target, run);
  let kept = 0;
  while (kept < from.leading.length && from.leading[kept]?.toString() === to.leading[kept]?.toString()) kept++;
  const rest = from.leading.slice(kept);
  const row = rowNumber(leading.slice(kept), to.leading.slice(kept));
  const [runsOfTo, runsOfFrom] = [to.columns / run, from.columns / run];
  b.forLoop("run", 0, runsOfTo, 1, (part) => {
    const number = b.letScalar("number", add(mul(row, runsOfTo), part));
    const [line, at] = rest.length === 0 ? [int(0), number] : [floorDiv(number, runsOfFrom), mod(number, runsOfFrom)];
    const start = b.letScalar("start", mul(at, run));
    const source = [...leading.slice(0, kept), ...coordinatesOf(line, rest)].map((c, i) => b.letScalar(`at${i}`, c));
    inColumns((stretch) =>
      copyColumns(
        b,
        context.target,
        stretch,
        [y, (columns) => to.at(leading, shifted(columns, mul(part, run)))],
        [x, (columns) => from.at(source, shifted(columns, start))],
      ),
    );
  });
  return [b.build()];
};

/** Rows, or stretches of columns; columns with others between them one by one. */
export const scheduleSlice: Schedule = (operation, context) => {
  if (isBlockFormat(resultOf(operation).type.dtype)) return scheduleBlockRows(operation, context);
  const { axis, step, ...sizes } = sliceOf(operation.attributes);
  const start = dimExpr(context.dim(sizes.start));
  const b = kernelBuilder(
    kernelName(operation, context),
    originOf(operation, axis === -1 ? "some columns" : axis === -2 ? "some rows" : "some of one dimension"),
  );
  const x = b.read(operandBuffer(operation, 0, context));
  const y = b.write(context.buffer(resultOf(operation)));
  const [from, to] = [rowsOf(operandOf(operation, 0), context), rowsOf(resultOf(operation), context)];
  const leading = rowGrid(b, to);
  const rank = y.dims.length;
  const at = rank + axis;
  if (at === leading.length && step > 1) {
    b.forLoop("column", 0, to.columns, 1, (column) =>
      b.set(y, [...leading, column], load(x, ...leading, add(mul(column, step), start))),
    );
    return [b.build()];
  }
  const inColumns = columnGrid(b, context.target, to.columns);
  const source = leading.map((c, d) => (d === at ? add(mul(c, step), start) : c));
  // A result of rows of one element may be part of rows of several.
  const read = (part: ViewIndex): readonly ViewIndex[] =>
    source.length === from.leading.length
      ? from.at(source, at === leading.length ? shifted(part, start) : part)
      : from.at(source.slice(0, -1), shifted(part, source.at(-1) ?? int(0)));
  inColumns((stretch) => copyColumns(b, context.target, stretch, [y, (part) => to.at(leading, part)], [x, read]));
  return [b.build()];
};

/** Rows where the last dimension stays the last; else each row of the result is a column of the operand. */
export const scheduleTranspose: Schedule = (operation, context) => {
  const x0 = operandBuffer(operation, 0, context);
  const order = orderOf(operation.attributes, x0.dims.length);
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "dimensions in another order"));
  const x = b.read(x0);
  const y = b.write(context.buffer(resultOf(operation)));
  const to = rowsOf(resultOf(operation), context);
  const leading = rowGrid(b, to);
  const inColumns = columnGrid(b, context.target, to.columns);
  // Elements that do not lie side by side need a tile that can be addressed.
  const space = order.at(-1) === order.length - 1 ? context.target.vector.space : context.target.scratch;
  const index = (part: ViewIndex): readonly ViewIndex[] => to.at(leading, part);
  inColumns((stretch) =>
    copyColumns(
      b,
      context.target,
      stretch,
      [y, index],
      [x, (part) => order.map((_, d) => index(part)[order.indexOf(d)] as ViewIndex)],
      space,
    ),
  );
  return [b.build()];
};

/** A kernel per operand, which copies it to its part of the result: so no kernel has more than two buffers. */
export const scheduleConcat: Schedule = (operation, context) => {
  const axis = resultOf(operation).type.dims.length + concatAxis(operation.attributes);
  return operation.operands.map((operand, i) => {
    const before = operation.operands
      .slice(0, i)
      .map((v) => context.dim(v.type.dims[axis] as Dim))
      .reduce<ScalarExpr>((sum, d) => add(sum, dimExpr(d)), int(0));
    return partOfConcat(operation, context, { operand, i, axis, before });
  });
};

function partOfConcat(
  operation: Operation,
  context: ScheduleContext,
  part: { readonly operand: Value; readonly i: number; readonly axis: number; readonly before: ScalarExpr },
): Kernel {
  const { operand, axis, before } = part;
  const result = resultOf(operation);
  const b = kernelBuilder(
    `${kernelName(operation, context)}${operation.operands.length > 1 ? `_${part.i}` : ""}`,
    originOf(operation, `${operand.name} as part of ${result.name}`),
  );
  const x = b.read(context.buffer(operand));
  const y = b.write(context.buffer(result));
  const from = rowsOf(operand, context);
  const leading = rowGrid(b, from);
  const inColumns = columnGrid(b, context.target, from.columns);
  const index = (columns: ViewIndex): readonly ViewIndex[] => from.at(leading, columns);
  const moved = (at: ViewIndex): ViewIndex =>
    at.kind === "at" ? { kind: "at", at: add(at.at, before) } : shifted(at, before);
  inColumns((stretch) =>
    copyColumns(
      b,
      context.target,
      stretch,
      [y, (columns) => index(columns).map((at, d) => (d === axis ? moved(at) : at))],
      [x, index],
    ),
  );
  return b.build();
}

/** Rows of the operand, or the one element of each, as often as the result has them. */
export const scheduleExpand: Schedule = (operation, context) => {
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "a dimension of size 1 repeated"));
  const x = b.read(operandBuffer(operation, 0, context));
  const y = b.write(context.buffer(resultOf(operation)));
  const to = rowsOf(resultOf(operation), context);
  const leading = rowGrid(b, to);
  const inColumns = columnGrid(b, context.target, to.columns);
  const axis = y.dims.length + expandOf(operation.attributes).axis;
  const index = (part: ViewIndex): readonly ViewIndex[] => to.at(leading, part);
  const source = (part: ViewIndex): readonly ViewIndex[] =>
    index(part).map((i, d) => (d !== axis ? i : i.kind === "range" ? range(0, 1) : at(0)));
  inColumns((stretch) => {
    if (axis < leading.length || to.columns === 1) {
      copyColumns(b, context.target, stretch, [y, index], [x, source]);
      return;
    }
    const tile = b.alloc("tile", y.dtype, [stretch.width], context.target.vector.space);
    b.fill(whole(tile), b.letScalar("element", load(x, ...leading, 0)));
    b.copy(view(y, ...index(range(stretch.start, stretch.width))), whole(tile), validOf(stretch));
  });
  return [b.build()];
};
