import { Dim } from "../../../ir/core/dim.ts";
import { element, i32, variable } from "../../../ir/core/scalar.ts";
import { bufferBytes } from "../../memory.ts";
import type { Program, ProgramBuffer } from "../../program.ts";
import { eq } from "../../tile/fold.ts";
import { conditional } from "../../tile/shape.ts";
import type { Kernel, Statement } from "../../tile/types.ts";
import { uniqueName } from "../../unique-name.ts";

/** Where the number of workgroups of a kernel lies on the device: three i32 from this element of a buffer on. */
export interface Indirect {
  readonly buffer: string;
  readonly first: number;
}

/** The most workgroups along a dimension that every device takes. */
const mostWorkgroups = 65_535;

/** What one lane does: the first, which writes lists. */
function alone({ grid }: Kernel, body: readonly Statement[]): readonly Statement[] {
  const lane = grid.find((g) => g.lanes);
  return lane ? [conditional(eq(variable(lane.name, "i32"), i32(0)), body, [])] : body;
}

/**
 * Lets kernels whose blocks are listed be started by what the device has counted: a kernel that writes a list also writes, for each kernel
 * that reads it, the workgroups of one entry and the number of entries.
 * @param perEntry workgroups of one entry of a kernel's list, where it is started as a whole and they are known
 */
export function withIndirect(
  program: Program,
  perEntry: (kernel: Kernel) => number | undefined,
): { readonly program: Program; readonly indirect: ReadonlyMap<string, Indirect> } {
  const indirect = new Map<string, Indirect>();
  const names = new Set(program.buffers.map((b) => b.name));
  /** By the name of a list: where the counts are, and the workgroups of an entry for each reader. */
  const counts = new Map<string, { readonly name: string; readonly perEntry: number[] }>();
  for (const kernel of program.kernels) {
    const listed = kernel.grid[0]?.listed;
    const count = listed === undefined ? undefined : perEntry(kernel);
    if (listed === undefined || count === undefined || count > mostWorkgroups) continue;
    const found = counts.get(listed) ?? { name: uniqueName("workgroups", names), perEntry: [] };
    counts.set(listed, found);
    indirect.set(kernel.name, { buffer: found.name, first: 3 * found.perEntry.length });
    found.perEntry.push(count);
  }
  if (counts.size === 0) return { program, indirect };
  const made = [...counts].map(([list, { name, perEntry: each }]) => {
    const buffer: ProgramBuffer = { name, dtype: "i32", dims: [Dim.of(3 * each.length)], role: "temporary" };
    const sets = each.flatMap((count, i): Statement[] => {
      const values = [i32(count), element(list, "i32", [i32(0)]), i32(1)];
      return values.map((value, d) => ({ kind: "set", base: name, index: [i32(3 * i + d)], value }));
    });
    return { list, buffer, sets };
  });
  const kernels = program.kernels.map((writer) => {
    const written = made.filter(({ list }) => writer.buffers.some((b) => b.name === list && b.access !== "read"));
    if (written.length === 0) return writer;
    const read = new Set(written.map((w) => w.list));
    return {
      ...writer,
      buffers: [
        ...writer.buffers.map((b) => (read.has(b.name) ? { ...b, access: "readwrite" as const } : b)),
        ...written.map(({ buffer: { name, dtype, dims } }) => ({ name, dtype, dims, access: "write" as const })),
      ],
      body: [
        ...writer.body,
        ...alone(
          writer,
          written.flatMap((w) => w.sets),
        ),
      ],
    };
  });
  const slots = made.map(({ buffer }) => ({ buffers: [buffer.name], bytes: [bufferBytes(buffer)] }));
  return {
    program: {
      ...program,
      kernels,
      buffers: [...program.buffers, ...made.map((m) => m.buffer)],
      memory: { slots: [...program.memory.slots, ...slots] },
    },
    indirect,
  };
}
