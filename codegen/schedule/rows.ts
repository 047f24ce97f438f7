import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { KernelBuilder } from "../tile/builder.ts";
import { add, eq, floorDiv, max, mod, mul, select, sub } from "../tile/fold.ts";

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
 * go in equal parts into as few tiles as there can be: 13 = 7 + 6, where 12 are the most. Else they are taken greedily, and where the
 * smallest size is not 1, its last tile reaches beyond the last row.
 */
export const rowWalk = (b: KernelBuilder, sizes: readonly number[], count: ScalarExpr, share: Share): Walk =>
  areAll(sizes) ? balanced(b, sizes, count, share) : (onTile) => walkGreedily(b, sizes, count, share, onTile);

const areAll = (sizes: readonly number[]): boolean => sizes.length > 2 && sizes.length === sizes[0];

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
  const full = smaller.length === 0 ? count : b.letScalar("full", mul(floorDiv(count, largest), largest));
  b.forLoop("row", mul(part, largest), full, parts * largest, (row) => onTile(largest, row));
  if (smaller.length === 0) return;
  const rest = (): void => {
    let start = full;
    for (const size of smaller) {
      const from = start;
      const end =
        size === smaller.at(-1) ? count : b.letScalar("end", add(from, mul(floorDiv(sub(count, from), size), size)));
      b.forLoop("row", from, end, size, (row) => onTile(size, row));
      start = end;
    }
  };
  if (parts === 1) rest();
  else b.when(eq(mod(floorDiv(count, largest), parts), part), rest);
}
