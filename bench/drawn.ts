import type { Compilation } from "../codegen/compile.ts";
import { type BlockFormatName, codeBits, formatOf } from "../ir/core/block-formats.ts";
import { f32ToF16 } from "../ir/core/float16.ts";
import { elementArrays, type Tensor } from "../ir/core/tensor.ts";
import { dtypeBytes } from "../ir/core/types.ts";
import { seededScale, seededTensor } from "../runtime/check/cases.ts";
import { fillSeeded } from "../runtime/safetensors/index.ts";
import type { Arena } from "./arena.ts";

const fileDtypes = { f32: "F32", bf16: "BF16", f16: "F16" } as const;

/**
 * Seeded weights of a compiled layer, outside the JavaScript heap. Those in blocks are drawn as codes and scales: encoding numbers
 * would take minutes and change no time that is measured.
 */
export function drawWeights({ stored }: Compilation, arena: Arena, seed: number): ReadonlyMap<string, Tensor> {
  const weights = new Map<string, Tensor>();
  for (const argument of stored.args) {
    if (argument.role !== "weight") continue;
    const { name, type } = argument.value;
    const { dtype } = type;
    const dims = type.dims.map((d) => d.evaluate(stored.params));
    const count = dims.reduce((a, b) => a * b, 1);
    const scale = seededScale(stored, argument);
    if (dtype === "q8_0" || dtype === "q4_0") {
      const { bytes, elements } = formatOf(dtype, dims.at(-1) ?? 0);
      const data = arena.allocate((count / elements) * bytes);
      drawBlocks(data, dtype, scale, seed + weights.size);
      weights.set(name, { dtype, dims, data });
    } else if (dtype === "f32" || dtype === "bf16" || dtype === "f16") {
      const data = new elementArrays[dtype](arena.allocate(count * dtypeBytes[dtype]).buffer, 0, count);
      fillSeeded(data, { seed, name, dtype: fileDtypes[dtype], scale });
      weights.set(name, { dtype, dims, data });
    } else weights.set(name, seededTensor(stored, argument, {}, seed));
  }
  return weights;
}

/** Any codes, and scales from half of what gives values up to `scale` to all of it. */
function drawBlocks(data: Uint8Array, name: BlockFormatName, scale: number, seed: number): void {
  const format = formatOf(name, 0);
  const { bytes } = format;
  const words = new Uint32Array(data.buffer, data.byteOffset, data.byteLength >> 2);
  let state = Math.imul(seed, 0x9e3779b9) | 1;
  for (let i = 0; i < words.length; i++) {
    // xorshift32 (Marsaglia, "Xorshift RNGs")
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  const full = scale / 2 ** (codeBits(format) - 1);
  const scales = Uint16Array.from({ length: 256 }, (_, i) => f32ToF16(full * (0.5 + i / 512)));
  for (let at = 0; at < data.length; at += bytes) {
    const chosen = scales[data[at] ?? 0] ?? 0;
    data[at] = chosen & 0xff;
    data[at + 1] = chosen >> 8;
  }
}

/** Batches of the layer's input x [tokens, H] to be taken in turn: with few tokens each, other experts are hit from one to the next. */
export function drawBatches(compilation: Compilation, tokens: number, seed: number): readonly Tensor[] {
  const { stored } = compilation;
  const [x] = stored.args.filter((a) => a.role === "input");
  if (!x) throw new Error(`${stored.name} has no input`);
  const count = Math.max(1, Math.min(32, Math.floor(256 / tokens)));
  const { dtype, data, dims } = seededTensor(stored, x, { T: tokens * count }, seed);
  const [, H = 0] = dims;
  return Array.from({ length: count }, (_, i) => ({
    dtype,
    dims: [tokens, H],
    data: data.slice(i * tokens * H, (i + 1) * tokens * H),
  }));
}
