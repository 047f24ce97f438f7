import { IrError } from "../../../ir/core/diagnostic.ts";
import type { DType } from "../../../ir/core/types.ts";
import { instructions as vectorInstructions } from "../instructions.ts";
import { type Curve, cubeDepth, curves, loadRate, loadStart, mmadStart, vectorStart } from "./figures.ts";
import type { Tensor } from "./memory.ts";

/** What an argument of an instruction may be. */
export type Operand = number | Tensor | Params;

/** A struct of parameters: its constructor's arguments, and fields that were set by name. */
export interface Params {
  readonly type: string;
  readonly args: readonly number[];
}

/** What an instruction does to a pipe. */
export type Work =
  | { readonly kind: "compute"; readonly pipe: "V" | "M" | "MTE1"; readonly cycles: number; readonly useful: number }
  | Transfer;

export interface Transfer {
  readonly kind: "transfer";
  readonly pipe: "MTE2" | "MTE3" | "FIX";
  readonly curve: Curve;
  readonly global: Tensor;
  readonly local: Tensor;
  readonly bytes: number;
  /** Runs of neighbouring bytes in global memory. */
  readonly rows: number;
  /** Bytes from one run to the next, in global and in local memory; NaN where it is not followed. */
  readonly pitch: { readonly global: number; readonly local: number };
  readonly write: boolean;
}

/**
 * The work of a call, or undefined where the name is no instruction of a pipe. Useful work is in cycles at the unit's peak,
 * without starts and padding; of a transfer it is its bytes.
 */
export function workOf(name: string, args: readonly Operand[]): Work | undefined {
  const own = byName.get(name);
  if (own) return own(args);
  const vector = vectorTable.get(name);
  return vector && vectorWork(name, vector, args);
}

const isTensor = (operand: Operand | undefined): operand is Tensor =>
  typeof operand === "object" && "memory" in operand;
const isParams = (operand: Operand | undefined): operand is Params => typeof operand === "object" && "args" in operand;

function tensorAt(name: string, args: readonly Operand[], i: number): Tensor {
  const operand = args[i];
  if (isTensor(operand)) return operand;
  throw new IrError(`argument ${i + 1} of ${name} is not a tensor`, "Give it a tensor.");
}

function paramsAt(name: string, args: readonly Operand[], i: number): readonly number[] {
  const operand = args[i];
  if (isParams(operand)) return operand.args;
  throw new IrError(`argument ${i + 1} of ${name} is not a struct of parameters`, "Give it its parameters.");
}

function transfer(
  name: string,
  dst: Tensor,
  src: Tensor,
  rows: number,
  rowBytes: number,
  pitch = { global: Number.NaN, local: Number.NaN },
): Work {
  const [to, from] = [dst.memory.space, src.memory.space];
  const route = routes[`${from} ${to}`];
  if (!route)
    throw new IrError(`the cost model has no figure for ${name} from ${from} to ${to}`, "Add its curve to figures.ts.");
  const write = to === "gm";
  const [global, local] = write ? [dst, src] : [src, dst];
  return { kind: "transfer", ...route, global, local, bytes: rows * rowBytes, rows, pitch, write };
}

/** The pipe and the curve of a transfer, from one memory space to another. */
const routes: Readonly<Record<string, Pick<Transfer, "pipe" | "curve">>> = {
  "gm ub": { pipe: "MTE2", curve: curves.gmToUb },
  "gm l1": { pipe: "MTE2", curve: curves.gmToL1 },
  "ub gm": { pipe: "MTE3", curve: curves.ubToGm },
  "l0c gm": { pipe: "FIX", curve: curves.l0cToGm },
};

const dtypes: Readonly<Record<string, DType>> = {
  float: "f32",
  half: "f16",
  bfloat16_t: "bf16",
  int8_t: "i8",
};

const byName = new Map<string, (args: readonly Operand[]) => Work>([
  [
    "DataCopyPad",
    (args) => {
      const [rows = 0, bytes = 0, from = 0, to = 0] = paramsAt("DataCopyPad", args, 2);
      const [dst, src] = [tensorAt("DataCopyPad", args, 0), tensorAt("DataCopyPad", args, 1)];
      // Gaps are in bytes in global memory, in units of 32 bytes in UB, where runs begin at multiples of 32.
      const [global, local] = src.memory.space === "gm" ? [from, to] : [to, from];
      const pitch = { global: bytes + global, local: Math.ceil(bytes / 32) * 32 + local * 32 };
      return transfer("DataCopyPad", dst, src, rows, bytes, pitch);
    },
  ],
  [
    "DataCopy",
    (args) => {
      const [dst, src, third] = [tensorAt("DataCopy", args, 0), tensorAt("DataCopy", args, 1), args[2]];
      if (typeof third === "number") return transfer("DataCopy", dst, src, 1, third * src.size);
      const [a = 0, b = 0, c = 0] = paramsAt("DataCopy", args, 2);
      // Nd2NzParams: matrices, rows, columns. DataCopyParams: blocks, and units of 32 bytes in each.
      return isParams(third) && third.type === "Nd2NzParams"
        ? transfer("DataCopy", dst, src, a * b, c * src.size)
        : transfer("DataCopy", dst, src, a, b * 32);
    },
  ],
  [
    "LoadData",
    (args) => {
      const dst = tensorAt("LoadData", args, 0);
      const [, fractals = 0] = paramsAt("LoadData", args, 2);
      const useful = (fractals * 512) / (dst.memory.space === "l0a" ? loadRate.l0a : loadRate.l0b);
      return { kind: "compute", pipe: "MTE1", cycles: loadStart + useful, useful };
    },
  ],
  [
    "Mmad",
    (args) => {
      const a = tensorAt("Mmad", args, 1);
      const [m = 0, n = 0, k = 0] = paramsAt("Mmad", args, 3);
      const depth = cubeDepth(dtypes[a.type] ?? "f16");
      const fractals = Math.ceil(m / 16) * Math.ceil(n / 16) * Math.ceil(k / depth);
      return { kind: "compute", pipe: "M", cycles: mmadStart + fractals, useful: (m * n * k) / (256 * depth) };
    },
  ],
  [
    "Fixpipe",
    (args) => {
      const [n = 0, m = 0] = paramsAt("Fixpipe", args, 2);
      const dst = tensorAt("Fixpipe", args, 0);
      return transfer("Fixpipe", dst, tensorAt("Fixpipe", args, 1), m, n * dst.size);
    },
  ],
]);

interface VectorCost {
  /** Bytes of an element that the cost is for. */
  readonly size: number;
  readonly cyclesPerElement: number;
  /** Which argument is the count. */
  readonly count: number;
}

const sizes: Readonly<Record<string, number>> = { f32: 4, i32: 4, f16: 2, bf16: 2, i16: 2 };

/** Costs by the instruction's name in Ascend C, from the table that the generator prints from. */
const vectorTable: ReadonlyMap<string, readonly VectorCost[]> = (() => {
  const table = new Map<string, VectorCost[]>();
  for (const { op, text, cost } of vectorInstructions) {
    const [name = "", holes = ""] = text.split("(");
    const count = holes.split(",").findIndex((hole) => hole.includes("{n}"));
    const entry = { size: sizes[op.split(".")[1] ?? ""] ?? 4, cyclesPerElement: cost, count };
    table.set(name, [...(table.get(name) ?? []), entry]);
  }
  return table;
})();

function vectorWork(name: string, costs: readonly VectorCost[], args: readonly Operand[]): Work {
  const dst = tensorAt(name, args, 0);
  const cost = costs.find((c) => c.size === dst.size) ?? costs[0];
  const count = cost && args[cost.count];
  if (cost === undefined || typeof count !== "number")
    throw new IrError(`${name} has no count where the cost model expects one`, "Use the form with a count.");
  const useful = count * cost.cyclesPerElement;
  const start = count * cost.size > 256 ? vectorStart.several : vectorStart.one;
  return { kind: "compute", pipe: "V", cycles: start + useful, useful };
}

/** Whether a function is an instruction of one of the pipes that transfer or compute. */
export const isInstruction = (name: string): boolean => byName.has(name) || vectorTable.has(name);

/** Integers travel with a copy, run by run. */
export function copyKnown({ global, local, bytes, rows, pitch, write }: Transfer): void {
  const [from, to] = write ? [local, global] : [global, local];
  if (!from.memory.tracked && !to.memory.tracked) return;
  if (rows > 1 && Number.isNaN(pitch.global + pitch.local)) {
    to.memory.forget();
    return;
  }
  const perRow = bytes / rows / from.size;
  const [fromPitch, toPitch] = write ? [pitch.local, pitch.global] : [pitch.global, pitch.local];
  for (let r = 0; r < rows; r++) {
    const [source, target] = [
      from.offset + (r === 0 ? 0 : (r * fromPitch) / from.size),
      to.offset + (r === 0 ? 0 : (r * toPitch) / to.size),
    ];
    for (let i = 0; i < perRow; i++) to.memory.set(target + i, from.memory.get(source + i));
  }
}
