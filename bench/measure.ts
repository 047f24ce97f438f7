import type { Evidence, LoadedLayer } from "../backends/backend.ts";
import type { Compilation } from "../codegen/compile.ts";
import { routingsOf } from "../codegen/program.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { seededTensor } from "../runtime/check/cases.ts";
import { compareWithOracle, differingOutput } from "../runtime/check/compare.ts";
import { takeRows } from "../runtime/tensors.ts";
import { grouped, workOf } from "./work.ts";

/** One figure. Rows of different kinds never share a column or an axis. */
export interface BenchRow {
  readonly target: string;
  readonly isa: string;
  /** The schedules that `unmoor tune` chose; absent for the default ones. */
  readonly tuning?: string;
  readonly kind: Evidence;
  readonly layer: string;
  readonly params: Readonly<Record<string, number>>;
  readonly storage: string;
  readonly tokens: number;
  readonly median_ms: number;
  readonly min_ms: number;
  readonly runs: number;
  /** Floating-point operations of the routing that happened. */
  readonly flops: number;
  /** Bytes that must pass at least: weights of experts that were hit, inputs and results, once each. */
  readonly bytes: number;
  readonly gflops: number;
  readonly gbps: number;
  readonly max_error_over_bound: number;
  readonly ambiguous_tokens: number;
  readonly device: string;
  /** Threads that the run was given; absent where the device decides. */
  readonly threads?: number;
}

export interface MeasureOptions {
  readonly seed: number;
  readonly threads?: number;
  /** Time for one figure beyond the warm-up; at least 5 runs are made where they fit into ten times as much. */
  readonly budgetMs: number;
  /** Tokens that are compared with the oracle. */
  readonly sampledTokens: number;
}

/** A figure, or what disagrees: a result that is wrong has no figure. */
export type Measurement =
  | { readonly ok: true; readonly row: BenchRow }
  | {
      readonly ok: false;
      readonly target: string;
      readonly isa: string;
      readonly tokens: number;
      readonly disagreements: readonly string[];
    };

const LEAST_RUNS = 5;
const MOST_RUNS = 1000;

/**
 * Times a loaded layer, whose weights are set, at one number of tokens. Before anything is timed its results are compared with
 * the oracle, on a sample of the tokens when there are many; after, the last run must have given the same bits as the first.
 * @param weights as the layer was given them
 */
export async function measure(
  compilation: Compilation,
  loaded: LoadedLayer,
  weights: ReadonlyMap<string, Tensor>,
  tokens: number,
  options: MeasureOptions,
): Promise<Measurement> {
  const { stored, program, target } = compilation;
  const dims = Object.fromEntries(program.symbols.map((symbol) => [symbol, tokens]));
  const inputs = seededInputs(compilation, tokens, options.seed);
  const threads = options.threads === undefined ? {} : { threads: options.threads };
  const first = await loaded.run(inputs, dims, threads);
  const agreement = compareSample(compilation, weights, inputs, dims, first.outputs, options.sampledTokens);
  const fail = (disagreements: readonly string[]): Measurement => ({
    ok: false,
    target: target.name,
    isa: target.isa,
    tokens,
    disagreements,
  });
  if (agreement.disagreements.length > 0) return fail(agreement.disagreements);
  const repeat = repeats(first.nanoseconds, options.budgetMs);
  const timed = await loaded.run(inputs, dims, { ...threads, repeat });
  const changed = differingOutput(first.outputs, timed.outputs);
  if (changed !== undefined) return fail([`${changed}: another run gave other bits`]);
  const times = [...timed.nanoseconds].map((ns) => ns / 1e6).sort((a, b) => a - b);
  const median = ((times[(times.length - 1) >> 1] ?? 0) + (times[times.length >> 1] ?? 0)) / 2;
  const choices = routingsOf(program).map(({ ids }) => Int32Array.from(timed.outputs.get(ids)?.data ?? []));
  const { flops, bytes } = workOf(grouped(compilation), dims, choices);
  return {
    ok: true,
    row: {
      target: target.name,
      isa: target.isa,
      ...(target.tuning === undefined ? {} : { tuning: target.tuning }),
      kind: loaded.evidence,
      layer: stored.name,
      params: stored.params,
      storage: compilation.storage,
      tokens,
      median_ms: median,
      min_ms: times[0] ?? 0,
      runs: times.length,
      flops,
      bytes,
      gflops: flops / median / 1e6,
      gbps: bytes / median / 1e6,
      max_error_over_bound: agreement.maxErrorOverBound,
      ambiguous_tokens: agreement.ambiguousTokens,
      device: loaded.device,
      ...threads,
    },
  };
}

/** Seeded weights of a compiled layer. */
export const seededWeights = ({ stored }: Compilation, seed: number): ReadonlyMap<string, Tensor> =>
  new Map(
    stored.args
      .filter((a) => a.role === "weight")
      .map((a) => [a.value.name, seededTensor(stored, a, {}, seed)] as const),
  );

/** Seeded inputs of a compiled layer, for a number of tokens. */
export function seededInputs(
  { stored, program }: Compilation,
  tokens: number,
  seed: number,
): ReadonlyMap<string, Tensor> {
  const dims = Object.fromEntries(program.symbols.map((symbol) => [symbol, tokens]));
  const inputs = stored.args.filter((a) => a.role === "input");
  return new Map(inputs.map((a) => [a.value.name, seededTensor(stored, a, dims, seed)] as const));
}

/** How many runs fill the budget: at least 5 unless they would take ten times as long. */
function repeats(warmUp: Float64Array, budgetMs: number): number {
  const once = Math.max((warmUp.at(-1) ?? 0) / 1e6, 1e-4);
  const filling = Math.ceil(budgetMs / once);
  const affordable = Math.max(1, Math.floor((10 * budgetMs) / once));
  return Math.min(MOST_RUNS, Math.max(filling, LEAST_RUNS), affordable);
}

/**
 * Compares a run with the oracle. A layer works token by token: where every input and output has the tokens as its first
 * dimension, a sample of them stands for all.
 * @param most tokens of the sample
 */
export function compareSample(
  compilation: Compilation,
  weights: ReadonlyMap<string, Tensor>,
  inputs: ReadonlyMap<string, Tensor>,
  dims: Readonly<Record<string, number>>,
  outputs: ReadonlyMap<string, Tensor>,
  most: number,
) {
  const [symbol, ...others] = compilation.program.symbols;
  const tokens = symbol === undefined ? 0 : (dims[symbol] ?? 0);
  const perToken = compilation.program.buffers
    .filter((b) => b.role === "input" || b.role === "output")
    .every((b) => b.dims[0]?.toString() === symbol && !b.dims.slice(1).some((d) => d.symbols.length > 0));
  if (symbol === undefined || others.length > 0 || !perToken || tokens <= most)
    return compareWithOracle(compilation, new Map([...weights, ...inputs]), dims, outputs);
  const rows = Array.from({ length: most }, (_, i) => Math.floor((i * tokens) / most));
  const sample = (tensors: ReadonlyMap<string, Tensor>) =>
    new Map([...tensors].map(([name, tensor]) => [name, takeRows(tensor, rows)] as const));
  const few = { [symbol]: rows.length };
  return compareWithOracle(compilation, new Map([...weights, ...sample(inputs)]), few, sample(outputs));
}
