import { apply } from "../../ir/core/scalar.ts";
import { load, range, view, whole } from "../tile/builder.ts";
import { stretches } from "./columns.ts";
import type { Schedule } from "./context.ts";
import { RowKernel } from "./row-work.ts";

/** A row's elements one after the other, from tile to tile. */
export const scheduleCumsum: Schedule = (operation, context) => {
  const k = new RowKernel(operation, context, "sums of each row's first elements");
  const { b, target } = k;
  const total = b.alloc("total", k.y.dtype, [1], target.scratch);
  b.set(total, 0, 0);
  stretches(b, target, k.columns, ({ start, width, valid = width }) => {
    const part = k.part(target.scratch, { start, width: valid });
    const sums = b.alloc("sums", k.y.dtype, [valid], target.scratch);
    b.forLoop("i", 0, valid, 1, (i) => {
      b.set(total, 0, apply("add", load(total, 0), load(part, i)));
      b.set(sums, i, load(total, 0));
    });
    b.copy(view(k.y, ...k.row, range(start, valid)), whole(sums));
  });
  return k.build();
};
