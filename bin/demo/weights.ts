import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { LackError } from "../../backends/backend.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import type { Layer } from "../../ir/core/layer.ts";
import { seededScale } from "../../runtime/check/cases.ts";
import { availableDisk, gigabytes } from "../../runtime/machine.ts";
import {
  openSafetensors,
  type SeededDtype,
  type SeededTensor,
  tensorBytes,
  writeSeededCheckpoint,
} from "../../runtime/safetensors/index.ts";
import { publishedTensors } from "../../runtime/weights.ts";

const dtypes: Readonly<Record<string, SeededDtype>> = { f32: "F32", bf16: "BF16", f16: "F16" };
/** A temporary file that nobody has written to for so long was left by a process that was killed. */
const STALE_MS = 10 * 60_000;

/** The tensors of a layer's checkpoint, in published naming, with the magnitudes of seeded weights. */
export function seededCheckpoint(layer: Layer): readonly SeededTensor[] {
  return publishedTensors(layer).map(({ argument, source, name, shape }) => {
    const { type } = argument.value;
    const dtype = dtypes[type.dtype];
    if (!dtype || source.format !== undefined)
      throw new IrError(
        `weight ${argument.value.name} is ${source.format ?? type.dtype}, and seeded weights are plain floats`,
        "Give it a float dtype, and name a plain tensor first.",
      );
    return { name, dtype, shape, scale: seededScale(layer, argument) };
  });
}

export const checkpointBytes = (tensors: readonly SeededTensor[]): number =>
  tensors.reduce((sum, { dtype, shape }) => sum + (tensorBytes(dtype, shape) ?? 0), 0);

/**
 * Makes a seeded checkpoint, unless the file is there, whole and the same.
 * @param onProgress hears how much is written; what it throws ends the writing, and leaves nothing behind
 * @returns whether it was written
 * @throws LackError where the disk has not enough room
 */
export async function ensureCheckpoint(
  path: string,
  tensors: readonly SeededTensor[],
  seed: number,
  onProgress: (done: number, total: number) => void,
): Promise<boolean> {
  if (await isComplete(path, tensors, seed)) return false;
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  await removeStale(path);
  const bytes = checkpointBytes(tensors);
  const free = await availableDisk(folder);
  if (free < bytes * 1.02)
    throw new LackError(
      `the weights take ${gigabytes(bytes)}, and the disk of ${folder} has ${gigabytes(free)} free`,
      `free ${gigabytes(bytes * 1.02 - free)} on that disk`,
    );
  await writeSeededCheckpoint(path, tensors, seed, { onProgress });
  return true;
}

async function isComplete(path: string, tensors: readonly SeededTensor[], seed: number): Promise<boolean> {
  const file = await openSafetensors(path).catch(() => undefined);
  if (!file) return false;
  try {
    return (
      file.metadata.get("seed") === String(seed) &&
      file.tensors.size === tensors.length &&
      tensors.every(({ name, dtype, shape }) => {
        const found = file.tensors.get(name);
        return found?.dtype === dtype && found.shape.join() === shape.join();
      })
    );
  } finally {
    await file.close();
  }
}

async function removeStale(path: string): Promise<void> {
  const folder = dirname(path);
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`.${basename(path)}.`) || !name.endsWith(".tmp")) continue;
    const { mtimeMs } = await stat(join(folder, name)).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > STALE_MS) await rm(join(folder, name), { force: true });
  }
}
