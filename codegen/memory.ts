import { Dim } from "../ir/core/dim.ts";
import { dtypeBytes } from "../ir/core/types.ts";
import type { MemoryPlan, Program, ProgramBuffer } from "./program.ts";
import type { Kernel } from "./tile/types.ts";

export const bufferBytes = (buffer: ProgramBuffer): Dim =>
  buffer.dims.reduce((a, b) => a.times(b), Dim.of(dtypeBytes[buffer.dtype]));

const ownMemory = { input: "an input", weight: "a weight", prepared: "made at load", output: "a result" } as const;

/** Why a buffer cannot be the memory of another with its elements in other dimensions; undefined where it can. */
export function copyReason(from: ProgramBuffer, to: ProgramBuffer): string | undefined {
  if (from.role !== "temporary") return `${from.name} is ${ownMemory[from.role]}`;
  if (to.role !== "temporary") return `${to.name} is a result`;
  return bufferBytes(from).equals(bufferBytes(to)) ? undefined : "rows that products read are padded apart";
}

/**
 * Temporaries share workspace: each goes to the first slot whose buffers are all dead before it is written, greedily in the
 * order of first use. Sizes stay symbolic, so one plan serves every T; a slot is as large as its largest buffer. A buffer and its
 * aliases live and are placed together.
 */
export function planMemory(buffers: readonly ProgramBuffer[], kernels: readonly Kernel[]): MemoryPlan {
  const slots: { buffers: string[]; bytes: Dim[]; freeAfter: number }[] = [];
  const lifetimes = buffers
    .filter((b) => b.role === "temporary" && b.alias === undefined)
    .map((buffer) => {
      const names = [buffer, ...buffers.filter((b) => b.alias === buffer.name)].map((b) => b.name);
      const uses = kernels.flatMap((k, i) => (k.buffers.some((b) => names.includes(b.name)) ? [i] : []));
      return { buffer, names, first: uses[0] ?? 0, last: uses.at(-1) ?? 0 };
    })
    .sort((a, b) => a.first - b.first);
  for (const { buffer, names, first, last } of lifetimes) {
    const bytes = bufferBytes(buffer);
    const slot = slots.find((s) => s.freeAfter < first);
    if (slot) {
      slot.buffers.push(...names);
      if (!slot.bytes.some((b) => b.equals(bytes))) slot.bytes.push(bytes);
      slot.freeAfter = last;
    } else {
      slots.push({ buffers: names, bytes: [bytes], freeAfter: last });
    }
  }
  return { slots: slots.map(({ buffers: names, bytes }) => ({ buffers: names, bytes })) };
}

/** Workspace bytes at concrete dimensions, each slot aligned to 64 bytes. */
export const workspaceBytes = (program: Program, dims: Readonly<Record<string, number>>): number =>
  program.memory.slots.reduce(
    (sum, slot) => sum + Math.ceil(Math.max(...slot.bytes.map((b) => b.evaluate(dims))) / 64) * 64,
    0,
  );
