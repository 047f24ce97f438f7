import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { Stripes } from "../target.ts";
import { range, view, whole } from "../tile/builder.ts";
import { add, floorDiv, int, lt, min, mod, mul, select, sub } from "../tile/fold.ts";
import { expertOf, positionsOf, rowsOfMatrix, storeSums, sumsOf } from "./product-kernel.ts";
import { rowWalk } from "./rows.ts";
import type { SumsContext } from "./sums.ts";

/**
 * A product of few rows, whose lanes share the inner dimension: a device with thousands of lanes has work for all of them in one row.
 * Each lane sums every so many-th step of k; then the sums of a panel lie in workgroup memory, and each of its results is added up
 * by one lane, stripe by stripe: the same bits from run to run, whatever the size of a subgroup.
 */
export function stripedKernel(
  { b, p, scratch, depth }: Pick<SumsContext, "b" | "p" | "scratch" | "depth">,
  { panels: across, along }: Stripes,
  rows: readonly number[],
): void {
  const width = p.packed?.rows ?? 1;
  const panels = Math.ceil(p.columns / width);
  const exact = panels % across === 0;
  const expert = expertOf(b, p);
  const chunk = b.grid("chunk", Math.ceil(panels / across));
  const lane = b.grid("lane", across * along, { lanes: true });
  // Neighbours read steps that follow each other in memory.
  const stripe = b.letScalar("stripe", mod(lane, along));
  const place = b.letScalar("place", floorDiv(lane, along));
  const own = b.letScalar("own_panel", add(mul(chunk, across), place));
  const panel = exact ? own : b.letScalar("panel", min(own, panels - 1));
  const { first, count } = rowsOfMatrix(b, p, expert);
  const context: SumsContext = { b, p, scratch, width, depth, expert, stripe: { lanes: along, lane: stripe } };
  const sums = sumsOf(context);
  const all = p.sums * width;
  const most = Math.max(...rows);
  const parts = b.alloc("parts", "f32", [across, most * all, along], "workgroup");
  rowWalk(b, rows, count, { part: int(0), parts: 1 })((size, row) => {
    const from = b.letScalar("top", add(first, row));
    const positions = p.gather ? positionsOf(context, size, (i) => add(from, i)) : undefined;
    const acc = b.alloc("acc", "f32", [size, all], "register");
    b.fill(whole(acc), 0);
    sums.emit(acc, { size, from, positions, panel, edge: false });
    for (let i = 0; i < size; i++) b.copy(view(parts, place, range(i * all, all), stripe), view(acc, i, range(0, all)));
    b.barrier();
    // A lane for each result of the panel.
    for (let done = 0; done < size * width; done += along) {
      const result = add(stripe, done);
      const isOne = lt(result, size * width);
      const number = b.letScalar("result", along <= size * width - done ? result : min(result, size * width - 1));
      const [i, column] = [
        b.letScalar("row_of", floorDiv(number, width)),
        b.letScalar("column_of", mod(number, width)),
      ];
      const total = b.alloc("total", "f32", [1, p.sums], "register");
      for (let q = 0; q < p.sums; q++)
        b.reduce(
          "sum",
          view(total, 0, q),
          view(parts, place, add(add(mul(i, all), q * width), column), range(0, along)),
        );
      const n = add(mul(own, width), column);
      const valid: ScalarExpr[] = [select(isOne, 1, 0), sub(p.columns, n)];
      storeSums(context, total, range(add(from, i), 1), n, valid, 1);
    }
    // What is read here is not written for the next rows before all have read it.
    b.barrier();
  });
}
