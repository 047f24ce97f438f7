import { isBlockFormat } from "../../ir/core/block-formats.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import { Dim } from "../../ir/core/dim.ts";
import { divides } from "../../ir/core/integer-form.ts";
import type { Operation, Value } from "../../ir/core/layer.ts";
import { apply, f32, formatScalar, type ScalarExpr, variable } from "../../ir/core/scalar.ts";
import { wholeRange } from "../../ir/ops/cast.ts";
import { mapFunction } from "../../ir/ops/map.ts";
import type { ProgramBuffer } from "../program.ts";
import { kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, floorDiv, int, lt, not } from "../tile/fold.ts";
import type { Tile } from "../tile/types.ts";
import { columnGrid, rowGrid, rowsOf, type Stretch, shifted, stretches, validOf } from "./columns.ts";
import { buffersOf, type Schedule, type ScheduleContext } from "./context.ts";

export const resultOf = (operation: Operation, i = 0): Value => {
  const value = operation.results[i];
  if (!value) throw new IrError(`${operation.op} has no result ${i}`, "Give the operation its results.");
  return value;
};

/** The buffer of an operand. */
export const operandBuffer = (operation: Operation, i: number, context: ScheduleContext): ProgramBuffer => {
  const value = operation.operands[i];
  if (!value) throw new IrError(`${operation.op} has no operand ${i}`, "Give the operation its operands.");
  return context.buffer(value);
};

export const originOf = (operation: Operation, summary: string) => ({
  op: operation.op,
  summary,
  span: operation.span,
});

/** The op and what it gives; the op alone where a value is named after it. */
export const kernelName = (
  operation: Operation,
  context: ScheduleContext,
  { name }: ProgramBuffer = context.buffer(resultOf(operation)),
): string => (name === operation.op ? name : `${operation.op}_${name}`);

/** Columns of a value. Its buffer may have more, which pad its rows. */
export const columnsOf = (value: Value, context: ScheduleContext): number => {
  const last = value.type.dims.at(-1);
  const columns = last && context.dim(last).constant;
  if (columns === undefined) {
    throw new IrError(
      `the last dimension of ${value.name} is ${last ?? "absent"}, which is not known when the layer is compiled`,
      "Give tensors a last dimension that is a parameter.",
    );
  }
  return columns;
};

/** y = fn(x₀, …), elementwise, operands repeated along leading dimensions and dimensions of size 1. */
export const scheduleMap: Schedule = (operation, context) => {
  const fn = mapFunction(
    operation.operands.map((v) => v.type),
    operation.attributes,
  );
  const summary = `${fn.params.join(", ")} → ${formatScalar(fn.body)}`;
  const bind = (inputs: readonly (Tile | ScalarExpr)[]) => ({
    fn: fn.body,
    named: new Map(fn.params.map((p, i) => [p, inputs[i] as Tile | ScalarExpr])),
  });
  return elementwise(operation, context, summary, bind, divides(fn.body));
};

/** y = x in another dtype. */
export const scheduleRounding: Schedule = (operation, context) => {
  const from = operation.operands[0]?.type.dtype;
  const to = resultOf(operation).type.dtype;
  return elementwise(operation, context, `convert to ${to}`, ([input]) => {
    const x = variable("x", from === "i32" ? "i32" : "f32");
    const fn = from === "i32" && to !== "i32" ? apply("toFloat", x) : from !== "i32" && to === "i32" ? whole32(x) : x;
    return { fn, named: new Map([["x", input as Tile | ScalarExpr]]) };
  });
};

/** A float as i32: towards zero, out of range the nearest end, and 0 for NaN, which no comparison holds of. */
function whole32(x: ScalarExpr): ScalarExpr {
  const [least, most] = [f32(wholeRange.least), f32(wholeRange.most)];
  const inside = apply("select", apply("le", least, x), x, least);
  const beyond = apply("select", apply("lt", most, x), most, f32(0));
  return apply("toInt", apply("select", apply("le", x, most), inside, beyond));
}

function elementwise(
  operation: Operation,
  context: ScheduleContext,
  summary: string,
  bind: (inputs: readonly (Tile | ScalarExpr)[]) => { fn: ScalarExpr; named: ReadonlyMap<string, Tile | ScalarExpr> },
  isDividing = false,
) {
  const { target } = context;
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, summary));
  const sources = operation.operands.map((_, i) => b.read(operandBuffer(operation, i, context)));
  const y = b.write(context.buffer(resultOf(operation)));
  const rows = rowsOf(resultOf(operation), context);
  const leading = rowGrid(b, rows);
  const inColumns = columnGrid(b, target, rows.columns);
  const rank = y.dims.length;
  // No target's vectors divide whole numbers: those are computed one by one, in tiles that can be addressed.
  const space = isDividing ? target.scratch : target.vector.space;
  /** The column that a row of one element is, where the last dimension is known at run time only. */
  const column = leading.length === rank ? (leading.at(-1) ?? int(0)) : undefined;
  /** The index of a source at the block's leading coordinates. */
  const at = (dims: readonly Dim[]): ScalarExpr[] =>
    dims.slice(0, -1).map((d, i) => (d.constant === 1 ? int(0) : (leading[i + rank - dims.length] as ScalarExpr)));
  inColumns((stretch: Stretch) => {
    const inputs = sources.map((source) => {
      if (source.dims.at(-1)?.constant === 1 && (rows.columns !== 1 || column !== undefined)) {
        return b.letScalar(source.name, load(source, ...at(source.dims), 0));
      }
      const tile = b.alloc(`${source.name}_tile`, source.dtype, [stretch.width], space);
      const part = shifted(range(stretch.start, stretch.width), column ?? int(0));
      b.copy(whole(tile), view(source, ...at(source.dims), part), validOf(stretch));
      return tile;
    });
    const { fn, named } = bind(inputs);
    if (isDividing) {
      divide(fn, named, stretch);
      return;
    }
    const out = b.alloc(`${y.name}_tile`, y.dtype, [stretch.width], target.vector.space);
    const tiles = [...named].flatMap(([name, v]) => ("dims" in v ? [[name, whole(v)] as const] : []));
    const scalars = new Map([...named].flatMap(([name, v]) => ("dims" in v ? [] : [[name, v] as const])));
    b.map(whole(out), Object.fromEntries(tiles), replaceScalars(fn, scalars));
    b.copy(view(y, ...rows.at(leading, range(stretch.start, stretch.width))), whole(out), validOf(stretch));
  });
  return [b.build()];

  function divide(fn: ScalarExpr, named: ReadonlyMap<string, Tile | ScalarExpr>, stretch: Stretch): void {
    b.forLoop("element", 0, stretch.valid ?? stretch.width, 1, (i) => {
      const values = new Map([...named].map(([name, v]) => [name, "dims" in v ? load(v, i) : v]));
      b.set(y, [...leading.slice(0, rank - 1), add(add(stretch.start, i), column ?? 0)], replaceScalars(fn, values));
    });
  }
}

const replaceScalars = (fn: ScalarExpr, scalars: ReadonlyMap<string, ScalarExpr>): ScalarExpr =>
  fn.kind === "var"
    ? (scalars.get(fn.name) ?? fn)
    : fn.kind === "apply"
      ? apply(fn.op, ...fn.args.map((a) => replaceScalars(a, scalars)))
      : fn;

/** row r = x[slots[r] div top_k], for rows that hold a slot; of values in blocks, codes and what is beside them. */
export const schedulePermute: Schedule = (operation, context) => {
  const { target } = context;
  const result = resultOf(operation);
  const [from = result] = operation.operands;
  const inBlocks = isBlockFormat(from.type.dtype);
  const parts = (value: Value): readonly ProgramBuffer[] =>
    inBlocks ? buffersOf(context.blocks(value)) : [context.buffer(value)];
  const into = parts(result);
  const name = kernelName(operation, context, into[0]);
  const b = kernelBuilder(name, originOf(operation, "tokens in the order of their experts"));
  const sources = parts(from).map((x) => b.read(x));
  const slots = b.read(operandBuffer(operation, 1, context));
  const results = into.map((y) => b.write(y));
  const topK = sizeAttribute(operation, "top_k", context);
  const row = b.grid("row", result.type.dims[0] ? context.dim(result.type.dims[0]) : 1);
  const inColumns = inBlocks ? undefined : columnGrid(b, target, columnsOf(result, context));
  const slot = b.letScalar("slot", load(slots, row));
  b.when(not(lt(slot, 0)), () => {
    const token = b.letScalar("token", floorDiv(slot, topK));
    sources.forEach((x, i) => {
      const y = results[i] ?? x;
      const copy = (stretch: Stretch): void => {
        const tile = b.alloc("tile", x.dtype, [stretch.width], target.vector.space);
        b.copy(whole(tile), view(x, token, range(stretch.start, stretch.width)), validOf(stretch));
        b.copy(view(y, row, range(stretch.start, stretch.width)), whole(tile), validOf(stretch));
      };
      if (inColumns) inColumns(copy);
      else if (i === 0) stretches(b, target, columnsOf(result, context), copy);
      else copy({ start: int(0), width: context.size(x.dims[1] ?? Dim.of(1)) });
    });
  });
  return [b.build()];
};

/** A size attribute as a number. */
export function sizeAttribute(operation: Operation, name: string, context: ScheduleContext): number {
  const value = operation.attributes[name];
  if (typeof value === "number") return value;
  if (typeof value === "object" && value !== null && "substitute" in value) return context.size(value as Dim);
  throw new IrError(`${operation.op} expects the size ${name}`, `Give ${operation.op} the attribute ${name}.`);
}
