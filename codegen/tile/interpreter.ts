import { IrError } from "../../ir/core/diagnostic.ts";
import { isFloat } from "../../ir/core/types.ts";
import type { Program, ProgramBuffer } from "../program.ts";
import { slotOf } from "./evaluate.ts";
import { compileList, compileSteps, type Executor } from "./execute.ts";
import { isLaunched } from "./launch.ts";
import { Memory, makeArray, storesDType, type Trap, type TypedArray } from "./memory.ts";
import { sharedTiles, sharesMemory } from "./shape.ts";
import type { Kernel } from "./types.ts";

export type { TypedArray } from "./memory.ts";

/** How to run kernels. Results must not depend on it. */
export interface RunOptions {
  /** The order of blocks; default forward. */
  readonly order?: "forward" | "reverse" | { readonly seed: number };
  /** Whether blocks of one launch that touch one element, one of them writing, trap; default true. */
  readonly races?: boolean;
}

/**
 * Runs a checked kernel over buffers, by name, which it changes. f32 arithmetic is rounded at each step; mma sums in order
 * of k, each product and addition rounded once. `dims` gives the run-time symbols.
 * Throws IrError for: a missing buffer or one of another size or type, a position outside a buffer or tile, a read of a tile's
 * element that has no value, an i32 overflow, and (option) a race between blocks. The message names the block and the statement.
 */
export function runKernel(
  kernel: Kernel,
  buffers: ReadonlyMap<string, TypedArray>,
  dims: Readonly<Record<string, number>>,
  options: RunOptions = {},
): void {
  const extents = kernel.grid.map((g) => g.extent.evaluate(dims));
  const blocks = extents.reduce((a, b) => a * b, 1);
  /** The machine that runs. */
  let present: Executor | undefined;
  const trap: Trap = (problem) => {
    const block = kernel.grid.map(({ name }) => `${name} = ${present?.values[slotOf(present, name)]}`).join(", ");
    throw new IrError(
      `kernel ${kernel.name}, block (${block}): ${problem}, in: ${present?.place()}`,
      "Mend the schedule that made this kernel.",
    );
  };
  const memories = new Map<string, Memory>();
  for (const b of kernel.buffers) {
    const shape = b.dims.map((d) => d.evaluate(dims));
    const data = expectArray(b, shape, buffers.get(b.name));
    const races = options.races === false || b.access === "read" ? undefined : b.access === "write" ? "writes" : "all";
    memories.set(b.name, new Memory(b.name, b.dtype, shape, data, { trap, local: false, races }));
  }
  const globals = [...memories.values()];
  const shared = sharedTiles(kernel.body).map(({ name, dtype, dims: own }) => {
    const data = makeArray(
      dtype,
      own.reduce((a, b) => a * b, 1),
    );
    const memory = new Memory(name, dtype, own, data, { trap, local: true, padded: true, races: "all", who: "lane" });
    memories.set(name, memory);
    return memory;
  });
  const machineOf = (): Executor => {
    const machine: Executor = { values: [], slots: new Map(), memories: new Map(memories), place: () => "grid", trap };
    for (const [name, value] of Object.entries(dims)) machine.values[slotOf(machine, name)] = value;
    return machine;
  };
  const listed = kernel.grid[0]?.listed;
  const list = listed === undefined ? undefined : (buffers.get(listed) as Int32Array);
  const inner = extents.slice(1).reduce((a, b) => a * b, 1);
  const hasWork = (block: number): boolean => list === undefined || Math.floor(block / inner) < list[0];
  const enter = (machine: Executor, block: number): void => {
    present = machine;
    let rest = block;
    for (let d = extents.length - 1; d >= 0; d--) {
      const value = rest % extents[d];
      machine.values[slotOf(machine, kernel.grid[d].name)] = d === 0 && list ? list[value + 1] : value;
      rest = Math.floor(rest / extents[d]);
    }
    for (const memory of globals) memory.block = block + 1;
  };
  const order = options.order ?? "forward";
  if (!sharesMemory(kernel)) {
    const machine = machineOf();
    const body = compileList(kernel.body, machine);
    for (const block of blockOrder(blocks, order)) {
      if (!hasWork(block)) continue;
      enter(machine, block);
      body();
    }
    return;
  }
  // Each lane of a workgroup runs up to the next barrier, in the order that blocks have.
  const width = extents.at(-1) ?? 1;
  const lanes = Array.from({ length: width }, machineOf);
  const bodies = lanes.map((machine) => compileSteps(kernel.body, machine));
  const turns = blockOrder(width, order);
  for (const group of blockOrder(blocks / width, order)) {
    if (!hasWork(group * width)) continue;
    for (const memory of shared) memory.undefineAll();
    const steps = bodies.map((body) => body());
    for (let isDone = false; !isDone; ) {
      for (const memory of shared) memory.forgetRaces();
      const stops = new Set<unknown>();
      for (const lane of turns) {
        enter(lanes[lane], group * width + lane);
        for (const memory of shared) memory.block = lane + 1;
        const { done, value } = steps[lane].next();
        stops.add(done ? undefined : value);
        isDone = done === true;
      }
      if (stops.size > 1) trap("lanes of one workgroup wait at different barriers");
    }
  }
}

/**
 * Runs a checked program: its preparation, then its kernels. Weights and inputs are given by buffer name and not changed.
 * Returns all buffers, so that a wrong result can be followed to the kernel that made it. What nobody writes is NaN, or the
 * least i32.
 */
export function runProgram(
  program: Program,
  given: {
    readonly weights: ReadonlyMap<string, TypedArray>;
    readonly inputs: ReadonlyMap<string, TypedArray>;
    readonly dims: Readonly<Record<string, number>>;
  },
  options: RunOptions = {},
): Map<string, TypedArray> {
  const buffers = new Map<string, TypedArray>();
  for (const b of program.buffers) {
    const dims = b.dims.map((d) => d.evaluate(given.dims));
    if (b.role === "input") buffers.set(b.name, expectArray(b, dims, given.inputs.get(b.name)));
    else if (b.role === "weight") buffers.set(b.name, expectArray(b, dims, given.weights.get(b.name)));
    else buffers.set(b.name, poisoned(b, dims));
  }
  for (const { name, alias } of program.buffers) {
    const shared = alias === undefined ? undefined : buffers.get(alias);
    if (shared !== undefined) buffers.set(name, shared);
  }
  for (const kernel of [...program.prepare, ...program.kernels])
    if (isLaunched(kernel, given.dims)) runKernel(kernel, buffers, given.dims, options);
  return buffers;
}

function expectArray(
  buffer: Pick<ProgramBuffer, "name" | "dtype">,
  dims: readonly number[],
  array: TypedArray | undefined,
): TypedArray {
  const length = dims.reduce((a, b) => a * b, 1);
  const type = `${buffer.dtype}[${dims.join(", ")}]`;
  if (array === undefined)
    throw new IrError(`expected buffer ${buffer.name}: ${type}, found none`, "Give every buffer.");
  if (!storesDType(array, buffer.dtype) || array.length !== length) {
    throw new IrError(
      `expected buffer ${buffer.name}: ${type}, found ${array.constructor.name} of ${array.length} elements`,
      "Give an array of this type and size; bf16 and f16 as their bits in a Uint16Array.",
    );
  }
  return array;
}

/** Values that show when they are used: NaN of any width, and the least i32. */
function poisoned(buffer: ProgramBuffer, dims: readonly number[]): TypedArray {
  const array = makeArray(
    buffer.dtype,
    dims.reduce((a, b) => a * b, 1),
  );
  if (isFloat(buffer.dtype)) array.fill(buffer.dtype === "f32" ? Number.NaN : 0x7fff);
  else if (buffer.dtype === "i32") array.fill(-(2 ** 31));
  return array;
}

function blockOrder(blocks: number, order: NonNullable<RunOptions["order"]>): Int32Array {
  const list = Int32Array.from({ length: blocks }, (_, i) => i);
  if (order === "reverse") return list.reverse();
  if (order === "forward") return list;
  const random = mulberry32(order.seed);
  for (let i = blocks - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

/** Numbers in [0, 1) from a seed. Source: Tommy Ettinger's mulberry32, public domain. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
