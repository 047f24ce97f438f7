import type { Compilation } from "../codegen/compile.ts";
import { goldenFiles } from "../codegen/emit/ascend/index.ts";
import { bufferBytes } from "../codegen/memory.ts";
import { programWeights } from "../codegen/program-weights.ts";
import { IrError } from "../ir/core/diagnostic.ts";
import type { Argument, Layer } from "../ir/core/layer.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { isReal } from "../ir/core/types.ts";
import { interpret } from "../ir/interpreter/index.ts";
import { choosersOf } from "../ir/ops/index.ts";
import { seededScale, seededTensor } from "./check/cases.ts";

/**
 * The most bytes of weights for which there is golden data: as files, and where main draws the matrices itself. The second bounds the
 * seconds that the oracle takes, since compiling waits for it.
 */
export interface GoldenLimits {
  readonly written: number;
  readonly drawn: number;
}
const usual: GoldenLimits = { written: 8 * 2 ** 20, drawn: 0 };
/** Those of a project whose main draws, up to so many MiB. */
export const withDraws = (mebibytes = 256): GoldenLimits => ({ ...usual, drawn: mebibytes * 2 ** 20 });

/** Tokens, and whatever else is known at run time only: several, and no multiple of a tile. */
const size = 5;

/** Seeds that are tried until rounding changes no choice of experts: results are then the same on every target. */
const seeds = 64;

/**
 * Inputs and weights of a layer, seeded, and what the oracle says that comes of them, as files of `goldenFiles`: path → bytes. Matrices
 * beyond what is written are named with their seed, for a main that draws them. Empty where the weights are larger still, or where
 * rounding changes a choice of experts with every seed; `withoutGolden` says which.
 * @throws IrError where a weight is larger than what one array holds
 */
export function goldenData(compilation: Compilation, limits: GoldenLimits = usual): ReadonlyMap<string, Uint8Array> {
  const { program, stored, rounded } = compilation;
  const bytes = weightBytes(compilation);
  if (bytes > Math.max(limits.written, limits.drawn)) return new Map();
  const isDrawn = ({ role, value }: Argument): boolean =>
    bytes > limits.written && role === "weight" && value.type.dims.length >= 2 && isReal(value.type.dtype);
  const dims = Object.fromEntries(program.symbols.map((s) => [s, size]));
  const found = unambiguous(rounded, stored, dims);
  if (found === undefined) return new Map();
  const { tensors, bounded, seed } = found;
  const trusted = new Map(
    choosersOf(stored.body).map(({ results }, i) => [results[0]?.name ?? "", choice(i)] as const),
  );
  const exact = interpret(stored, { dims, tensors, choices: trusted, trusted: true });

  const files = new Map<string, Uint8Array>();
  const put = (name: string, bytes: Uint8Array): void => {
    files.set(`${goldenFiles.folder}/${name}`, bytes);
  };
  put(goldenFiles.dims, new TextEncoder().encode(program.symbols.map((s) => `${s} ${size}\n`).join("")));
  const drawn = stored.args.filter(isDrawn);
  if (drawn.length > 0) {
    const lines = drawn.map((a) => `${a.value.name} ${seededScale(stored, a)}\n`);
    put(goldenFiles.drawn, new TextEncoder().encode(`seed ${seed}\n${lines.join("")}`));
  }
  const left = new Set(drawn.map((a) => a.value.name));
  for (const b of program.buffers) if (left.has(b.name)) for (const part of b.blocks?.parts ?? []) left.add(part);
  const own = programWeights(program, new Map([...tensors].filter(([name]) => !left.has(name))));
  for (const b of program.buffers) {
    const tensor = b.role === "weight" || b.role === "input" ? own.get(b.name) : undefined;
    if (tensor) put(goldenFiles.given(b.name), bytesOf(tensor.data));
  }
  const output = (buffer: string, want: Tensor | undefined, bound: Tensor | undefined): void => {
    if (want === undefined) throw new IrError(`the oracle has no result for ${buffer}`, "Return it from the layer.");
    put(goldenFiles.expected(buffer), bytesOf(Float64Array.from(want.data)));
    put(goldenFiles.bound(buffer), bytesOf(Float64Array.from(bound?.bound ?? new Float64Array(want.data.length))));
  };
  for (const { name, buffer } of program.results) output(buffer, exact.results.get(name), bounded.results.get(name));
  program.choices.forEach(({ ids, weights }, i) => {
    const [chosen, weighed] = exact.choices[i]?.results ?? [];
    output(ids, chosen, undefined);
    if (weights !== undefined) output(weights, weighed, bounded.choices[i]?.results[1]);
  });
  return files;

  function choice(i: number): Int32Array {
    const ids = bounded.choices[i]?.results[0]?.data;
    return ids instanceof Int32Array ? ids : new Int32Array();
  }
}

const weightBytes = ({ program }: Compilation): number =>
  program.buffers.filter((b) => b.role === "weight").reduce((sum, b) => sum + bufferBytes(b).evaluate(), 0);

/** Why there is no golden data, in words. */
export function withoutGolden(compilation: Compilation, { written, drawn }: GoldenLimits): string {
  const mebibytes = Math.ceil(weightBytes(compilation) / 2 ** 20);
  const most = Math.max(written, drawn) / 2 ** 20;
  return mebibytes > most
    ? `no golden data: the weights take ${mebibytes} MiB, and the oracle is made to wait for up to ${most} MiB. ` +
        `--golden ${mebibytes} makes it wait (half a minute for a GiB, and as much memory), --param chooses smaller sizes`
    : `no golden data: with each of ${seeds} seeds, rounding changes which experts some token takes`;
}

function unambiguous(rounded: Layer, stored: Layer, dims: Readonly<Record<string, number>>) {
  for (let seed = 1; seed <= seeds; seed++) {
    const tensors = new Map(stored.args.map((a) => [a.value.name, seeded(stored, a, dims, seed)]));
    const bounded = interpret(rounded, { dims, tensors });
    if (bounded.choices.every((c) => c.outcome.ambiguous.length === 0)) return { tensors, bounded, seed };
  }
  return undefined;
}

function seeded(layer: Layer, argument: Argument, dims: Readonly<Record<string, number>>, seed: number): Tensor {
  try {
    return seededTensor(layer, argument, dims, seed);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const shape = argument.value.type.dims.map((d) => d.evaluate({ ...layer.params, ...dims }));
    throw new IrError(
      `the weight ${argument.value.name} [${shape.join(", ")}] is larger than what the oracle holds in one array (${error.message})`,
      "Leave --golden out, or choose smaller sizes with --param.",
    );
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
