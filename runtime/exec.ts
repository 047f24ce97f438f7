import type { Evidence } from "../backends/backend.ts";
import { compileLayer } from "../codegen/compile.ts";
import { routingsOf } from "../codegen/program.ts";
import type { Storage } from "../codegen/target.ts";
import type { Layer } from "../ir/core/layer.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import type { ChosenTarget } from "./backends.ts";
import { type MatchOptions, matchWeights } from "./checkpoint/match.ts";
import { loadInputs } from "./inputs.ts";
import { setCheckpointWeights } from "./prepared.ts";
import { openCheckpoint, type TensorData } from "./safetensors/index.ts";
import { toFloats } from "./tensors.ts";
import { targetFor } from "./tune/target.ts";
import { storageOf } from "./weights.ts";

export interface Execution {
  readonly storage: Storage;
  /** The schedules that tuning chose; undefined for the default ones. */
  readonly tuning: string | undefined;
  readonly evidence: Evidence;
  readonly device: string;
  readonly dims: Readonly<Record<string, number>>;
  /** By result name. */
  readonly results: ReadonlyMap<string, Tensor>;
  /** One for each router: what each token chose, ids and weights [T, K]. */
  readonly routings: readonly { readonly name: string; readonly ids: Tensor; readonly weights: Tensor }[];
  /** What stands before all published names in the weights' file. */
  readonly prefix: string;
  /** Weights that the file has in a wider type than they are stored in. */
  readonly rounded: readonly string[];
  /** Tensors of the files that the layer does not use. */
  readonly unused: { readonly weights: readonly string[]; readonly inputs: readonly string[] };
}

/**
 * Runs a layer once on the tensors of two files.
 * @param kept folder of weights that earlier runs prepared; none is used or written without it
 * @param storage default: as the file stores its matrices, where the target reads that
 * @throws DiagnosticError or SafetensorsError where the files do not fit the layer, LackError where the machine lacks something
 */
export async function execute(
  layer: Layer,
  chosenTarget: ChosenTarget,
  files: { readonly weights: string; readonly input: string },
  storage?: Storage,
  options: MatchOptions = {},
  kept?: string,
): Promise<Execution> {
  const { backend, isa } = chosenTarget;
  const { storages } = backend.target(isa);
  /** What was opened, to be closed in reverse. */
  const opened: { close(): unknown }[] = [];
  const open = <T extends { close(): unknown }>(resource: T): T => {
    opened.push(resource);
    return resource;
  };
  try {
    const weightsFile = open(await openCheckpoint(files.weights));
    const inputFile = open(await openCheckpoint(files.input));
    const match = matchWeights(layer, weightsFile, options);
    const chosen = storage ?? storageOf(layer, match, weightsFile, storages) ?? storages[0] ?? "f32";
    const target = await targetFor(chosenTarget, layer, chosen);
    const compilation = compileLayer(layer, target, chosen);
    const inputs = await loadInputs(compilation.stored, inputFile);
    const loaded = await backend.load(compilation.program, target);
    let weights: Awaited<ReturnType<typeof setCheckpointWeights>> | undefined;
    // The layer may read the weights where they are: it is closed first.
    open({ close: () => weights?.close() });
    open(loaded);
    weights = await setCheckpointWeights(backend, loaded, compilation, weightsFile, match, kept);
    const { outputs } = await loaded.run(inputs.tensors, inputs.dims);
    const output = (name: string): Tensor => {
      const tensor = outputs.get(name);
      if (!tensor) throw new Error(`the run gave no ${name}`);
      return tensor;
    };
    const { results } = compilation.program;
    return {
      storage: chosen,
      tuning: target.tuning,
      evidence: loaded.evidence,
      device: loaded.device,
      dims: inputs.dims,
      results: new Map(results.map(({ name, buffer }) => [name, output(buffer)])),
      routings: routingsOf(compilation.program).map((r) => ({
        name: r.ids,
        ids: output(r.ids),
        weights: output(r.weights),
      })),
      prefix: match.prefix,
      rounded: weights.rounded,
      unused: { weights: match.unused, inputs: inputs.unused },
    };
  } finally {
    for (const resource of opened.reverse()) await resource.close();
  }
}

/** A tensor as a file takes it: floats as F32, integers as I32. */
export function forFile(tensor: Tensor): TensorData {
  const shape = tensor.dims;
  if (tensor.data instanceof Int32Array) return { dtype: "I32", shape, data: tensor.data };
  return { dtype: "F32", shape, data: Float32Array.from(toFloats(tensor)) };
}

/** The rows of a matrix as nested arrays, for JSON. */
export function rowsOf(tensor: Tensor): number[][] {
  const [rows = 0, width = 1] = tensor.dims;
  const values = toFloats(tensor);
  return Array.from({ length: rows }, (_, r) => Array.from(values.subarray(r * width, (r + 1) * width)));
}
