import type { Dim } from "../../ir/core/dim.ts";
import { apply, bool, type ScalarExpr } from "../../ir/core/scalar.ts";
import { kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { and, floorDiv, lt, mod, mul, not, sub } from "../tile/fold.ts";
import { columnGrid, validOf } from "./columns.ts";
import type { Schedule } from "./context.ts";
import { columnsOf, kernelName, operandBuffer, originOf, resultOf, sizeAttribute } from "./elementwise.ts";
import { sortInLanes, sortOf, sortSlots } from "./sort.ts";

/** Per token, the sum of the weights of its zero experts. */
export const scheduleZeroExpertWeight: Schedule = (operation, context) => {
  const space = context.target.scratch;
  const b = kernelBuilder(
    kernelName(operation, context),
    originOf(operation, "weight of the zero experts of each token"),
  );
  const ids = b.read(operandBuffer(operation, 0, context));
  const weights = b.read(operandBuffer(operation, 1, context));
  const y = b.write(context.buffer(resultOf(operation)));
  const topK = context.size(ids.dims[1] as Dim);
  const ffn = sizeAttribute(operation, "ffn", context);
  const bounded = operation.attributes.identity !== undefined;
  const end = bounded ? ffn + sizeAttribute(operation, "identity", context) : undefined;
  const token = b.grid("token", ids.dims[0] as Dim);
  const chosen = b.alloc("chosen", "i32", [topK], space);
  b.copy(whole(chosen), view(ids, token, range(0, topK)));
  const share = b.alloc("share", "f32", [topK], space);
  b.copy(whole(share), view(weights, token, range(0, topK)));
  const total = b.alloc("total", "f32", [1], space);
  b.set(total, 0, 0);
  b.forLoop("k", 0, topK, 1, (k) =>
    b.when(and(not(lt(load(chosen, k), ffn)), end === undefined ? bool(true) : lt(load(chosen, k), end)), () =>
      b.set(total, 0, apply("add", load(total, 0), load(share, k))),
    ),
  );
  b.copy(view(y, token, range(0, 1)), whole(total));
  return [b.build()];
};

/** Stable counting sort of the slots by expert: in one block, or by as many lanes as route tokens together. */
export const scheduleDispatch: Schedule = (operation, context) => {
  const { scratch, routing: { lanes } = { lanes: 1 } } = context.target;
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "slots sorted by expert"));
  const ids = b.read(operandBuffer(operation, 0, context));
  const sort = sortOf(b, operation, context, (token, k) => load(ids, token, k));
  if (lanes === 1) sortSlots(b, sort, scratch);
  else sortInLanes(b, sort, { lane: b.grid("lane", lanes, { lanes: true }), lanes, scratch });
  return [b.build()];
};

/** Per token, Σ weight·row over its slots in order, then the zero experts' share of the token itself. */
export const scheduleCombine: Schedule = (operation, context) => {
  const { target } = context;
  const zero = operation.operands.length > 3;
  const weighted = operation.attributes.weighted !== false;
  const b = kernelBuilder(
    kernelName(operation, context),
    originOf(
      operation,
      `${weighted ? "weighted " : ""}sum of each token's rows${zero ? ", and of the token itself for its zero experts" : ""}`,
    ),
  );
  const y = b.read(operandBuffer(operation, 0, context));
  const rows = b.read(operandBuffer(operation, 1, context));
  const weights = b.read(operandBuffer(operation, 2, context));
  const x = zero ? b.read(operandBuffer(operation, 3, context)) : undefined;
  const xWeight = zero ? b.read(operandBuffer(operation, 4, context)) : undefined;
  const out = b.write(context.buffer(resultOf(operation)));
  const topK = context.size(weights.dims[1] as Dim);
  const token = b.grid("token", out.dims[0] as Dim);
  const inColumns = columnGrid(b, target, columnsOf(resultOf(operation), context));
  const rowOf = b.alloc("row_of", "i32", [topK], target.scratch);
  b.copy(whole(rowOf), view(rows, range(mul(token, topK), topK)));
  const weightOf = b.alloc("weight_of", "f32", [topK], target.scratch);
  b.copy(whole(weightOf), view(weights, token, range(0, topK)));
  inColumns((stretch) => {
    const { space } = target.vector;
    const columns = range(stretch.start, stretch.width);
    const sum = b.alloc("sum", "f32", [stretch.width], space);
    b.fill(whole(sum), 0);
    const addRow = (source: typeof y, index: ScalarExpr, weight: ScalarExpr | undefined): void => {
      const tile = b.alloc("part", source.dtype, [stretch.width], space);
      b.copy(whole(tile), view(source, index, columns), validOf(stretch));
      b.map(whole(sum), { sum: whole(sum), part: whole(tile) }, (v) =>
        apply("add", v.sum, weight ? apply("mul", v.part, weight) : v.part),
      );
    };
    b.forLoop("k", 0, topK, 1, (k) => {
      const row = b.letScalar("row", load(rowOf, k));
      b.when(not(lt(row, 0)), () => addRow(y, row, weighted ? b.letScalar("weight", load(weightOf, k)) : undefined));
    });
    if (x && xWeight) addRow(x, token, b.letScalar("zero_weight", load(xWeight, token, 0)));
    const result = b.alloc("result", "f32", [stretch.width], space);
    b.map(whole(result), { sum: whole(sum) }, (v) => v.sum);
    b.copy(view(out, token, columns), whole(result), validOf(stretch));
  });
  return [b.build()];
};

/** Per token, Σ weight·constant over its slots in order, for the experts that give a constant. */
export const scheduleConstantExperts: Schedule = (operation, context) => {
  const { target } = context;
  const b = kernelBuilder(
    kernelName(operation, context),
    originOf(operation, "weighted sum of each token's constant experts"),
  );
  const constants = b.read(operandBuffer(operation, 0, context));
  const ids = b.read(operandBuffer(operation, 1, context));
  const weights = b.read(operandBuffer(operation, 2, context));
  const out = b.write(context.buffer(resultOf(operation)));
  const topK = context.size(ids.dims[1] as Dim);
  const count = context.size(constants.dims[0] as Dim);
  const first = sizeAttribute(operation, "first", context);
  const token = b.grid("token", out.dims[0] as Dim);
  const inColumns = columnGrid(b, target, columnsOf(resultOf(operation), context));
  inColumns((stretch) => {
    const columns = range(stretch.start, stretch.width);
    const sum = b.alloc("sum", "f32", [stretch.width], target.vector.space);
    b.fill(whole(sum), 0);
    b.forLoop("k", 0, topK, 1, (k) => {
      const row = b.letScalar("row", sub(load(ids, token, k), first));
      b.when(and(not(lt(row, 0)), lt(row, count)), () => {
        const part = b.alloc("part", constants.dtype, [stretch.width], target.vector.space);
        b.copy(whole(part), view(constants, row, columns), validOf(stretch));
        const weight = b.letScalar("weight", load(weights, token, k));
        b.map(whole(sum), { sum: whole(sum), part: whole(part) }, (v) =>
          apply("add", v.sum, apply("mul", v.part, weight)),
        );
      });
    });
    b.copy(view(out, token, columns), whole(sum), validOf(stretch));
  });
  return [b.build()];
};

/** row r = the numbers of the expert of slot slots[r], for rows that hold a slot. */
export const scheduleExpertRows: Schedule = (operation, context) => {
  const { target } = context;
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "numbers of each row's expert"));
  const w = b.read(operandBuffer(operation, 0, context));
  const ids = b.read(operandBuffer(operation, 1, context));
  const slots = b.read(operandBuffer(operation, 2, context));
  const y = b.write(context.buffer(resultOf(operation)));
  const topK = context.size(ids.dims[1] as Dim);
  const row = b.grid("row", y.dims[0] as Dim);
  const inColumns = columnGrid(b, target, columnsOf(resultOf(operation), context));
  const slot = b.letScalar("slot", load(slots, row));
  b.when(not(lt(slot, 0)), () => {
    const expert = b.letScalar("expert", load(ids, floorDiv(slot, topK), mod(slot, topK)));
    if (w.dims.length === 1) {
      b.set(y, [row, 0], load(w, expert));
      return;
    }
    inColumns((stretch) => {
      const tile = b.alloc("tile", w.dtype, [stretch.width], target.vector.space);
      b.copy(whole(tile), view(w, expert, range(stretch.start, stretch.width)), validOf(stretch));
      b.copy(view(y, row, range(stretch.start, stretch.width)), whole(tile), validOf(stretch));
    });
  });
  return [b.build()];
};

/** row r = the weight of slot slots[r], for rows that hold a slot. */
export const scheduleSlotWeights: Schedule = (operation, context) => {
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "weight of each row"));
  const weights = b.read(operandBuffer(operation, 0, context));
  const slots = b.read(operandBuffer(operation, 1, context));
  const y = b.write(context.buffer(resultOf(operation)));
  const topK = context.size(weights.dims[1] as Dim);
  const row = b.grid("row", y.dims[0] as Dim);
  const slot = b.letScalar("slot", load(slots, row));
  b.when(not(lt(slot, 0)), () => b.set(y, [row, 0], load(weights, floorDiv(slot, topK), mod(slot, topK))));
  return [b.build()];
};
