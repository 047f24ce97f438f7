import { Dim } from "../ir/core/dim.ts";
import { dtypeBytes } from "../ir/core/types.ts";
import type { MemoryPlan, Program, ProgramBuffer } from "./program.ts";
import type { Kernel } from "./tile/types.ts";

export const bufferBytes = (buffer: ProgramBuffer): Dim =>
  buffer.dims.reduce((a, b) => a.times(b), Dim.of(dtypeBytes[buffer.dtype]));

/**
 * Temporaries share workspace: each goes to the first slot whose buffers are all dead before it is written, greedily in the
 * order of first use. Sizes stay symbolic, so one plan serves every T; a slot is as large as its largest buffer.
 */
export function planMemory(buffers: readonly ProgramBuffer[], kernels: readonly Kernel[]): MemoryPlan {
  const slots: { buffers: string[]; bytes: Dim[]; freeAfter: number }[] = [];
  const lifetimes = buffers
    .filter((b) => b.role === "temporary")
    .map((buffer) => {
      const uses = kernels.flatMap((k, i) => (k.buffers.some((b) => b.name === buffer.name) ? [i] : []));
      return { buffer, first: uses[0] ?? 0, last: uses.at(-1) ?? 0 };
    })
    .sort((a, b) => a.first - b.first);
  for (const { buffer, first, last } of lifetimes) {
    const bytes = bufferBytes(buffer);
    const slot = slots.find((s) => s.freeAfter < first);
    if (slot) {
      slot.buffers.push(buffer.name);
      if (!slot.bytes.some((b) => b.equals(bytes))) slot.bytes.push(bytes);
      slot.freeAfter = last;
    } else {
      slots.push({ buffers: [buffer.name], bytes: [bytes], freeAfter: last });
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
