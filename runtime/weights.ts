import { LackError } from "../backends/backend.ts";
import type { Storage } from "../codegen/target.ts";
import { type Diagnostic, DiagnosticError } from "../ir/core/diagnostic.ts";
import { encodeBf16, encodeF16 } from "../ir/core/float16.ts";
import type { Argument, Layer } from "../ir/core/layer.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { dtypeBytes } from "../ir/core/types.ts";
import { formatShape, heldInstead, summarise } from "./messages.ts";
import { NativeMemory } from "./native.ts";
import type { SafetensorsFile, TensorInfo } from "./safetensors/index.ts";

/** Weights read from a file, in memory outside the V8 heap. `free` ends their life. */
export interface LoadedWeights {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly bytes: number;
  /** Tensors of the file that no weight uses. */
  readonly unused: readonly string[];
  free(): void;
}

/** Where a weight lies in a file: the tensors that make it up, one, or one per expert. */
interface Place {
  readonly argument: Argument;
  readonly dims: readonly number[];
  readonly keys: readonly string[];
}

/** The published names that make up an argument: one, or one per expert where the binding has `{e}`. */
export function publishedNames(layer: Layer, argument: Argument): readonly string[] {
  const pattern = layer.bindings[argument.value.name] ?? argument.value.name;
  if (!pattern.includes("{e}")) return [pattern];
  const experts = argument.value.type.dims[0]?.evaluate(layer.params) ?? 0;
  return Array.from({ length: experts }, (_, e) => pattern.replaceAll("{e}", String(e)));
}

/**
 * The storage that a file's own matrices suggest, for weights whose storage the author left open: bf16 where all of them
 * are BF16, else f32. Undefined where the file holds none of them.
 */
export function storageOf(layer: Layer, file: SafetensorsFile): Storage | undefined {
  const dtypes = layer.args
    .filter((a) => a.role === "weight" && a.storage === "auto" && a.value.type.dims.length >= 2)
    .flatMap((argument) => keysOf(layer, argument, file))
    .flatMap((key) => file.tensors.get(key)?.dtype ?? []);
  if (dtypes.length === 0) return undefined;
  return dtypes.every((d) => d === "BF16") ? "bf16" : "f32";
}

/**
 * Reads a layer's weights from a checkpoint by their published names, or whole by their argument names, stacks those of
 * experts, and converts them to the dtypes of `layer` (F32, F16 and BF16 are read). A tensor is also found by a unique name
 * ending in ".<published name>", as files of whole models prefix it.
 * @throws DiagnosticError naming every missing or misshapen tensor, LackError where memory is lacking
 */
export async function loadWeights(layer: Layer, file: SafetensorsFile): Promise<LoadedWeights> {
  const places = placesOf(layer, file);
  const memories: NativeMemory[] = [];
  const free = (): void => {
    for (const memory of memories) memory.free();
  };
  const tensors = new Map<string, Tensor>();
  let bytes = 0;
  try {
    for (const { argument, dims, keys } of places) {
      const dtype = argument.value.type.dtype;
      const size = dims.reduce((a, b) => a * b, dtypeBytes[dtype]);
      const memory = allocate(size);
      memories.push(memory);
      bytes += size;
      const part = size / Math.max(keys.length, 1);
      for (const [i, key] of keys.entries()) await readConverted(file, key, dtype, memory.bytesView(i * part, part));
      // One view of more than 2 GiB has no Uint8Array, but elements of 2 or 4 bytes may be that many.
      const { buffer } = memory.bytesView(0, 0);
      const data =
        dtypeBytes[dtype] === 2 ? new Uint16Array(buffer, 0, size / 2) : new Float32Array(buffer, 0, size / 4);
      tensors.set(argument.value.name, { dtype, dims, data });
    }
  } catch (error) {
    free();
    throw error;
  }
  const used = new Set(places.flatMap((p) => p.keys));
  return { tensors, bytes, unused: [...file.tensors.keys()].filter((k) => !used.has(k)), free };
}

function allocate(bytes: number): NativeMemory {
  try {
    return NativeMemory.allocate(Math.max(bytes, 1));
  } catch (error) {
    if (error instanceof TypeError || !(error instanceof Error)) throw error;
    const mend = error.message.includes("npm run setup")
      ? "npm run setup"
      : "free some memory, or choose smaller sizes";
    throw new LackError(`the weights cannot be loaded: ${error.message.split("\n")[0]}`, mend);
  }
}

const fileDtypes: Readonly<Record<string, string>> = { f32: "F32", bf16: "BF16", f16: "F16" };

async function readConverted(file: SafetensorsFile, key: string, dtype: string, target: Uint8Array): Promise<void> {
  if (file.tensors.get(key)?.dtype === fileDtypes[dtype]) {
    await file.readInto(key, target);
    return;
  }
  const values = await file.readF32(key);
  if (dtype === "f32") new Float32Array(target.buffer, target.byteOffset, values.length).set(values);
  else
    (dtype === "bf16" ? encodeBf16 : encodeF16)(
      values,
      new Uint16Array(target.buffer, target.byteOffset, values.length),
    );
}

/** Keys of a file that make up an argument; names that the file lacks are given as they are. */
function keysOf(layer: Layer, argument: Argument, file: SafetensorsFile): readonly string[] {
  const names = publishedNames(layer, argument);
  const keys = names.map((name) => (file.tensors.has(name) ? name : (suffixMatch(file, name) ?? name)));
  const own = argument.value.name;
  return file.tensors.has(own) && !keys.some((key) => file.tensors.has(key)) ? [own] : keys;
}

function placesOf(layer: Layer, file: SafetensorsFile): readonly Place[] {
  const problems: Diagnostic[] = [];
  const places = layer.args
    .filter((a) => a.role === "weight")
    .map((argument): Place => {
      const dims = argument.value.type.dims.map((d) => d.evaluate(layer.params));
      const keys = keysOf(layer, argument, file);
      const stacked = (layer.bindings[argument.value.name] ?? "").includes("{e}") && keys[0] !== argument.value.name;
      const expected = stacked ? dims.slice(1) : dims;
      for (const key of keys) problems.push(...problemsOf(layer, argument, file, key, expected));
      return { argument, dims, keys };
    });
  if (problems.length > 0) throw new DiagnosticError(summarise(problems));
  return places;
}

function problemsOf(
  layer: Layer,
  argument: Argument,
  file: SafetensorsFile,
  key: string,
  expected: readonly number[],
): readonly Diagnostic[] {
  const info: TensorInfo | undefined = file.tensors.get(key);
  const weight = argument.value.name;
  if (info === undefined) {
    return [
      {
        code: "U301",
        span: layer.span,
        message: `the weight ${weight} needs the tensor ${key}, which ${file.path} does not hold`,
        expected: `${key} ${formatShape(expected)}`,
        found: heldInstead(key, [...file.tensors.keys()]),
        help: `Give a file that holds it (under this name, or whole as ${weight}), or correct the layer's weight names.`,
      },
    ];
  }
  if (info.shape.length !== expected.length || info.shape.some((d, i) => d !== expected[i])) {
    return [
      {
        code: "U302",
        span: layer.span,
        message: `the tensor ${key} in ${file.path} has another shape than the weight ${weight}`,
        expected: formatShape(expected),
        found: formatShape(info.shape),
        help: "Give the sizes of this checkpoint with --param, or another file.",
      },
    ];
  }
  if (!["F32", "F16", "BF16"].includes(info.dtype)) {
    return [
      {
        code: "U303",
        span: layer.span,
        message: `the tensor ${key} in ${file.path} has a type that cannot be read as a weight`,
        expected: "F32, F16 or BF16",
        found: info.dtype,
        help: "Convert the checkpoint to one of these types.",
      },
    ];
  }
  return [];
}

function suffixMatch(file: SafetensorsFile, name: string): string | undefined {
  const matches = [...file.tensors.keys()].filter((k) => k.endsWith(`.${name}`));
  return matches.length === 1 ? matches[0] : undefined;
}
