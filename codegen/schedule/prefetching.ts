import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { dtypeBytes } from "../../ir/core/types.ts";
import { lineBytes, type NextPanel, type RegisterMatmul, type Storage } from "../target.ts";
import { range, view } from "../tile/builder.ts";
import { add, floorDiv, lt, mul, select } from "../tile/fold.ts";
import { balancedRows } from "./balance.ts";
import { matrixIn } from "./product.ts";
import { leastOfSeveral } from "./rows.ts";
import type { Fetched, SumsContext } from "./sums.ts";

/** A block of a packed product at one of its panels. */
interface Place extends Pick<SumsContext, "b" | "p" | "expert"> {
  /** Chunks of steps that a tile is multiplied in. */
  readonly chunks: number;
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

/**
 * One tile goes through the present panel, `ahead` of itself; of several, each goes through its share of the next one, which after an
 * expert's last panel is the next expert's first. A share is fetched in as many streams as a chunk of steps has lines to fetch, so that
 * each stream comes to its next line slowly: a CPU fetches some lines ahead by itself, within a page of 4 KiB, and is early enough then.
 */
function shares({ b, p, expert, sizes, count, panel, chunks }: Place, ahead = 0): Prefetching {
  const packed = p.blocks?.weights[0]?.codes ?? p.weights[0];
  if (packed === undefined || chunks === 0) return () => undefined;
  const lead = matrixIn(p, expert);
  const inPanel = packed.dims.slice(lead.length + 1).map((dim) => dim.constant ?? 1);
  const lineElements = lineBytes / dtypeBytes[packed.dtype];
  const lines = Math.ceil(inPanel.reduce((a, dim) => a * dim, 1) / lineElements);
  const perChunk = Math.ceil(lines / chunks);
  const [largest = 1] = sizes;
  const several = lt(largest, count);
  const start = view(packed, ...lead, panel, ...inPanel.slice(1).map(() => 0), range(0, 1));
  return (size, row) => {
    if (size < leastOfSeveral(sizes)) return { panel, ahead };
    const from = b.letScalar(
      "fetched_from",
      select(several, add(floorDiv(mul(row, lines), count), lines), Math.round(ahead / lineBytes)),
    );
    const pace = b.letScalar("fetched_pace", select(several, 1, perChunk));
    const apart = b.letScalar("streams_apart", select(several, chunks, 1));
    const streams = b.letScalar("streams", select(several, floorDiv(add(count, size * perChunk - 1), count), perChunk));
    const hint = (chunk: ScalarExpr): void => {
      const line = b.letScalar("line", add(from, mul(chunk, pace)));
      b.forLoop("stream", 0, streams, 1, (i) => b.prefetch(start, mul(add(line, mul(i, apart)), lineElements)));
    };
    return { hint };
  };
}
