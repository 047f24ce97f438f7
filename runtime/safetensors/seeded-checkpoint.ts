import { checkScale, fillSeeded, type SeededDtype } from "./seeded.ts";
import { SafetensorsWriter, type TensorSpec } from "./writer.ts";

export interface SeededTensor extends TensorSpec {
  readonly dtype: SeededDtype;
  /** As in SeededOptions. */
  readonly scale: number;
}

const CHUNK_BYTES = 2 ** 23;

/**
 * Writes a safetensors file of seeded random tensors, each as fillSeeded makes it.
 * @param options.onProgress called after each piece of 8 MiB with the bytes made so far and the bytes in all
 * @throws RangeError on a bad seed or scale, SafetensorsError when the destination cannot be written; nothing is left behind
 */
export async function writeSeededCheckpoint(
  path: string,
  tensors: readonly SeededTensor[],
  seed: number,
  options: { readonly onProgress?: (done: number, total: number) => void } = {},
): Promise<void> {
  const sizes = tensors.map(({ dtype, shape }) => shape.reduce((a, b) => a * b, dtype === "F32" ? 4 : 2));
  const total = sizes.reduce((a, b) => a + b, 0);
  const writer = await SafetensorsWriter.create(path, tensors, { metadata: { format: "pt", seed: String(seed) } });
  try {
    // Two buffers: one is filled while the other is written.
    const buffers = [new ArrayBuffer(CHUNK_BYTES), new ArrayBuffer(CHUNK_BYTES)];
    const pending = [Promise.resolve(), Promise.resolve()];
    let turn = 0;
    let done = 0;
    for (const [i, { name, dtype, scale }] of tensors.entries()) {
      checkScale(scale);
      const elementBytes = dtype === "F32" ? 4 : 2;
      for (let offset = 0; offset < sizes[i]; offset += CHUNK_BYTES) {
        await pending[turn];
        const chunk = new Uint8Array(buffers[turn], 0, Math.min(CHUNK_BYTES, sizes[i] - offset));
        fillSeeded(chunk, { seed, name, dtype, scale, start: offset / elementBytes });
        pending[turn] = writer.write(name, chunk);
        pending[turn].catch(() => {}); // awaited above, when its buffer is needed again
        turn = 1 - turn;
        done += chunk.length;
        options.onProgress?.(done, total);
      }
    }
    await Promise.all(pending);
    await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}
