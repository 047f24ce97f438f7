import { codeBytes, groupOf } from "../../ir/core/block-formats.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { StagedTile } from "../target.ts";
import { at, range, view, whole } from "../tile/builder.ts";
import { add, floorDiv, type Int, lt, min, mod, mul, select, sub } from "../tile/fold.ts";
import type { ViewIndex } from "../tile/types.ts";
import { matrixIn } from "./product.ts";
import { expertOf, positionOf, positionsOf, rowsOfMatrix, storeSums, sumsOf } from "./product-kernel.ts";
import { rowWalk } from "./rows.ts";
import type { Factors, SumsContext, TilePlace } from "./sums.ts";

/**
 * A product of many rows, whose lanes share what they read. A workgroup takes a tile of rows × panels. For some steps of k at a time its
 * lanes copy the tile's part of the activations to workgroup memory, and of the weights where several lanes multiply the same; then each
 * adds to the sums of its own rows and panel. Rows and panels beyond the last repeat it and are not stored, so that all lanes do the same.
 */
export function stagedKernel(
  common: Pick<SumsContext, "b" | "p" | "scratch" | "depth">,
  tile: StagedTile,
  rowBlocks: number,
): void {
  const { b, p, depth } = common;
  const [down, across] = tile.lanes;
  const lanes = down * across;
  const width = p.packed?.rows ?? 1;
  const panels = Math.ceil(p.columns / width);
  const isExact = panels % across === 0;
  const expert = expertOf(b, p);
  const part = b.grid("part", rowBlocks);
  const chunk = b.grid("chunk", Math.ceil(panels / across));
  const lane = b.grid("lane", lanes, { lanes: true });
  const laneRow = b.letScalar("lane_row", floorDiv(lane, across));
  const laneColumn = b.letScalar("lane_column", mod(lane, across));
  const own = b.letScalar("own_panel", add(mul(chunk, across), laneColumn));
  const clamped = (panel: ScalarExpr): ScalarExpr => (isExact ? panel : min(panel, panels - 1));
  const panel = b.letScalar("panel", clamped(own));
  const { first, count } = rowsOfMatrix(b, p, expert);
  const within = (row: ScalarExpr): ScalarExpr => add(first, min(row, sub(count, 1)));

  const context: SumsContext = { ...common, width, expert };
  const sums = sumsOf(context);
  const steps = stepsOf(context, depth);
  const { size, x: xGroups, w: wGroups, group } = steps;
  const staged = Math.max(1, Math.floor(tile.depth / size));
  const all = p.sums * width;
  const lead = matrixIn(p, expert);
  const head = p.heads ? [at(expert)] : [];
  const [w] = p.weights;
  if (w === undefined) throw new IrError("a product has no weight", "Give the product a weight.");

  /** How often every lane copies one of so many groups; there must be as many for each. */
  const rounds = (what: string, groups: number): number => {
    if (groups % lanes === 0) return groups / lanes;
    throw new IrError(
      `${groups} groups of ${what} are not shared evenly by ${lanes} lanes`,
      "Choose another number of lanes, or another depth.",
    );
  };
  /** Rows of a tile, and a few that fill the last round of copies. */
  const stagedRows = (height: number): number => {
    const each = lanes / gcd(lanes, staged * xGroups);
    return Math.ceil(height / each) * each;
  };
  const xs = b.alloc(
    "x_tile",
    p.x.dtype,
    [staged * xGroups, stagedRows(down * Math.max(...tile.rows)), group],
    "workgroup",
  );
  const ws = down > 1 ? b.alloc("w_tile", w.dtype, [staged * wGroups, all, across, group], "workgroup") : undefined;

  const copyRows = (from: ScalarExpr, height: number, unit: Int, isLast: boolean): void => {
    const held = staged * xGroups;
    b.forLoop("turn", 0, rounds("activations", held * stagedRows(height)), 1, (turn) => {
      const number = b.letScalar("group", add(mul(turn, lanes), lane));
      const g = b.letScalar("step_of", mod(number, held));
      const row = b.letScalar("row_of", floorDiv(number, held));
      const source = b.letScalar("source", positionOf(p, within(add(from, row))));
      const wanted = add(mul(unit, xGroups), g);
      const k = b.letScalar("k", mul(isLast ? min(wanted, steps.count * xGroups - 1) : wanted, group));
      const rest = p.inner % group !== 0 ? { valid: [1, sub(p.inner, k)] } : {};
      b.copy(view(xs, g, range(row, 1), range(0, group)), view(p.x, range(source, 1), ...head, range(k, group)), rest);
    });
  };
  const copyWeights = (unit: Int, isLast: boolean): void => {
    if (ws === undefined) return;
    const held = staged * wGroups;
    b.forLoop("turn", 0, rounds("weights", held * all * across), 1, (turn) => {
      const number = b.letScalar("group", add(mul(turn, lanes), lane));
      const column = b.letScalar("column_of", mod(number, all));
      const g = b.letScalar("step_of", mod(floorDiv(number, all), held));
      const c = b.letScalar("panel_of", floorDiv(number, all * held));
      const wanted = add(mul(unit, wGroups), g);
      const from = b.letScalar("from", isLast ? min(wanted, steps.count * wGroups - 1) : wanted);
      const source = b.letScalar("source", clamped(add(mul(chunk, across), c)));
      b.copy(
        view(ws, g, column, c, range(0, group)),
        view(w, ...lead, source, ...steps.place(from), column, range(0, group)),
      );
    });
  };
  const heights = tile.rows.map((r) => r * down);
  rowWalk(b, heights, count, { part, parts: rowBlocks })((height, row) => {
    const r = height / down;
    const top = b.letScalar("top", add(row, mul(laneRow, r)));
    const acc = b.alloc("acc", "f32", [r, all], "register");
    b.fill(whole(acc), 0);
    const positions = p.blocks?.x ? positionsOf(context, r, (i) => within(add(top, i))) : undefined;
    const place: TilePlace = { size: r, from: top, positions, panel, edge: false };
    const stage = (unit: Int, taken: number): void => {
      // All have read what was staged before.
      b.barrier();
      copyRows(row, height, unit, taken < staged);
      copyWeights(unit, taken < staged);
      b.barrier();
      b.forLoop("at", 0, taken, 1, (i) => {
        const step = b.letScalar("step", add(unit, i));
        const factors: Factors = {
          rows: (g) => view(xs, add(mul(i, xGroups), g), range(mul(laneRow, r), r), range(0, group)),
          columns: (g) =>
            ws
              ? view(ws, add(mul(i, wGroups), g), range(0, all), laneColumn, range(0, group))
              : view(w, ...lead, panel, ...steps.place(add(mul(step, wGroups), g)), range(0, all), range(0, group)),
        };
        sums.step(acc, { step, block: floorDiv(step, steps.perBlock) }, place, factors);
      });
    };
    const full = Math.floor(steps.count / staged) * staged;
    b.forLoop("stage", 0, full, staged, (unit) => stage(unit, staged));
    if (full < steps.count) stage(full, steps.count - full);
    const n = mul(own, width);
    const left = sub(count, top);
    const rows = isExact ? left : select(lt(own, panels), left, 0);
    storeSums(context, acc, range(add(first, top), r), n, [rows, p.columns % width === 0 ? width : sub(p.columns, n)]);
  });
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** What a step of k is made of: its elements, the groups of them that lie side by side, and where a group of weights lies in a panel. */
function stepsOf({ p }: SumsContext, depth: number) {
  const format = p.blocks?.weights[0]?.format;
  if (format === undefined)
    return {
      size: depth,
      perBlock: 1,
      count: Math.ceil(p.inner / depth),
      x: 1,
      w: 1,
      group: depth,
      place: (group: ScalarExpr): readonly ViewIndex[] => [at(group)],
    };
  const group = groupOf(format);
  const w = codeBytes(format, format.step) / group;
  return {
    size: format.step,
    perBlock: format.elements / format.step,
    count: p.inner / format.step,
    x: format.step / group,
    w,
    group,
    place: (g: ScalarExpr): readonly ViewIndex[] => [at(floorDiv(g, w)), at(mod(g, w))],
  };
}
