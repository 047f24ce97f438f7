import { Dim } from "../../../ir/core/dim.ts";
import { element, i32 } from "../../../ir/core/scalar.ts";
import { bufferBytes } from "../../memory.ts";
import type { Program, ProgramBuffer } from "../../program.ts";
import type { Kernel, Statement } from "../../tile/types.ts";
import { uniqueName } from "../../unique-name.ts";

/** Where the number of workgroups of a kernel lies on the device: three i32 from this element of a buffer on. */
export interface Indirect {
  readonly buffer: string;
  readonly first: number;
}

/** The most workgroups along a dimension that every device takes. */
const mostWorkgroups = 65_535;

/**
 * Lets kernels whose blocks are listed be started by what the device has counted: the kernel that writes a list also writes, for each kernel
 * that reads it, the workgroups of one entry and the number of entries.
 * @param perEntry workgroups of one entry of a kernel's list, where it is started as a whole and they are known
 */
export function withIndirect(
  program: Program,
  perEntry: (kernel: Kernel) => number | undefined,
): { readonly program: Program; readonly indirect: ReadonlyMap<string, Indirect> } {
  const indirect = new Map<string, Indirect>();
  const made: ProgramBuffer[] = [];
  const names = new Set(program.buffers.map((b) => b.name));
  const kernels = program.kernels.map((writer) => {
    const lists = writer.buffers.filter((b) => b.access !== "read").map((b) => b.name);
    const readers = program.kernels.flatMap((kernel) => {
      const listed = kernel.grid[0]?.listed;
      const count = listed !== undefined && lists.includes(listed) ? perEntry(kernel) : undefined;
      return listed === undefined || count === undefined || count > mostWorkgroups ? [] : [{ kernel, listed, count }];
    });
    if (readers.length === 0) return writer;
    const name = uniqueName("workgroups", names);
    const buffer: ProgramBuffer = { name, dtype: "i32", dims: [Dim.of(3 * readers.length)], role: "temporary" };
    made.push(buffer);
    const sets = readers.flatMap(({ kernel, listed, count }, i): Statement[] => {
      indirect.set(kernel.name, { buffer: name, first: 3 * i });
      const values = [i32(count), element(listed, "i32", [i32(0)]), i32(1)];
      return values.map((value, d) => ({ kind: "set", base: name, index: [i32(3 * i + d)], value }));
    });
    const read = new Set(readers.map((r) => r.listed));
    return {
      ...writer,
      buffers: [
        ...writer.buffers.map((b) => (read.has(b.name) ? { ...b, access: "readwrite" as const } : b)),
        { name, dtype: buffer.dtype, dims: buffer.dims, access: "write" as const },
      ],
      body: [...writer.body, ...sets],
    };
  });
  if (made.length === 0) return { program, indirect };
  const slots = made.map((b) => ({ buffers: [b.name], bytes: [bufferBytes(b)] }));
  return {
    program: {
      ...program,
      kernels,
      buffers: [...program.buffers, ...made],
      memory: { slots: [...program.memory.slots, ...slots] },
    },
    indirect,
  };
}
