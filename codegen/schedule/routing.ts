import { IrError } from "../../ir/core/diagnostic.ts";
import type { Dim } from "../../ir/core/dim.ts";
import { apply, element, type ScalarExpr } from "../../ir/core/scalar.ts";
import { kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, dimExpr, lt, mul, not } from "../tile/fold.ts";
import { columnGrid, validOf } from "./columns.ts";
import type { Schedule } from "./context.ts";
import { kernelName, operandBuffer, originOf, resultOf, sizeAttribute } from "./elementwise.ts";

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
  const token = b.grid("token", ids.dims[0] as Dim);
  const chosen = b.alloc("chosen", "i32", [topK], space);
  b.copy(whole(chosen), view(ids, token, range(0, topK)));
  const share = b.alloc("share", "f32", [topK], space);
  b.copy(whole(share), view(weights, token, range(0, topK)));
  const total = b.alloc("total", "f32", [1], space);
  b.set(total, 0, 0);
  b.forLoop("k", 0, topK, 1, (k) =>
    b.when(not(lt(load(chosen, k), ffn)), () => b.set(total, 0, apply("add", load(total, 0), load(share, k)))),
  );
  b.copy(view(y, token, range(0, 1)), whole(total));
  return [b.build()];
};

/** Stable counting sort of the slots by expert, in one block: count, first rows, place. */
export const scheduleDispatch: Schedule = (operation, context) => {
  const space = context.target.scratch;
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "slots sorted by expert"));
  const ids = b.read(operandBuffer(operation, 0, context));
  const [offsets, slots, rows] = [0, 1, 2].map((i) => b.write(context.buffer(resultOf(operation, i))));
  if (!offsets || !slots || !rows) throw new IrError("dispatch has three results", "Give dispatch its results.");
  const ffn = sizeAttribute(operation, "ffn", context);
  const [tokenDim, topKDim] = ids.dims as readonly [Dim, Dim];
  const topK = context.size(topKDim);
  const tokens = dimExpr(tokenDim);
  const next = b.alloc("next", "i32", [ffn + 1], space);
  b.fill(whole(next), 0);
  const eachSlot = (body: (slot: ScalarExpr, expert: ScalarExpr) => void): void =>
    b.forLoop("token", 0, tokens, 1, (token) =>
      b.forLoop("k", 0, topK, 1, (k) =>
        body(b.letScalar("slot", add(mul(token, topK), k)), b.letScalar("expert", load(ids, token, k))),
      ),
    );
  eachSlot((_, expert) =>
    b.when(lt(expert, ffn), () => b.set(next, add(expert, 1), add(element(next.name, "i32", [add(expert, 1)]), 1))),
  );
  b.forLoop("expert", 0, ffn, 1, (expert) =>
    b.set(next, add(expert, 1), add(load(next, expert), load(next, add(expert, 1)))),
  );
  b.copy(view(offsets, range(0, ffn + 1)), whole(next));
  const placed = b.letScalar("placed", load(next, ffn));
  eachSlot((slot, expert) =>
    b.when(
      lt(expert, ffn),
      () => {
        const row = b.letScalar("row", load(next, expert));
        b.set(slots, row, slot);
        b.set(rows, slot, row);
        b.set(next, expert, add(row, 1));
      },
      () => b.set(rows, slot, -1),
    ),
  );
  b.forLoop("row", placed, dimExpr(tokenDim.times(topKDim)), 1, (row) => b.set(slots, row, -1));
  return [b.build()];
};

/** Per token, Σ weight·row over its slots in order, then the zero experts' share of the token itself. */
export const scheduleCombine: Schedule = (operation, context) => {
  const { target } = context;
  const zero = operation.operands.length > 3;
  const b = kernelBuilder(
    kernelName(operation, context),
    originOf(
      operation,
      `weighted sum of each token's rows${zero ? ", and of the token itself for its zero experts" : ""}`,
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
  const inColumns = columnGrid(b, target, context.size(out.dims[1] as Dim));
  const rowOf = b.alloc("row_of", "i32", [topK], target.scratch);
  b.copy(whole(rowOf), view(rows, range(mul(token, topK), topK)));
  const weightOf = b.alloc("weight_of", "f32", [topK], target.scratch);
  b.copy(whole(weightOf), view(weights, token, range(0, topK)));
  inColumns((stretch) => {
    const { space } = target.vector;
    const columns = range(stretch.start, stretch.width);
    const sum = b.alloc("sum", "f32", [stretch.width], space);
    b.fill(whole(sum), 0);
    const addRow = (source: typeof y, index: ScalarExpr, weight: ScalarExpr): void => {
      const tile = b.alloc("part", source.dtype, [stretch.width], space);
      b.copy(whole(tile), view(source, index, columns), validOf(stretch));
      b.map(whole(sum), { sum: whole(sum), part: whole(tile) }, (v) =>
        apply("add", v.sum, apply("mul", v.part, weight)),
      );
    };
    b.forLoop("k", 0, topK, 1, (k) => {
      const row = b.letScalar("row", load(rowOf, k));
      b.when(not(lt(row, 0)), () => addRow(y, row, b.letScalar("weight", load(weightOf, k))));
    });
    if (x && xWeight) addRow(x, token, b.letScalar("zero_weight", load(xWeight, token, 0)));
    const result = b.alloc("result", "f32", [stretch.width], space);
    b.map(whole(result), { sum: whole(sum) }, (v) => v.sum);
    b.copy(view(out, token, columns), whole(result), validOf(stretch));
  });
  return [b.build()];
};
