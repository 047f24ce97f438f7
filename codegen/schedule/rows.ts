import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { KernelBuilder } from "../tile/builder.ts";
import { add, eq, floorDiv, max, min, mod, mul, select, sub } from "../tile/fold.ts";

/** How the rows of one matrix are shared among blocks: block `part` of `parts`. */
interface Share {
  readonly part: ScalarExpr;
  readonly parts: number;
}

/** Visits the tiles: their rows, and the first of them. */
type Walk = (onTile: (size: number, row: ScalarExpr) => void) => void;

/**
 * Rows 0 … count in tiles of the given sizes, largest first, dealt to the blocks in turn. The walk may be taken more than once.
 *
 * A tile of few rows keeps arithmetic units waiting for its few sums and for weights. Where the sizes are all from the largest to 1, rows
 * go in equal parts into as few tiles as there can be: 13 = 7 + 6, where 12 are the most. Else they are taken greedily. Where the
 * smallest size is not 1, the last tile reaches beyond the last row: it is the smallest that holds all rows that are left.
 */
export const rowWalk = (b: KernelBuilder, sizes: readonly number[], count: ScalarExpr, share: Share): Walk =>
  areAll(sizes) ? balanced(b, sizes, count, share) : (onTile) => walkGreedily(b, sizes, count, share, onTile);

const areAll = (sizes: readonly number[]): boolean => sizes.length > 2 && sizes.length === sizes[0];

/** Whether the last tile may reach beyond the last row. */
export const reachBeyond = (sizes: readonly number[]): boolean => (sizes.at(-1) ?? 1) > 1;

/** The least rows of a tile beside which its matrix has others. */
export const leastOfSeveral = (sizes: readonly number[]): number =>
  areAll(sizes) ? Math.floor((sizes.length + 1) / 2) : 1;

/** The first tiles have one row more than the others, where the rows leave a rest. */
function balanced(b: KernelBuilder, sizes: readonly number[], count: ScalarExpr, { part, parts }: Share): Walk {
  const tiles = b.letScalar("tiles", floorDiv(add(count, sizes.length - 1), sizes.length));
  const least = b.letScalar("least", floorDiv(count, max(tiles, 1)));
  const larger = b.letScalar("larger", sub(count, mul(tiles, least)));
  // The block's first tile among the others.
  const others = b.letScalar("others", add(larger, mod(sub(part, larger), parts)));
  return (onTile) => {
    for (const size of sizes) {
      const isLarger = eq(least, size - 1);
      const end = select(isLarger, larger, select(eq(least, size), tiles, 0));
      b.forLoop("tile", select(isLarger, part, others), end, parts, (tile) =>
        onTile(size, b.letScalar("row", add(select(isLarger, 0, larger), mul(tile, size)))),
      );
    }
  };
}

function walkGreedily(
  b: KernelBuilder,
  [largest = 1, ...smaller]: readonly number[],
  count: ScalarExpr,
  { part, parts }: Share,
  onTile: Parameters<Walk>[0],
): void {
  const sizes = [largest, ...smaller];
  const beyond = reachBeyond(sizes);
  /** How many tiles of a size so many rows go into, where the next size is left the rest. */
  const tilesOf = (rows: ScalarExpr, i: number): ScalarExpr => {
    const [size = 1, next = 0] = sizes.slice(i);
    return floorDiv(beyond ? add(rows, size - 1 - next) : rows, size);
  };
  const ended = (name: string, end: ScalarExpr): ScalarExpr => b.letScalar(name, beyond ? min(end, count) : end);
  const full = smaller.length === 0 ? count : ended("full", mul(tilesOf(count, 0), largest));
  b.forLoop("row", mul(part, largest), full, parts * largest, (row) => onTile(largest, row));
  if (smaller.length === 0) return;
  const rest = (): void => {
    let start = full;
    for (const [i, size] of smaller.entries()) {
      const from = start;
      const end =
        size === smaller.at(-1) ? count : ended("end", add(from, mul(tilesOf(sub(count, from), i + 1), size)));
      b.forLoop("row", from, end, size, (row) => onTile(size, row));
      start = end;
    }
  };
  if (parts === 1) rest();
  else b.when(eq(mod(tilesOf(count, 0), parts), part), rest);
}
