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
 * the largest is a multiple of s, s − 1 goes as often into the rows as it must to leave a multiple of s: 13 = 4 + 9 and
 * 22 = 12 + 4 + 6 with s = 4. Multiples of s take the one part, the other sizes the other. Only 1, 2 and 5 rows
 * need tiles of 1 or 2 then.
 *
 * Where the smallest size is not 1, its last tile reaches beyond the last row.
 */
export function walkRows(
  b: KernelBuilder,
  sizes: readonly number[],
  count: ScalarExpr,
  { part, parts }: Share,
  body: (size: number, row: ScalarExpr) => void,
): void {
  const [largest = 1, ...smaller] = sizes;
  const s = upperNeighbour(sizes);
  const first = s === undefined ? count : b.letScalar("first_part", sub(count, mul(s - 1, multiples(count, s))));
  const full = smaller.length === 0 ? first : b.letScalar("full", mul(floorDiv(first, largest), largest));
  b.forLoop("row", mul(part, largest), full, parts * largest, (row) => body(largest, row));
  const rest = (): void => {
    let start = full;
    const walk = (size: number, limit: ScalarExpr): void => {
      const from = start;
      const end =
        size === smaller.at(-1) ? limit : b.letScalar("end", add(from, mul(floorDiv(sub(limit, from), size), size)));
      b.forLoop("row", from, end, size, (row) => body(size, row));
      start = end;
    };
    const inFirst = (size: number): boolean => s !== undefined && size % s === 0;
    for (const size of smaller) if (inFirst(size)) walk(size, first);
    for (const size of smaller) if (!inFirst(size)) walk(size, count);
  };
  if (smaller.length === 0) return;
  if (parts === 1) rest();
  else b.when(eq(mod(floorDiv(first, largest), parts), part), rest);
}

/** s > 2 where both s and s − 1 are sizes and the largest size is a multiple of s. */
const upperNeighbour = (sizes: readonly number[]): number | undefined =>
  sizes.find((s, i) => s > 2 && sizes[i + 1] === s - 1 && (sizes[0] ?? 0) % s === 0);

/** How many times s − 1 leave a multiple of s, as far as there are rows. */
const multiples = (count: ScalarExpr, s: number): ScalarExpr => min(mod(sub(int(0), count), s), floorDiv(count, s - 1));
