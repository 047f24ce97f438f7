import { type BlockFormat, formatOf, splitBlocks } from "../ir/core/block-formats.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import type { Program } from "./program.ts";

/** A layer's weights, by argument name, as the buffers of its program: those in a block format as their codes and what is beside them. */
export function programWeights(program: Program, weights: ReadonlyMap<string, Tensor>): ReadonlyMap<string, Tensor> {
  const made = new Map(weights);
  const buffers = new Map(program.buffers.map((b) => [b.name, b]));
  for (const { name, blocks } of program.buffers) {
    const tensor = weights.get(name);
    if (blocks === undefined || !(tensor?.data instanceof Uint8Array)) continue;
    const format = formatOf(blocks.format, tensor.dims.at(-1) ?? 0);
    const { codes, parts } = splitBlocks(format, tensor.data);
    [name, ...blocks.parts].forEach((each, i) => {
      const buffer = buffers.get(each);
      const data = i > 0 ? parts[i - 1] : buffer?.dtype === "i8" ? signed(codes, format) : codes;
      if (buffer && data)
        made.set(each, { dtype: buffer.dtype, dims: buffer.dims.map((d) => d.evaluate()), data } as Tensor);
    });
  }
  return made;
}

/** Codes that count from 0, as what they stand for. */
const signed = (codes: Uint8Array, { offset }: BlockFormat): Int8Array =>
  Int8Array.from(codes, (code) => code - offset);
