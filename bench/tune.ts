import { type Backend, type Evidence, LackError, type LoadedLayer } from "../backends/backend.ts";
import { type Compilation, compileLayer } from "../codegen/compile.ts";
import { programWeights } from "../codegen/program-weights.ts";
import type { Storage, Target } from "../codegen/target.ts";
import { DiagnosticError } from "../ir/core/diagnostic.ts";
import type { Layer } from "../ir/core/layer.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { weightBytes } from "../runtime/check/check.ts";
import { requireMemory } from "../runtime/machine.ts";
import { compareSample, seededInputs, seededWeights } from "./measure.ts";

/** How one schedule did beside the default. */
export interface TriedTuning {
  readonly tuning: string;
  /** Per number of tokens, how many times as fast as the default: medians over pairs of samples, and the quarter that did worst. */
  readonly speedups: readonly { readonly tokens: number; readonly ratio: number; readonly low: number }[];
  /** Why it cannot be chosen, in words. */
  readonly unfit?: string;
}

export interface TuningResult {
  readonly evidence: Evidence;
  readonly device: string;
  readonly tried: readonly TriedTuning[];
  /** The fastest schedule that is nowhere slower than the default; absent where that is the default. */
  readonly best?: { readonly target: Target; readonly tried: TriedTuning };
}

export interface TuneOptions {
  readonly seed: number;
  readonly threads?: number;
  /** Time in milliseconds for the pairs of one schedule and number of tokens. */
  readonly budgetMs: number;
  /** Tokens that are compared with the oracle. */
  readonly sampledTokens: number;
}

/** Pairs of samples of which medians are taken. */
const leastPairs = 5;
const mostPairs = 100;
/** A sample lasts at least so many steps of the timer: one step is then 1 % of it. */
const quantaPerSample = 100;
/** What counts as faster over all numbers of tokens, and as slower at one: less than this is noise. */
const gain = 1.03;
const loss = 0.97;

/**
 * Finds the schedule of a layer that is fastest on the device at hand. Each of the backend's tunings is compiled, held against
 * the oracle and timed in turns with the default, at each number of tokens until it is slower. The winner is timed once more, so that a
 * lucky run chooses nothing.
 * @param onTried told of each schedule when it is done
 * @throws LackError where this machine lacks something for the default
 */
export async function tuneLayer(
  layer: Layer,
  backend: Backend,
  isa: string,
  storage: Storage,
  tokens: readonly number[],
  options: TuneOptions,
  onTried: (tried: TriedTuning) => void = () => {},
): Promise<TuningResult> {
  const usual = compileLayer(layer, backend.target(isa), storage);
  requireMemory(weightBytes(usual) * 4, `tuning ${layer.name} at these sizes`, "choose smaller sizes with --param");
  const weights = seededWeights(usual, options.seed);
  const inputs = new Map(tokens.map((count) => [count, seededInputs(usual, count, options.seed)] as const));
  const base = await Contender.load(backend, usual, weights);
  try {
    for (const count of tokens) {
      const wrong = await base.wrong(inputs.get(count) ?? new Map(), count, options);
      if (wrong) throw new Error(`the default schedule disagrees with the oracle at T=${count}: ${wrong}`);
    }
    const attempt = async (target: Target): Promise<TriedTuning> => {
      const tuning = target.tuning ?? "";
      const compiled = compile(layer, target, storage);
      if ("unfit" in compiled) return { tuning, speedups: [], unfit: compiled.unfit };
      if (await sameSources(backend, usual, compiled))
        return { tuning, speedups: [], unfit: "the same kernels as the default" };
      const other = await loadOrLack(backend, compiled, weights);
      if ("unfit" in other) return { tuning, speedups: [], unfit: other.unfit };
      try {
        const speedups: TriedTuning["speedups"][number][] = [];
        for (const [count, given] of inputs) {
          const wrong = await other.wrong(given, count, options);
          if (wrong) return { tuning, speedups, unfit: `T=${count}: ${wrong}` };
          const speedup = await compare(base, other, given, count, options);
          speedups.push({ tokens: count, ...speedup });
          // What is slower once is not chosen, however it does elsewhere. By the median: where other work disturbs, a quarter of the
          // pairs is worse between equals, too.
          if (speedup.ratio < loss) return { tuning, speedups, unfit: `slower at T=${count}` };
        }
        return { tuning, speedups };
      } finally {
        await other.loaded.close();
      }
    };
    const tried: { target: Target; tried: TriedTuning }[] = [];
    for (const target of backend.tunings?.(isa) ?? []) {
      const result = await attempt(target);
      onTried(result);
      tried.push({ target, tried: result });
    }
    const result = { evidence: base.loaded.evidence, device: base.loaded.device, tried: tried.map((t) => t.tried) };
    const ranked = tried.filter((t) => isFaster(t.tried)).sort((a, b) => overall(b.tried) - overall(a.tried));
    for (const { target } of ranked) {
      const again = await attempt(target);
      if (isFaster(again)) return { ...result, best: { target, tried: again } };
    }
    return result;
  } finally {
    await base.loaded.close();
  }
}

/** The geometric mean over the numbers of tokens. */
const overall = ({ speedups }: TriedTuning): number =>
  Math.exp(speedups.reduce((sum, s) => sum + Math.log(s.ratio), 0) / speedups.length);

const isFaster = (tried: TriedTuning): boolean => tried.unfit === undefined && overall(tried) >= gain;

function compile(layer: Layer, target: Target, storage: Storage): Compilation | { readonly unfit: string } {
  try {
    return compileLayer(layer, target, storage);
  } catch (error) {
    const [first] = error instanceof DiagnosticError ? error.diagnostics : [];
    if (first === undefined) throw error;
    return { unfit: first.message };
  }
}

/** A schedule that the device lacks something for is no candidate there. */
async function loadOrLack(
  backend: Backend,
  compiled: Compilation,
  weights: ReadonlyMap<string, Tensor>,
): Promise<Contender | { readonly unfit: string }> {
  try {
    return await Contender.load(backend, compiled, weights);
  } catch (error) {
    if (!(error instanceof LackError)) throw error;
    return { unfit: error.message };
  }
}

async function sameSources(backend: Backend, a: Compilation, b: Compilation): Promise<boolean> {
  const [one, other] = await Promise.all([a, b].map(({ program, target }) => backend.emit(program, target)));
  return one?.size === other?.size && [...(one ?? [])].every(([path, text]) => other?.get(path) === text);
}

/** A schedule that is loaded with its weights. */
class Contender {
  readonly loaded: LoadedLayer;
  readonly #compilation: Compilation;
  readonly #weights: ReadonlyMap<string, Tensor>;

  private constructor(loaded: LoadedLayer, compilation: Compilation, weights: ReadonlyMap<string, Tensor>) {
    this.loaded = loaded;
    this.#compilation = compilation;
    this.#weights = weights;
  }

  static async load(
    backend: Backend,
    compilation: Compilation,
    weights: ReadonlyMap<string, Tensor>,
  ): Promise<Contender> {
    const loaded = await backend.load(compilation.program, compilation.target);
    try {
      await loaded.setWeights(programWeights(compilation.program, weights));
    } catch (error) {
      await loaded.close();
      throw error;
    }
    return new Contender(loaded, compilation, weights);
  }

  #dims(count: number): Record<string, number> {
    return Object.fromEntries(this.#compilation.program.symbols.map((symbol) => [symbol, count]));
  }

  /** What its results have that the oracle's have not, in words. */
  async wrong(
    inputs: ReadonlyMap<string, Tensor>,
    count: number,
    { sampledTokens, threads }: TuneOptions,
  ): Promise<string | undefined> {
    const dims = this.#dims(count);
    const { outputs } = await this.loaded.run(inputs, dims, threads === undefined ? {} : { threads });
    const { disagreements } = compareSample(this.#compilation, this.#weights, inputs, dims, outputs, sampledTokens);
    return disagreements[0];
  }

  /** Milliseconds of one run: the mean of `repeat`. */
  async sample(
    inputs: ReadonlyMap<string, Tensor>,
    count: number,
    repeat: number,
    threads: number | undefined,
  ): Promise<number> {
    const options = { repeat, ...(threads === undefined ? {} : { threads }) };
    const { nanoseconds } = await this.loaded.run(inputs, this.#dims(count), options);
    return nanoseconds.reduce((a, b) => a + b, 0) / nanoseconds.length / 1e6;
  }
}

/** Times two schedules in turns; which goes first changes with each pair. */
async function compare(
  base: Contender,
  other: Contender,
  inputs: ReadonlyMap<string, Tensor>,
  count: number,
  { budgetMs, threads }: TuneOptions,
): Promise<{ readonly ratio: number; readonly low: number }> {
  const sample = (which: Contender, repeat: number) => which.sample(inputs, count, repeat, threads);
  const once = Math.max(await sample(base, 1), await sample(other, 1), 1e-4);
  const repeat = Math.ceil((quantaPerSample * timerQuantum()) / once);
  const pairs = Math.min(mostPairs, Math.max(leastPairs, Math.floor(budgetMs / (2 * once * repeat))));
  const ratios: number[] = [];
  for (let i = 0; i < pairs; i++) {
    const first = await sample(i % 2 === 0 ? base : other, repeat);
    const second = await sample(i % 2 === 0 ? other : base, repeat);
    ratios.push(i % 2 === 0 ? first / second : second / first);
  }
  ratios.sort((a, b) => a - b);
  const at = (share: number): number => ratios[Math.floor(share * (ratios.length - 1))] ?? 0;
  return { ratio: at(0.5), low: at(0.25) };
}

/** The smallest step of the timer, in milliseconds: 0.1 in some browsers. */
function timerQuantum(): number {
  let least = Number.POSITIVE_INFINITY;
  let last = performance.now();
  for (let steps = 0; steps < 20; ) {
    const now = performance.now();
    if (now === last) continue;
    least = Math.min(least, now - last);
    last = now;
    steps++;
  }
  return least;
}
