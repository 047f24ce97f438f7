import type { Program } from "../codegen/program.ts";
import { splitBlocks } from "../ir/core/block-formats.ts";
import type { Tensor } from "../ir/core/tensor.ts";

/** A layer's weights, by argument name, as the buffers of its program: those in a block format as their codes and their scales. */
export function programWeights(program: Program, weights: ReadonlyMap<string, Tensor>): ReadonlyMap<string, Tensor> {
  const made = new Map(weights);
  for (const { name, dtype, dims, blocks } of program.buffers) {
    const tensor = weights.get(name);
    if (blocks === undefined || !(tensor?.data instanceof Uint8Array)) continue;
    const { codes, scales } = splitBlocks(blocks.format, tensor.data);
    const shape = dims.map((d) => d.evaluate());
    made.set(name, { dtype, dims: shape, data: codes });
    made.set(blocks.scales, { dtype: "f16", dims: [...shape.slice(0, -1), scales.length / lead(shape)], data: scales });
  }
  return made;
}

const lead = (shape: readonly number[]): number => shape.slice(0, -1).reduce((a, b) => a * b, 1);
