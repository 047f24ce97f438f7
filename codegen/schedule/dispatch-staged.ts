import { IrError } from "../../ir/core/diagnostic.ts";
import type { Dim } from "../../ir/core/dim.ts";
import { apply, type ScalarExpr } from "../../ir/core/scalar.ts";
import { kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, and, dimExpr, int, lt, min, mul, not, sub } from "../tile/fold.ts";
import type { Schedule } from "./context.ts";
import { kernelName, operandBuffer, originOf, resultOf, sizeAttribute } from "./elementwise.ts";

/** Blocks that share the windows. */
const parts = 16;

/** Slots and rows that a block holds, and tokens whose ids it reads at once: a few KiB each. */
const windowSlots = 4096;
const chunkTokens = 64;

/**
 * Stable counting sort of the slots by expert, where single elements of global memory are slow. Every block reads all ids, in
 * chunks that lie in scratch memory, and counts. Then each places the slots of its windows: those whose row lies in it, and the
 * rows of the slots that lie in it. A window goes to global memory as a whole, so no two blocks write to one place.
 */
export const scheduleStagedDispatch: Schedule = (operation, context) => {
  const space = context.target.scratch;
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "slots sorted by expert"));
  const ids = b.read(operandBuffer(operation, 0, context));
  const [offsets, slots, rows] = [0, 1, 2].map((i) => b.write(context.buffer(resultOf(operation, i))));
  if (!offsets || !slots || !rows) throw new IrError("dispatch has three results", "Give dispatch its results.");
  const ffn = sizeAttribute(operation, "ffn", context);
  const [tokenDim, topKDim] = ids.dims as readonly [Dim, Dim];
  const topK = context.size(topKDim);
  const tokens = dimExpr(tokenDim);
  const total = dimExpr(tokenDim.times(topKDim));
  const part = b.grid("part", parts);
  // next[e + 1] counts expert e, then next[e] is the row of its next slot.
  const next = b.alloc("next", "i32", [ffn + 1], space);
  const chunk = b.alloc("chunk", "i32", [chunkTokens, topK], space);
  const eachSlot = (body: (slot: ScalarExpr, expert: ScalarExpr) => void): void =>
    b.forLoop("from", 0, tokens, chunkTokens, (from) => {
      const count = b.letScalar("count", min(sub(tokens, from), chunkTokens));
      b.copy(whole(chunk), view(ids, range(from, chunkTokens), range(0, topK)), { valid: [count, topK] });
      b.forLoop("token", 0, count, 1, (token) => {
        for (let k = 0; k < topK; k++)
          body(b.letScalar("slot", add(mul(add(from, token), topK), k)), b.letScalar("expert", load(chunk, token, k)));
      });
    });
  const increment = (at: ScalarExpr): void => b.set(next, at, add(load(next, at), 1));
  // Without tokens there is one window all the same: offsets are written.
  b.forLoop("window", mul(part, windowSlots), apply("max", total, int(1)), parts * windowSlots, (window) => {
    b.forLoop("e", 0, ffn + 1, 1, (e) => b.set(next, e, int(0)));
    eachSlot((_, expert) => b.when(lt(expert, ffn), () => increment(add(expert, 1))));
    b.forLoop("e", 0, ffn, 1, (e) => b.set(next, add(e, 1), add(load(next, e), load(next, add(e, 1)))));
    b.when(lt(window, 1), () => b.copy(view(offsets, range(0, ffn + 1)), whole(next)));
    const placed = b.letScalar("placed", load(next, ffn));
    const slotOf = b.alloc("slot_of", "i32", [windowSlots], space);
    const rowOf = b.alloc("row_of", "i32", [windowSlots], space);
    const inWindow = (at: ScalarExpr): ScalarExpr => and(not(lt(at, window)), lt(at, add(window, windowSlots)));
    const setRow = (slot: ScalarExpr, row: ScalarExpr): void =>
      b.when(inWindow(slot), () => b.set(rowOf, sub(slot, window), row));
    eachSlot((slot, expert) =>
      b.when(
        lt(expert, ffn),
        () => {
          const row = b.letScalar("row", load(next, expert));
          b.set(next, expert, add(row, 1));
          b.when(inWindow(row), () => b.set(slotOf, sub(row, window), slot));
          setRow(slot, row);
        },
        () => setRow(slot, int(-1)),
      ),
    );
    const size = b.letScalar("size", min(sub(total, window), windowSlots));
    const filled = b.letScalar("filled", apply("max", sub(placed, window), int(0)));
    b.forLoop("empty", filled, size, 1, (i) => b.set(slotOf, i, int(-1)));
    b.copy(view(slots, range(window, windowSlots)), whole(slotOf), { valid: [size] });
    b.copy(view(rows, range(window, windowSlots)), whole(rowOf), { valid: [size] });
  });
  return [b.build()];
};
