import { dtypeBytes } from "../../ir/core/types.ts";
import type { Program, ProgramBuffer } from "../program.ts";
import type { Kernel } from "../tile/types.ts";
import { type Access, accessesOf } from "./access.ts";

/**
 * A weight that is too large for one buffer, in several: `step[0]` positions of its first dimension each, and where one of these is
 * still too large, `step[1]` of its second.
 */
export interface Cut {
  readonly buffer: ProgramBuffer;
  readonly dims: readonly number[];
  readonly step: readonly [number, number];
}

/** One of the buffers of a cut weight. */
export interface Part {
  readonly name: string;
  /** First position along the first two dimensions. */
  readonly from: readonly [number, number];
  /** Elements of the weight before it. It is as many of them, in a row, as its dims say. */
  readonly first: number;
  readonly dims: readonly number[];
}

/** The weights of a program that are cut, and those that are too large and cannot be, with the reason. */
export interface Cuts {
  readonly cuts: ReadonlyMap<string, Cut>;
  readonly uncut: ReadonlyMap<string, string>;
}

/** Parts begin at a multiple of so many bytes, as kernels read up to four elements of 32 bits at a time. */
const alignment = 16;

/** Cuts the weights, and what is made of them at load, that take more than `limit` bytes. */
export function findCuts(program: Program, limit: number): Cuts {
  const cuts = new Map<string, Cut>();
  const uncut = new Map<string, string>();
  const kernels = [...program.prepare, ...program.kernels];
  const accesses = new Map<Kernel, ReadonlyMap<string, readonly Access[]>>();
  const accessesIn = (kernel: Kernel): ReadonlyMap<string, readonly Access[]> => {
    const known = accesses.get(kernel) ?? accessesOf(kernel);
    accesses.set(kernel, known);
    return known;
  };
  for (const buffer of program.buffers) {
    if (buffer.role !== "weight" && buffer.role !== "prepared") continue;
    const dims = buffer.dims.flatMap((d) => d.constant ?? []);
    const bytes = dims.reduce((a, b) => a * b, dtypeBytes[buffer.dtype]);
    if (bytes <= limit) continue;
    const users = kernels.flatMap((kernel) => {
      const access = accessesIn(kernel).get(buffer.name);
      return access ? [{ kernel, access }] : [];
    });
    const found = cutOf(buffer, dims, users, limit);
    if (typeof found === "string") uncut.set(buffer.name, found);
    else cuts.set(buffer.name, found);
  }
  return { cuts, uncut };
}

function cutOf(
  buffer: ProgramBuffer,
  dims: readonly number[],
  users: readonly { readonly kernel: Kernel; readonly access: readonly Access[] }[],
  limit: number,
): Cut | string {
  const inner = (d: number): number => dims.slice(d + 1).reduce((a, b) => a * b, dtypeBytes[buffer.dtype]);
  /** The most positions along a dimension that parts may have, a multiple of what each kernel takes at once; 0 for none. */
  const stepAlong = (d: number): number | string => {
    let unit = alignment / gcd(alignment, inner(d));
    for (const { kernel, access } of users) {
      const a = access[d] ?? { kind: "any" };
      if (a.kind === "block") unit = lcm(unit, a.unit);
      // What stands before the choice runs in every launch.
      else if (d === 0 && a.kind === "chosen" && kernel.buffers.every((b) => b.access !== "readwrite")) continue;
      else if (a.kind !== "fixed" || a.low !== a.high)
        return `${kernel.origin.summary} reads it in an order that is known only when it runs`;
    }
    return Math.floor(limit / inner(d) / unit) * unit;
  };
  const whole = dims[1] ?? 1;
  const rows = stepAlong(0);
  if (typeof rows === "string") return rows;
  if (rows > 0) return { buffer, dims, step: [rows, whole] };
  const columns = dims.length > 1 ? stepAlong(1) : 0;
  if (typeof columns === "string") return columns;
  return columns > 0 ? { buffer, dims, step: [1, columns] } : "what a block reads of it is too large by itself";
}

/** The parts of a cut weight, in the order of its elements. */
export function partsOf({ buffer, dims, step }: Cut): readonly Part[] {
  const [rows = 1, columns = 1, ...rest] = dims;
  const element = rest.reduce((a, b) => a * b, 1);
  const made: Part[] = [];
  for (let r = 0; r < rows; r += step[0])
    for (let c = 0; c < columns; c += step[1])
      made.push({
        name: partName(buffer.name, made.length),
        from: [r, c],
        first: (r * columns + c) * element,
        dims: [Math.min(step[0], rows - r), Math.min(step[1], columns - c), ...rest].slice(0, dims.length),
      });
  return made;
}

/** The part that holds a position of the first two dimensions. */
export const partAt = ({ buffer, dims, step }: Cut, row: number, column: number): string =>
  partName(buffer.name, Math.floor(row / step[0]) * Math.ceil((dims[1] ?? 1) / step[1]) + Math.floor(column / step[1]));

const partName = (buffer: string, i: number): string => `${buffer}.${i}`;
const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
const lcm = (a: number, b: number): number => (a / gcd(a, b)) * b;
