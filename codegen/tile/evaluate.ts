import { type ScalarExpr, scalarOp } from "../../ir/core/scalar.ts";
import type { Memory, Trap } from "./memory.ts";
import type { View } from "./types.ts";

/** What closures of one kernel share while it runs. */
export interface Machine {
  /** Values of scalars, by slot. */
  readonly values: number[];
  /** Slots of scalars, by name. */
  readonly slots: Map<string, number>;
  readonly memories: Map<string, Memory>;
  readonly trap: Trap;
}

export type Evaluate = () => number;

/** Gives a scalar its slot; a name that has one keeps it. */
export function slotOf(machine: Machine, name: string): number {
  const known = machine.slots.get(name);
  if (known !== undefined) return known;
  const slot = machine.values.push(0) - 1;
  machine.slots.set(name, slot);
  return slot;
}

export function memoryOf(machine: Machine, name: string): Memory {
  const memory = machine.memories.get(name);
  return memory ?? machine.trap(`${name} is no buffer or tile`);
}

/** An expression as a closure. f32 results are rounded at each step; i32 results that leave 32 bits trap. */
export function compileScalar(expr: ScalarExpr, machine: Machine): Evaluate {
  switch (expr.kind) {
    case "const": {
      const value = expr.type === "f32" ? Math.fround(expr.value) : expr.value;
      return () => value;
    }
    case "var": {
      const { values } = machine;
      const slot = slotOf(machine, expr.name);
      return () => values[slot];
    }
    case "element": {
      const memory = memoryOf(machine, expr.base);
      const offset = compileOffset(memory, expr.index, machine);
      return () => memory.load(offset());
    }
    case "apply": {
      const { evaluate } = scalarOp(expr.op);
      const [a = zero, b = zero, c = zero] = expr.args.map((x) => compileScalar(x, machine));
      if (expr.type === "f32") return () => Math.fround(evaluate(a(), b(), c()));
      if (expr.type === "bool") return () => evaluate(a(), b(), c());
      const { trap } = machine;
      return () => {
        const value = evaluate(a(), b(), c());
        if (value !== (value | 0)) trap(`${expr.op} gives ${value}, which is no i32`);
        return value;
      };
    }
  }
}

const zero = (): number => 0;

/** The offset of one element; positions outside the base trap. */
export function compileOffset(memory: Memory, index: readonly ScalarExpr[], machine: Machine): Evaluate {
  const positions = index.map((i) => compileScalar(i, machine));
  return () => {
    let offset = 0;
    for (let d = 0; d < positions.length; d++) {
      const position = positions[d]();
      if (position < 0 || position >= memory.dims[d]) outside(memory, d, position, machine);
      offset += position * memory.strides[d];
    }
    return offset;
  };
}

function outside(memory: Memory, dimension: number, position: number, machine: Machine): never {
  return machine.trap(
    `position ${position} lies outside dimension ${dimension} of ${memory.name} [${memory.dims.join(", ")}]`,
  );
}

/** A view ready to be resolved to offsets. */
export interface Access {
  readonly memory: Memory;
  readonly shape: readonly number[];
  readonly size: number;
  /**
   * Offsets of the view's elements, row-major; negative at or beyond `limits` (one per kept dimension), where nothing is
   * checked. The array is reused by the next call.
   */
  resolve(limits?: ArrayLike<number>): Int32Array;
}

export function compileView(view: View, machine: Machine): Access {
  const memory = memoryOf(machine, view.base);
  const kept = view.index.flatMap((i) => (i.kind === "at" ? [] : [i.extent]));
  const size = kept.reduce((a, b) => a * b, 1);
  const offsets = new Int32Array(size);
  const steps = view.index.map((index, d) => {
    const stride = memory.strides[d];
    if (index.kind === "gather") {
      const positions = memoryOf(machine, index.positions);
      return { extent: index.extent, stride, start: zero, positions };
    }
    const start = compileScalar(index.kind === "at" ? index.at : index.start, machine);
    return { extent: index.kind === "at" ? undefined : index.extent, stride, start, positions: undefined };
  });
  const resolve = (limits?: ArrayLike<number>): Int32Array => {
    if (limits && Array.prototype.some.call(limits, (limit) => limit <= 0)) return offsets.fill(-1);
    let filled = 1;
    let dimension = 0;
    offsets[0] = 0;
    for (let d = 0; d < steps.length; d++) {
      const { extent, stride, start, positions } = steps[d];
      const bound = memory.dims[d];
      if (extent === undefined) {
        const position = start();
        if (position < 0 || position >= bound) outside(memory, d, position, machine);
        for (let i = 0; i < filled; i++) if (offsets[i] >= 0) offsets[i] += position * stride;
        continue;
      }
      const taken = Math.min(extent, limits?.[dimension] ?? extent);
      dimension++;
      const first = start();
      if (positions === undefined && (first < 0 || first + taken > bound))
        outside(memory, d, first < 0 ? first : first + taken - 1, machine);
      // From the back, so that what is expanded is not yet overwritten; row i goes to i·extent ….
      for (let i = filled - 1; i >= 0; i--) {
        const offset = offsets[i];
        for (let j = extent - 1; j >= 0; j--) {
          const to = i * extent + j;
          if (offset < 0 || j >= taken) offsets[to] = -1;
          else if (positions === undefined) offsets[to] = offset + (first + j) * stride;
          else {
            const position = positions.load(j);
            if (position < 0 || position >= bound) outside(memory, d, position, machine);
            offsets[to] = offset + position * stride;
          }
        }
      }
      filled *= extent;
    }
    return offsets;
  };
  return { memory, shape: kept, size, resolve };
}
