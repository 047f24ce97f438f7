import { LackError } from "../backends/backend.ts";
import { blockWeights } from "../codegen/passes/storage.ts";
import type { Storage } from "../codegen/target.ts";
import { isPerExpert, sourcesOf } from "../ir/core/bindings.ts";
import { type BlockFormatName, isBlockFormat } from "../ir/core/block-formats.ts";
import type { Layer } from "../ir/core/layer.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { type DType, dtypeBytes, tensorBytes } from "../ir/core/types.ts";
import { copyBlocks, holdsBlocks } from "./checkpoint/blocks.ts";
import { checkZeros, type ElementArray, isVerbatim, openElements } from "./checkpoint/elements.ts";
import { numericLayout, runLength, scatter } from "./checkpoint/layout.ts";
import { type CheckpointMatch, matchWeights, type WeightMatch } from "./checkpoint/match.ts";
import { NativeMemory } from "./native.ts";
import type { SafetensorsFile } from "./safetensors/index.ts";
import { fromFloats } from "./tensors.ts";

/** Weights read from a file, in memory outside the V8 heap. `free` ends their life. */
export interface LoadedWeights {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly bytes: number;
  /** Weights whose elements the file has in a wider type than the layer. */
  readonly rounded: readonly string[];
  free(): void;
}

/** Tensors are read in pieces of this many elements. */
const PIECE = 2 ** 22;

/** The published tensors that a checkpoint of a layer has, each weight at the first place where it may be. */
export function publishedTensors(layer: Layer) {
  return layer.args
    .filter((a) => a.role === "weight")
    .flatMap((argument) => {
      const { name, type } = argument.value;
      const [source = { tensor: name }] = sourcesOf(name, layer.bindings[name]);
      const count = isPerExpert(source) ? (type.dims[0]?.evaluate(layer.params) ?? 0) : 1;
      const { shape } = numericLayout(layer, argument, source);
      return Array.from({ length: count }, (_, e) => ({
        argument,
        source,
        name: source.tensor.replace("{e}", String(e)),
        shape,
      }));
    });
}

/**
 * The storage that a file's own matrices suggest, for weights whose storage the author left open: of those that the target reads
 * the smallest that holds all of them exactly. Undefined where there is none, or the layer leaves none open.
 */
export function storageOf(
  layer: Layer,
  { weights }: CheckpointMatch,
  file: SafetensorsFile,
  storages: readonly Storage[],
): Storage | undefined {
  const open = weights.filter(({ argument: a }) => a.storage === "auto" && a.value.type.dims.length >= 2);
  if (open.length === 0) return undefined;
  const inBlocks = new Set(blockWeights(layer).map((a) => a.value.name));
  const holds = (match: WeightMatch, storage: Storage): boolean =>
    codings(match, file).every((coding) => exact[coding]?.includes(storage));
  const keeps = (storage: Storage): boolean => {
    if (!isBlockFormat(storage)) return open.every((match) => holds(match, storage));
    // What is not in blocks is f32.
    const own = open.filter((match) => inBlocks.has(match.argument.value.name));
    return own.length > 0 && own.every((match) => holdsBlocks(match, storage));
  };
  return storages.filter(keeps).sort((a, b) => dtypeBytes[a] - dtypeBytes[b])[0];
}

const codings = ({ source, keys }: WeightMatch, file: SafetensorsFile): readonly string[] =>
  source.format === undefined ? keys.map((key) => file.info(key).dtype) : [source.format];

/** What holds each coding exactly, beside its own blocks. */
const exact: Readonly<Record<string, readonly DType[]>> = {
  F32: ["f32"],
  F16: ["f32", "f16"],
  BF16: ["f32", "bf16"],
  mxfp4: ["f32", "bf16"],
  "fp8-128": ["f32"],
  int8: ["f32"],
  I32: ["i32"],
  I64: ["i32"],
};

/**
 * Reads a layer's weights from a checkpoint, and converts them to the layouts and dtypes of `layer`.
 * @param match where they are: of this layer, or of the same with other storage
 * @throws DiagnosticError as matchWeights does, LackError where memory is lacking
 */
export async function loadWeights(
  layer: Layer,
  file: SafetensorsFile,
  match: CheckpointMatch = matchWeights(layer, file),
): Promise<LoadedWeights> {
  const memories: NativeMemory[] = [];
  const free = (): void => {
    for (const memory of memories) memory.free();
  };
  const tensors = new Map<string, Tensor>();
  const rounded: string[] = [];
  let bytes = 0;
  try {
    for (const each of match.weights) {
      for (const key of each.zeros) await checkZeros(file, key);
      const { name } = each.argument.value;
      const argument = layer.args.find((a) => a.value.name === name) ?? each.argument;
      const { dtype } = argument.value.type;
      const dims = argument.value.type.dims.map((d) => d.evaluate(layer.params));
      const size = tensorBytes(dtype, dims);
      bytes += size;
      if (isBlockFormat(dtype)) {
        tensors.set(name, await inBlocks(file, each, dims, dtype));
        if (!holdsBlocks(each, dtype)) rounded.push(name);
        continue;
      }
      const memory = allocate(size);
      memories.push(memory);
      // One view of more than 2 GiB has no Uint8Array, but elements of 2 or 4 bytes may be that many.
      const { buffer } = memory.bytesView(0, 0);
      const data = elementArray(dtype, buffer, size / dtypeBytes[dtype]);
      await fill(file, each, dtype, data);
      tensors.set(name, { dtype, dims, data });
      if (codings(each, file).some((coding) => exact[coding]?.includes(dtype) === false)) rounded.push(name);
    }
  } catch (error) {
    free();
    throw error;
  }
  return { tensors, bytes, rounded, free };
}

/** A weight in a block format: as the file has it where that is the file's own format, else rounded to it by way of f32. */
async function inBlocks(
  file: SafetensorsFile,
  match: WeightMatch,
  dims: readonly number[],
  dtype: BlockFormatName,
): Promise<Tensor> {
  const elements = dims.reduce((a, b) => a * b, 1);
  if (holdsBlocks(match, dtype)) return { dtype, dims, data: await copyBlocks(file, match, dtype, elements) };
  const memory = allocate(4 * elements);
  try {
    const values = new Float32Array(memory.bytesView(0, 0).buffer, 0, elements);
    await fill(file, match, "f32", values);
    return fromFloats(values, dims, dtype);
  } finally {
    memory.free();
  }
}

function elementArray(dtype: DType, buffer: ArrayBuffer, length: number): ElementArray {
  if (dtype === "i32") return new Int32Array(buffer, 0, length);
  return dtypeBytes[dtype] === 2 ? new Uint16Array(buffer, 0, length) : new Float32Array(buffer, 0, length);
}

/** Reads the tensors of a weight, piece by piece, to where the weight has their elements. */
async function fill(file: SafetensorsFile, match: WeightMatch, dtype: DType, target: ElementArray): Promise<void> {
  const { source, keys, scales, layout } = match;
  const { shape } = layout;
  const elements = shape.reduce((a, b) => a * b, 1);
  const length = runLength(layout);
  // Pieces begin where blocks of 32 elements do.
  const runs = Math.max(32, 32 * Math.floor(PIECE / Math.max(1, length) / 32));
  for (const [e, key] of keys.entries()) {
    const coded = {
      key,
      shape,
      ...(source.format === undefined ? {} : { format: source.format, scales: scales[e] ?? "" }),
    };
    const offset = e * Math.floor(target.length / Math.max(1, keys.length));
    if (layout.inOrder && isVerbatim(file, coded, dtype)) {
      const { buffer, BYTES_PER_ELEMENT: size } = target;
      for (let start = 0; start < elements; start += PIECE) {
        const bytes = Math.min(PIECE, elements - start) * size;
        await file.readRange(key, start * size, new Uint8Array(buffer, (offset + start) * size, bytes));
      }
      continue;
    }
    const reader = await openElements(file, coded, dtype);
    for (let from = 0; from * length < elements; from += runs) {
      const start = from * length;
      const piece = await reader.read(start, Math.min(runs * length, elements - start));
      if (layout.inOrder) target.set(piece, offset + start);
      else scatter(layout, piece, from, target, offset);
    }
  }
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
