import { IrError } from "../../ir/core/diagnostic.ts";
import type { Dim } from "../../ir/core/dim.ts";
import { apply, f32, type ScalarExpr } from "../../ir/core/scalar.ts";
import { sliceOf } from "../../ir/ops/slice.ts";
import type { ProgramBuffer } from "../program.ts";
import { kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, mul } from "../tile/fold.ts";
import type { Kernel } from "../tile/types.ts";
import { inverseOf, scaleOf } from "./codes.ts";
import { buffersOf, type Schedule } from "./context.ts";
import { columnsOf, kernelName, operandBuffer, originOf, resultOf } from "./elementwise.ts";

/**
 * Activations to blocks of 8-bit numbers: per block, codes x·127/max|x| rounded to the nearest whole number, halves away from zero;
 * scale max|x|/127; and the sum of the codes times a factor, by which products take the offset of a weight's codes off.
 */
export const scheduleBlocks: Schedule = (operation, context) => {
  const {
    format,
    codes,
    scales: [scale],
    sums,
  } = context.blocks(resultOf(operation));
  const { elements } = format;
  const scales = scale?.buffer;
  if (scales === undefined || sums === undefined)
    throw new IrError("weights are not converted by cast", "Store them in blocks at load.");
  const { target } = context;
  const { space, blockColumns } = target.vector;
  const b = kernelBuilder(
    kernelName(operation, context, codes),
    originOf(operation, `convert to blocks of ${elements}`),
  );
  const x = b.read(operandBuffer(operation, 0, context));
  for (const part of [codes, scales, sums.buffer]) b.write(part);
  const blocks = columnsOf(resultOf(operation), context) / elements;
  const row = x.dims.slice(0, -1).map((d: Dim, i: number) => b.grid(i === 0 ? "row" : `row${i}`, d));
  const one = (block: ScalarExpr): void => {
    const columns = range(mul(block, elements), elements);
    const values = b.alloc("values", "f32", [elements], space);
    b.copy(whole(values), view(x, ...row, columns));
    const sizes = b.alloc("sizes", "f32", [elements], space);
    b.map(whole(sizes), { v: whole(values) }, ({ v }) => apply("abs", v));
    const extreme = b.alloc("extreme", "f32", [1], target.scratch);
    b.reduce("max", view(extreme, 0), whole(sizes));
    const most = b.letScalar("most", load(extreme, 0));
    const inverse = b.letScalar("inverse", inverseOf(most));
    const rounded = b.alloc("rounded", "i32", [elements], space);
    b.map(whole(rounded), { v: whole(values) }, ({ v }) =>
      apply(
        "toInt",
        apply("add", apply("mul", v, inverse), apply("select", apply("lt", v, f32(0)), f32(-0.5), f32(0.5))),
      ),
    );
    b.copy(view(codes, ...row, columns), whole(rounded));
    b.set(scales, [...row, block], scaleOf(most));
    const sum = b.alloc("sum", "i32", [1], target.scratch);
    b.reduce("sum", view(sum, 0), whole(rounded));
    b.set(sums.buffer, [...row, block], mul(load(sum, 0), sums.factor));
  };
  if (blockColumns === "row") b.forLoop("block", 0, blocks, 1, one);
  else one(b.grid("block", blocks));
  return [b.build()];
};

/** Some rows of a weight in blocks: of its codes and of what is beside them. Runs once, at load. */
export const scheduleBlockRows: Schedule = (operation, context) => {
  const { axis, step, ...sizes } = sliceOf(operation.attributes);
  const [source] = operation.operands;
  if (axis !== -2 || source === undefined)
    throw new IrError("only rows of a weight in blocks are sliced", "Choose another storage.");
  const start = context.size(sizes.start);
  const [from, to] = [context.blocks(source), context.blocks(resultOf(operation))];
  const copyRows = (x0: ProgramBuffer, y0: ProgramBuffer): Kernel => {
    const b = kernelBuilder(kernelName(operation, context, y0), originOf(operation, "some rows"));
    const [x, y] = [b.read(x0), b.write(y0)];
    const leading = y.dims.slice(0, -1).map((d, i) => b.grid(i === 0 ? "row" : `row${i}`, d));
    const rows = leading.map((c, i) => (i === leading.length - 1 ? add(mul(c, step), start) : c));
    const columns = range(0, context.size(y.dims.at(-1) as Dim));
    b.copy(view(y, ...leading, columns), view(x, ...rows, columns));
    return b.build();
  };
  const into = buffersOf(to);
  return buffersOf(from).flatMap((part, i) => copyRows(part, into[i] as ProgramBuffer));
};
