import { f32 } from "../../ir/core/scalar.ts";
import { load, view, whole } from "../tile/builder.ts";
import { add, lt, min } from "../tile/fold.ts";
import { stretches, tileWidth } from "./columns.ts";
import type { Schedule } from "./context.ts";
import { RowKernel } from "./row-work.ts";

/**
 * The first stretch with the largest maximum, and in it the first of the largest elements. Only a larger maximum replaces an
 * earlier one, so the lowest index wins among equals.
 */
export const scheduleArgMax: Schedule = (operation, context) => {
  const k = new RowKernel(operation, context, "index of the largest element of each row");
  const { b, target, columns } = k;
  const best = b.alloc("best", "f32", [1], target.scratch);
  const from = b.alloc("from", "i32", [1], target.scratch);
  b.set(best, 0, f32(Number.NEGATIVE_INFINITY));
  b.set(from, 0, 0);
  stretches(b, target, columns, ({ start, width, valid = width }) => {
    const part = k.floats(target.scratch, { start, width: valid });
    const largest = b.alloc("largest", "f32", [1], target.scratch);
    b.reduce("max", view(largest, 0), whole(part));
    const value = b.letScalar("value", load(largest, 0));
    b.when(lt(load(best, 0), value), () => {
      b.set(best, 0, value);
      b.set(from, 0, start);
    });
  });
  // As wide as any stretch; the last one begins before the row's end so that it does not pass it.
  const width = Math.min(tileWidth(target, columns), columns);
  const first = b.letScalar("first", min(load(from, 0), columns - width));
  const keys = k.floats(target.scratch, { start: first, width });
  const ids = b.alloc("ids", "i32", [1], target.scratch);
  b.topK(whole(ids), whole(keys));
  b.set(k.y, [...k.row], add(first, load(ids, 0)));
  return k.build();
};
