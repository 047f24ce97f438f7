import type { Tensor } from "../../ir/core/tensor.ts";
import { burst } from "../burst.ts";
import { drawBatches } from "../drawn.ts";
import { type Fit, fitLine, median } from "../statistics.ts";
import { loadForSweep, type SweepSettings } from "./layer.ts";

/** LongCat-Flash-Lite's shape with fewer experts. */
const params = { H: 3072, I: 1024, E: 64, Z: 32, K: 12, scale: 6 };

export interface ZeroPoint {
  /** Slots of each token, of 12, that went to an identity expert. */
  readonly hits: number;
  readonly ms: number;
}

/** What a layer's time is where 0 … K of each token's K experts are zero-computation experts. */
export interface ZeroSweep {
  readonly params: Readonly<Record<string, number>>;
  readonly tokens: number;
  readonly points: readonly ZeroPoint[];
  /** Of the time over the hits. */
  readonly fit: Fit;
  /** The slope over what one slot of K takes without identity hits: −1 where time falls in full proportion. */
  readonly relativeSlope: number;
}

/**
 * Steers the hits by the router's bias on the selection, as a trained model does: so many identity experts stand above all others, the rest of them
 * below, and FFN experts compete by their scores for the slots that are left.
 */
function steer(bias: Tensor, hits: number): void {
  const { E, Z } = params;
  for (let i = 0; i < E + Z; i++) bias.data[i] = i < E ? 0 : i < E + hits ? 10 : -10;
}

export async function sweepZeroExperts(
  settings: SweepSettings,
  tokens: readonly number[],
): Promise<readonly ZeroSweep[]> {
  const layer = await loadForSweep("longcat-moe.ts", params, settings);
  const bias = layer.weights.get("bias");
  if (!bias) throw new Error("longcat-moe.ts has no bias on the selection");
  try {
    const sweeps: ZeroSweep[] = [];
    for (const count of tokens) {
      const batches = drawBatches(layer.compilation, count, 2);
      const [first] = batches;
      if (!first) continue;
      const times = Array.from({ length: params.K + 1 }, (): number[] => []);
      for (let round = 0; round < settings.rounds; round++)
        for (const [hits, found] of times.entries()) {
          steer(bias, hits);
          if (round === 0) {
            await layer.check(first);
            const { chosen } = await layer.work(first);
            const identity = chosen.filter((id) => id >= params.E).length / count;
            if (identity !== hits) throw new Error(`${identity} identity hits per token, ${hits} were meant`);
          }
          found.push(median(await burst(batches, settings.budget, async (x) => (await layer.run(x)).nanoseconds)));
        }
      const points = times.map((found, hits) => ({ hits, ms: median(found) / 1e6 }));
      const fit = fitLine(points.map(({ hits, ms }) => [hits, ms]));
      const perSlot = (points[0]?.ms ?? Number.NaN) / params.K;
      sweeps.push({ params, tokens: count, points, fit, relativeSlope: fit.slope / perSlot });
    }
    return sweeps;
  } finally {
    await layer.close();
  }
}
