import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { KernelBuilder } from "../tile/builder.ts";
import { add, eq, floorDiv, int, min, mod, mul, sub } from "../tile/fold.ts";

/** How the rows of one matrix are shared among blocks: block `part` of `parts`. */
interface Share {
  readonly part: ScalarExpr;
  readonly parts: number;
}

/**
 * Rows 0 … count in tiles of the given sizes, largest first; several blocks share the largest tiles in turn, and the block
 * whose turn is next takes the rest.
 *
 * A tile of one or two rows keeps arithmetic units waiting for its few sums. Where the sizes hold neighbours s and s − 1, and
 * all above are multiples of s, the last rows therefore go to as many tiles of s − 1 rows as leave a multiple of s: 13 = 4 + 3·3
 * and 22 = 12 + 4 + 2·3 with sizes 12, 8, 4 and 3. Only 1, 2 and 5 need smaller tiles then.
 */
export function walkRows(
  b: KernelBuilder,
  sizes: readonly number[],
  count: ScalarExpr,
  { part, parts }: Share,
  body: (size: number, row: ScalarExpr) => void,
): void {
  const [largest = 1, ...smaller] = sizes;
  const neighbour = lowerNeighbour(sizes);
  const shared =
    neighbour === undefined ? count : b.letScalar("even", sub(count, mul(neighbour, tiles(count, neighbour))));
  const full = b.letScalar("full", mul(floorDiv(shared, largest), largest));
  b.forLoop("row", mul(part, largest), full, parts * largest, (row) => body(largest, row));
  const rest = (): void => {
    let start = full;
    for (const size of smaller) {
      const from = start;
      const limit = neighbour !== undefined && size > neighbour ? shared : count;
      const end = size === 1 ? count : b.letScalar("end", add(from, mul(floorDiv(sub(limit, from), size), size)));
      b.forLoop("row", from, end, size, (row) => body(size, row));
      start = end;
    }
  };
  if (parts === 1) rest();
  else b.when(eq(mod(floorDiv(shared, largest), parts), part), rest);
}

/** s − 1 where both s and s − 1 are sizes and all larger sizes are multiples of s. */
function lowerNeighbour(sizes: readonly number[]): number | undefined {
  const i = sizes.findIndex((s, k) => s > 2 && sizes[k + 1] === s - 1);
  const size = sizes[i];
  return size !== undefined && sizes.slice(0, i).every((s) => s % size === 0) ? size - 1 : undefined;
}

/** How many tiles of `size` rows leave a multiple of size + 1, as far as there are rows. */
const tiles = (count: ScalarExpr, size: number): ScalarExpr =>
  min(mod(sub(int(0), count), size + 1), floorDiv(count, size));
