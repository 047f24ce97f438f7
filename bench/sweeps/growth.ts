import type { Tensor } from "../../ir/core/tensor.ts";
import { burst } from "../burst.ts";
import { drawBatches } from "../drawn.ts";
import { type RoofProbe, timeAtRoofs } from "../roofs.ts";
import { median } from "../statistics.ts";
import { loadForSweep, type SweepSettings } from "./layer.ts";

/** OLMoE's shape. */
const params = { H: 2048, I: 1024, E: 64, K: 8 };

export interface ExpertsPoint {
  readonly experts: number;
  readonly ms: number;
}

/** A layer's time at the same hits, whatever the number of experts that are not hit. */
export interface ExpertsSweep {
  readonly tokens: number;
  readonly points: readonly ExpertsPoint[];
  /** The longest time over the shortest. */
  readonly growth: number;
}

/** Makes every token choose the first K experts: inputs are positive, and so are those experts' rows of the router alone. */
function preferFirst(router: Tensor | undefined): void {
  const width = router?.dims[1] ?? 1;
  router?.data.forEach((v, i, data) => {
    data[i] = i < params.K * width ? Math.abs(v) : -Math.abs(v);
  });
}

export async function sweepExperts(
  settings: SweepSettings,
  tokens: readonly number[],
  experts: readonly number[],
): Promise<readonly ExpertsSweep[]> {
  const points = tokens.map((): ExpertsPoint[] => []);
  for (const E of experts) {
    const layer = await loadForSweep("olmoe.ts", { ...params, E }, settings, (w) => preferFirst(w.get("router")));
    try {
      for (const [i, count] of tokens.entries()) {
        const batches = drawBatches(layer.compilation, count, 2).map((x) => ({ ...x, data: x.data.map(Math.abs) }));
        const [first] = batches;
        if (!first) continue;
        await layer.check(first);
        const { chosen } = await layer.work(first);
        if (new Set(chosen).size !== params.K) throw new Error(`${new Set(chosen).size} experts hit, not ${params.K}`);
        const found: number[] = [];
        for (let round = 0; round < settings.rounds; round++)
          found.push(median(await burst(batches, settings.budget, async (x) => (await layer.run(x)).nanoseconds)));
        points[i]?.push({ experts: E, ms: median(found) / 1e6 });
      }
    } finally {
      await layer.close();
    }
  }
  return tokens.map((count, i) => {
    const found = points[i] ?? [];
    const times = found.map((p) => p.ms);
    return { tokens: count, points: found, growth: Math.max(...times) / Math.min(...times) };
  });
}

export interface TokensPoint {
  readonly tokens: number;
  readonly ms: number;
  /** The least time that the experts hit take at the roofs, over the time. */
  readonly share: number;
}

/** A layer's time over the number of tokens, beside the roofline's. */
export interface TokensSweep {
  readonly points: readonly TokensPoint[];
  /** The most by which time grows faster than the roofline from one number of tokens to the next, and where. */
  readonly cliff: { readonly ratio: number; readonly from: number; readonly to: number };
}

export async function sweepTokens(
  settings: SweepSettings,
  tokens: readonly number[],
  probe: RoofProbe,
): Promise<TokensSweep> {
  const layer = await loadForSweep("olmoe.ts", params, settings);
  try {
    const cases = [];
    for (const count of tokens) {
      const batches = drawBatches(layer.compilation, count, 2);
      const [first] = batches;
      if (!first) continue;
      await layer.check(first);
      const work = [];
      for (const x of batches) work.push(await layer.work(x));
      cases.push({ tokens: count, batches, work, times: [] as number[], shares: [] as number[] });
    }
    for (let round = 0; round < settings.rounds; round++)
      for (const { batches, work, times, shares } of cases) {
        const now = await probe.now(settings.storage, settings.threads);
        const took = median(await burst(batches, settings.budget, async (x) => (await layer.run(x)).nanoseconds));
        times.push(took);
        shares.push(median(work.map((w) => timeAtRoofs(w, settings.storage, now))) / took);
      }
    const points = cases.map((c) => ({ tokens: c.tokens, ms: median(c.times) / 1e6, share: median(c.shares) }));
    return { points, cliff: worstCliff(points) };
  } finally {
    await layer.close();
  }
}

export function worstCliff(points: readonly TokensPoint[]): TokensSweep["cliff"] {
  let worst = { ratio: 0, from: 0, to: 0 };
  for (const [i, to] of points.entries()) {
    const from = points[i - 1];
    if (!from) continue;
    const ratio = from.share / to.share;
    if (ratio > worst.ratio) worst = { ratio, from: from.tokens, to: to.tokens };
  }
  return worst;
}
