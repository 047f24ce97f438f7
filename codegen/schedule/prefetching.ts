import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { NextPanel, RegisterMatmul, Storage } from "../target.ts";
import { add, floorDiv, int, lt, mul, select } from "../tile/fold.ts";
import { balancedRows } from "./balance.ts";
import type { Fetched, SumsContext } from "./sums.ts";

/** A block of a packed product at one of its panels. */
interface Place extends Pick<SumsContext, "b" | "p" | "depth"> {
  /** Rows of tiles, largest first, and of the present matrix. */
  readonly sizes: readonly number[];
  readonly count: ScalarExpr;
  readonly panel: ScalarExpr;
  readonly next: ScalarExpr;
}

/** What a tile of so many rows, which begins at a row, prefetches. */
type Prefetching = (size: number, row: ScalarExpr) => Fetched | undefined;

/** What the tiles of a block prefetch while they are multiplied, as the target's description says. */
export function prefetching(place: Place, matmul: RegisterMatmul, dtype: Storage): Prefetching {
  const { prefetch } = matmul;
  if (!prefetch) return () => undefined;
  const ahead = matmul.dot[dtype]?.ahead;
  if (prefetch.kind === "next panel") return nextPanel(place, matmul, prefetch, dtype, ahead);
  return place.p.offsets
    ? shares(place, ahead)
    : () => (ahead === undefined ? undefined : { panel: place.panel, ahead });
}

function nextPanel(
  { b, p, count, panel, next }: Place,
  matmul: RegisterMatmul,
  prefetch: NextPanel,
  dtype: Storage,
  ahead: number | undefined,
): Prefetching {
  const balanced = p.offsets ? balancedRows(matmul, prefetch, dtype) : undefined;
  // Below the balance the hint names the present panel, and so does nothing.
  const fetched = balanced === undefined ? undefined : b.letScalar("next", select(lt(count, balanced), panel, next));
  return (size) => {
    if (size >= prefetch.tile) return fetched && { panel: fetched };
    return ahead === undefined ? undefined : { panel, ahead };
  };
}

/** Parts of a step of k that shares of a panel are counted in. */
const PARTS = 4096;

/**
 * One tile goes through the present panel, `ahead` of itself; of several, each goes through its share of the next one, more slowly. What lies
 * ahead is ahead there too: panels follow each other.
 */
function shares({ b, p, depth, sizes, count, panel, next }: Place, ahead: number | undefined): Prefetching {
  const [largest = 1] = sizes;
  const several = lt(largest, count);
  const steps = Math.floor(p.inner / depth);
  const fetched = b.letScalar("fetched", select(several, next, panel));
  return (size, row) => {
    const from = b.letScalar("fetched_from", select(several, floorDiv(mul(row, steps), count), 0));
    const pace = b.letScalar("fetched_pace", select(several, floorDiv(int(size * PARTS), count), PARTS));
    const at = (step: ScalarExpr): ScalarExpr => add(from, floorDiv(mul(step, pace), PARTS));
    return { panel: fetched, at, ...(ahead === undefined ? {} : { ahead }) };
  };
}
