import type { Backend, Evidence, LoadedLayer } from "../../backends/backend.ts";
import { type Compilation, compileLayer } from "../../codegen/compile.ts";
import { bufferBytes } from "../../codegen/memory.ts";
import { programWeights } from "../../codegen/program-weights.ts";
import type { Storage, Target } from "../../codegen/target.ts";
import { layerHash } from "../../ir/core/hash.ts";
import type { Layer } from "../../ir/core/layer.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import { requireMemory } from "../machine.ts";
import { unmoorVersion } from "../version.ts";
import { type Case, casesFor } from "./cases.ts";
import { compareWithOracle, differingOutput } from "./compare.ts";

/** What one case showed on one target. */
export interface CheckedCase {
  readonly name: string;
  readonly dims: Readonly<Record<string, number>>;
  readonly max_error_over_bound: number;
  readonly ambiguous_tokens: number;
  readonly disagreements: readonly string[];
}

export interface CheckedTarget {
  readonly target: string;
  readonly isa: string;
  /** The schedules that tuning chose; absent for the default ones. */
  readonly tuning?: string;
  readonly evidence: Evidence;
  readonly device: string;
  readonly storage: Storage;
  /** Hash of the layer after each pass; "source" is the layer as written. */
  readonly hashes: readonly { readonly pass: string; readonly hash: string }[];
  readonly tools: Readonly<Record<string, string>>;
  readonly cases: readonly CheckedCase[];
  readonly agrees: boolean;
}

/**
 * Evidence that targets compute what a layer says: "checked", not "proved". Every case can be made again from the seed.
 */
export interface Certificate {
  readonly format: "unmoor-certificate-1";
  readonly layer: string;
  readonly params: Readonly<Record<string, number>>;
  readonly seed: number;
  readonly unmoor: string;
  readonly node: string;
  readonly targets: readonly CheckedTarget[];
  readonly agrees: boolean;
}

/** The certificate of a layer, from what its targets showed. */
export const certify = (layer: Layer, seed: number, targets: readonly CheckedTarget[]): Certificate => ({
  format: "unmoor-certificate-1",
  layer: layer.name,
  params: layer.params,
  seed,
  unmoor: unmoorVersion(),
  node: process.versions.node,
  targets,
  agrees: targets.every((t) => t.agrees),
});

/**
 * Compiles a layer for one target, runs every case on it and compares with the oracle. The result must also be the same
 * bits with one thread as with all.
 * @param onCase told of each case when it is done
 */
export async function checkTarget(
  layer: Layer,
  backend: Backend,
  target: Target,
  storage: Storage,
  seed: number,
  onCase: (name: string) => void = () => {},
): Promise<CheckedTarget> {
  const compilation = compileLayer(layer, target, storage);
  requireMemory(
    weightBytes(compilation) * 4,
    `checking ${layer.name} at these sizes`,
    "choose smaller sizes with --param",
  );
  const loaded = await backend.load(compilation.program, compilation.target);
  const cases: CheckedCase[] = [];
  try {
    for (const each of casesFor(compilation, seed)) {
      cases.push(await checkCase(compilation, loaded, each));
      onCase(each.name);
    }
    return {
      target: backend.name,
      isa: target.isa,
      ...(target.tuning === undefined ? {} : { tuning: target.tuning }),
      evidence: loaded.evidence,
      device: loaded.device,
      storage,
      hashes: compilation.stages.map((s) => ({ pass: s.pass?.name ?? "source", hash: layerHash(s.layer) })),
      tools: loaded.tools ?? {},
      cases,
      agrees: cases.every((c) => c.disagreements.length === 0),
    };
  } finally {
    await loaded.close();
  }
}

async function checkCase(compilation: Compilation, loaded: LoadedLayer, each: Case): Promise<CheckedCase> {
  const { name, dims, tensors, tied } = each;
  const { weights, inputs } = splitByRole(compilation.stored, tensors);
  await loaded.setWeights(programWeights(compilation.program, weights));
  const { outputs } = await loaded.run(inputs, dims);
  const agreement = compareWithOracle(compilation, tensors, dims, outputs, tied);
  const disagreements = [...agreement.disagreements];
  if (each.repeated) {
    const again = await loaded.run(inputs, dims, { threads: 1 });
    const changed = differingOutput(outputs, again.outputs);
    if (changed !== undefined) disagreements.push(`${changed}: another run, with one thread, gave other bits`);
  }
  return {
    name,
    dims,
    max_error_over_bound: agreement.maxErrorOverBound,
    ambiguous_tokens: agreement.ambiguousTokens,
    disagreements,
  };
}

/** A layer's tensors, weights apart from inputs. */
export function splitByRole(
  layer: Layer,
  tensors: ReadonlyMap<string, Tensor>,
): { readonly weights: ReadonlyMap<string, Tensor>; readonly inputs: ReadonlyMap<string, Tensor> } {
  const of = (role: string) => {
    const names = new Set(layer.args.filter((a) => a.role === role).map((a) => a.value.name));
    return new Map([...tensors].filter(([name]) => names.has(name)));
  };
  return { weights: of("weight"), inputs: of("input") };
}

/** Bytes of all weights of a compiled layer, in their storage. */
export const weightBytes = ({ program }: Compilation): number =>
  program.buffers.filter((b) => b.role === "weight").reduce((sum, b) => sum + bufferBytes(b).evaluate(), 0);
