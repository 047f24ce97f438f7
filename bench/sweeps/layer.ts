import { join } from "node:path";
import type { Backend, LoadedLayer } from "../../backends/backend.ts";
import { type Compilation, compileLayer } from "../../codegen/compile.ts";
import { routingsOf } from "../../codegen/program.ts";
import { programWeights } from "../../codegen/program-weights.ts";
import type { Storage } from "../../codegen/target.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import type { Cost } from "../../ir/ops/definition.ts";
import { weightBytes } from "../../runtime/check/check.ts";
import { requireMemory } from "../../runtime/machine.ts";
import { readLayer } from "../../runtime/source.ts";
import { installFolder } from "../../runtime/version.ts";
import { Arena } from "../arena.ts";
import { drawWeights } from "../drawn.ts";
import { compareSample } from "../measure.ts";
import { grouped, workOf } from "../work.ts";

export interface SweepSettings {
  readonly backend: Backend;
  readonly isa: string;
  readonly storage: Storage;
  readonly threads: number;
  /** How often each point is measured, in turn with the others. */
  readonly rounds: number;
  /** Time of each point in each round, in ms. */
  readonly budget: number;
}

/** A layer of examples/ with seeded weights, loaded. */
export interface SweepLayer {
  readonly compilation: Compilation;
  readonly weights: ReadonlyMap<string, Tensor>;
  /** One run; its time in ns and what it gave. */
  run(x: Tensor): Promise<{ readonly nanoseconds: number; readonly outputs: ReadonlyMap<string, Tensor> }>;
  /** The work of the experts that x hits, and what experts each slot chose. */
  work(x: Tensor): Promise<Cost & { readonly chosen: Int32Array }>;
  /** Throws where the results of x are not what the oracle says. */
  check(x: Tensor): Promise<void>;
  close(): Promise<void>;
}

const SEED = 1;
const SAMPLED_TOKENS = 2;

/** @param change of the weights before they are given */
export async function loadForSweep(
  example: string,
  params: Readonly<Record<string, number>>,
  { backend, isa, storage, threads }: SweepSettings,
  change: (weights: ReadonlyMap<string, Tensor>) => void = () => {},
): Promise<SweepLayer> {
  const layer = await readLayer({ file: join(installFolder(), "examples", example), params, cache: undefined });
  const compilation = compileLayer(layer, backend.target(isa), storage);
  requireMemory(weightBytes(compilation) * 3, `a sweep of ${example}`, "choose a smaller storage with --storage");
  const { program, target, stored } = compilation;
  const arena = new Arena();
  const weights = drawWeights(compilation, arena, SEED);
  change(weights);
  const loaded: LoadedLayer = await backend.load(program, target);
  const close = async (): Promise<void> => {
    await loaded.close();
    arena.free();
  };
  const input = stored.args.find((a) => a.role === "input")?.value.name ?? "";
  const sizes = (x: Tensor) => Object.fromEntries(program.symbols.map((symbol) => [symbol, x.dims[0] ?? 0]));
  const run = async (x: Tensor) => {
    const { nanoseconds, outputs } = await loaded.run(new Map([[input, x]]), sizes(x), { threads });
    return { nanoseconds: nanoseconds[0] ?? Number.NaN, outputs };
  };
  try {
    await loaded.setWeights(programWeights(program, weights));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    compilation,
    weights,
    run,
    async work(x) {
      const { outputs } = await run(x);
      const choices = routingsOf(program).map(({ ids }) => Int32Array.from(outputs.get(ids)?.data ?? []));
      return { ...workOf(grouped(compilation), sizes(x), choices), chosen: choices[0] ?? new Int32Array() };
    },
    async check(x) {
      const { outputs } = await run(x);
      const { disagreements } = compareSample(
        compilation,
        weights,
        new Map([[input, x]]),
        sizes(x),
        outputs,
        SAMPLED_TOKENS,
      );
      if (disagreements.length > 0) throw new Error(`${example} is wrong, and has no figure: ${disagreements[0]}`);
    },
    close,
  };
}
