import type { LoadedLayer } from "../../backends/backend.ts";
import type { Compilation } from "../../codegen/compile.ts";
import { routingsOf } from "../../codegen/program.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import { differingOutput } from "../../runtime/check/compare.ts";
import { burst } from "../burst.ts";
import { compareSample } from "../measure.ts";
import { between, type RoofProbe, type RoofsNow, timeAtRoofs } from "../roofs.ts";
import { median, type Spread, spread } from "../statistics.ts";
import { grouped, workOf } from "../work.ts";
import type { LoadedPeer } from "./peer.ts";

/** Us and one peer on the same layer, weights and tokens. */
export interface Pair {
  /** Ours; `bounds` is the layer compiled so that its bounds allow all roundings of the storage, those of other variants too. */
  readonly compilation: Compilation;
  readonly bounds: Compilation;
  readonly loaded: LoadedLayer;
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly peer: LoadedPeer;
}

export interface RoundOptions {
  readonly threads: number;
  readonly rounds: number;
  /** Time that each side gets per round, beyond its warm-up. */
  readonly budgetMs: number;
  /** Tokens that are compared with the oracle. */
  readonly sampledTokens: number;
  readonly probe: Pick<RoofProbe, "now">;
}

export interface Comparison {
  readonly tokens: number;
  /** ms of one call. */
  readonly ours: Spread;
  readonly peer: Spread;
  /** Time of the peer over ours, of the medians of each round. Above 1 we are faster. */
  readonly ratio: Spread;
  /** The least time that our work takes at the roofs of the same round, over our time. */
  readonly share: Spread;
  readonly read_gbps: Spread;
  readonly gflops: Spread;
  /** Largest error over what the storage's rounding may cause. */
  readonly our_error_over_bound: number;
  readonly peer_error_over_bound: number;
}

/**
 * Times both sides alternately on batches of tokens taken in turn. First both results are compared with the oracle.
 * @returns what disagrees, where something does: then nothing is timed
 */
export async function compareInRounds(
  pair: Pair,
  batches: readonly Tensor[],
  options: RoundOptions,
): Promise<Comparison | readonly string[]> {
  const checked = await checkBoth(pair, batches[0], options);
  if (!("ours" in checked)) return checked;
  const { peer } = pair;
  const tokens = batches[0]?.dims[0] ?? 0;
  const floors: { readonly flops: number; readonly bytes: number }[] = [];
  for (const x of batches) floors.push(await workOfBatch(pair, x, options.threads));
  const rounds: { ours: number; peer: number; roofs: RoofsNow; share: number }[] = [];
  const { storage } = pair.compilation;
  const roofsNow = () => options.probe.now(storage, options.threads);
  for (let round = 0; round < options.rounds; round++) {
    let roofs: RoofsNow = { read_gbps: 0, gflops: {} };
    const timeOurs = async () => {
      const before = await roofsNow();
      const times = await burst(batches, options.budgetMs, (x) => runOurs(pair, x, options.threads));
      roofs = between(before, await roofsNow());
      return times;
    };
    const timePeer = async () => {
      await peer.wake();
      const times = await burst(batches, options.budgetMs, (x) => peer.run(x.data as Float32Array, tokens));
      await peer.rest();
      return times;
    };
    const [first, second] = round % 2 === 0 ? [timeOurs, timePeer] : [timePeer, timeOurs];
    const [a, b] = [await first(), await second()];
    const [ours, theirs] = round % 2 === 0 ? [a, b] : [b, a];
    const atRoofs = median(floors.map((work) => timeAtRoofs(work, storage, roofs)));
    rounds.push({ ours: median(ours), peer: median(theirs), roofs, share: atRoofs / median(ours) });
  }
  return {
    tokens,
    ours: spread(rounds.map((r) => r.ours / 1e6)),
    peer: spread(rounds.map((r) => r.peer / 1e6)),
    ratio: spread(rounds.map((r) => r.peer / r.ours)),
    share: spread(rounds.map((r) => r.share)),
    read_gbps: spread(rounds.map((r) => r.roofs.read_gbps)),
    gflops: spread(rounds.map((r) => r.roofs.gflops[storage] ?? 0)),
    our_error_over_bound: checked.ours,
    peer_error_over_bound: checked.peer,
  };
}

const inputOf = ({ compilation }: Pair): string =>
  compilation.stored.args.find((a) => a.role === "input")?.value.name ?? "";

const sizesOf = ({ compilation }: Pair, x: Tensor): Record<string, number> =>
  Object.fromEntries(compilation.program.symbols.map((symbol) => [symbol, x.dims[0] ?? 0]));

async function runOurs(pair: Pair, x: Tensor, threads: number): Promise<number> {
  const { nanoseconds } = await pair.loaded.run(new Map([[inputOf(pair), x]]), sizesOf(pair, x), { threads });
  return nanoseconds[0] ?? Number.NaN;
}

/** The work of the experts that a batch hits. */
async function workOfBatch(pair: Pair, x: Tensor, threads: number) {
  const { compilation, loaded } = pair;
  const dims = sizesOf(pair, x);
  const { outputs } = await loaded.run(new Map([[inputOf(pair), x]]), dims, { threads });
  const choices = routingsOf(compilation.program).map(({ ids }) => Int32Array.from(outputs.get(ids)?.data ?? []));
  return workOf(grouped(compilation), dims, choices);
}

/** Compares both sides with the oracle on a sample of tokens: their largest errors over the bound, or what disagrees. */
async function checkBoth(
  pair: Pair,
  x: Tensor | undefined,
  { threads, sampledTokens }: RoundOptions,
): Promise<{ readonly ours: number; readonly peer: number } | readonly string[]> {
  const { compilation, bounds, loaded, weights, peer } = pair;
  if (!x) return ["there are no tokens"];
  const dims = sizesOf(pair, x);
  const inputs = new Map([[inputOf(pair), x]]);
  const ours = await loaded.run(inputs, dims, { threads });
  const again = await loaded.run(inputs, dims, { threads });
  const changed = differingOutput(ours.outputs, again.outputs);
  if (changed !== undefined) return [`unmoor: ${changed} has other bits in another run`];
  const agreement = compareSample(compilation, weights, inputs, dims, ours.outputs, sampledTokens);
  if (agreement.disagreements.length > 0) return agreement.disagreements.map((d) => `unmoor: ${d}`);
  await peer.wake();
  await peer.run(x.data as Float32Array, x.dims[0] ?? 0);
  const data = await peer.output();
  await peer.rest();
  const [result] = compilation.program.results;
  if (!result) return ["the layer has no result"];
  // The peer does not tell what it chose: it is compared along our choice, which the oracle has just confirmed.
  const outputs = new Map(ours.outputs).set(result.buffer, { dtype: "f32", dims: x.dims, data });
  const theirs = compareSample(bounds, weights, inputs, dims, outputs, sampledTokens);
  if (theirs.disagreements.length > 0) return theirs.disagreements.map((d) => `the peer: ${d}`);
  return { ours: agreement.maxErrorOverBound, peer: theirs.maxErrorOverBound };
}
