import { IrError } from "../../../ir/core/diagnostic.ts";
import type { Instruction } from "../../instructions.ts";

/**
 * An instruction of the vector unit in its count form. Holes: {d} destination, {a} {b} sources, {s} a scalar, {m} a mask,
 * {w} work space, {n} count. `cost` is in cycles per element.
 */
export interface AscendInstruction extends Instruction {
  /** Holes of operands that it takes and does not touch. */
  readonly idle?: readonly string[];
}

/** What the emitter must know of an architecture. Data: the backend supplies it. */
export interface AscendIsa {
  /** "dav-2201". */
  readonly name: string;
  readonly instructions: readonly AscendInstruction[];
  /** Usable bytes and alignment of each memory space. */
  readonly spaces: Readonly<Record<string, { readonly capacity?: number; readonly alignment: number }>>;
  /** The chip that tiles are cut for, and that the emulator stands for: the name of its figures there, and the driver's name. */
  readonly soc: { readonly emulated: string; readonly name: string };
  /** Chips of the architecture by the name that the driver gives, with their cores. */
  readonly socs: readonly { readonly name: string; readonly vector: number; readonly cube: number }[];
}

/** Finds instructions by what they do. */
export class AscendTable {
  readonly #byOp: ReadonlyMap<string, AscendInstruction>;
  readonly #name: string;

  constructor(isa: AscendIsa) {
    this.#name = isa.name;
    this.#byOp = new Map(isa.instructions.map((i) => [i.op, i]));
  }

  has(op: string): boolean {
    return this.#byOp.has(op);
  }

  /** Whether an instruction takes an operand, by its hole, and does not touch it. */
  leavesAlone(op: string, hole: string): boolean {
    return this.#byOp.get(op)?.idle?.includes(hole) === true;
  }

  /** The line of C++ for an instruction. Throws IrError where the architecture has none. */
  text(op: string, operands: Readonly<Record<string, string>>): string {
    const instruction = this.#byOp.get(op);
    if (!instruction)
      throw new IrError(
        `the vector unit of ${this.#name} has no instruction for ${op}`,
        "Write the function with add, sub, mul, div, min, max, exp, log, sqrt, abs, comparisons and select over floats.",
      );
    return `${instruction.text.replace(/\{(\w)\}/g, (hole, name: string) => {
      const operand = operands[name];
      if (operand === undefined) throw new IrError(`${op} needs the operand ${hole}`, "Give all operands.");
      return operand;
    })};`;
  }
}

/**
 * Elements of work space for ReduceMax over `count` elements (formula on the vendor's page of ReduceMax): one pair per repeat
 * of 256 bytes, and with the index two further rounds over those pairs.
 */
export function reduceWorkElements(count: number, bytes: number, withIndex: boolean): number {
  const perBlock = 32 / bytes;
  const perRepeat = 256 / bytes;
  const up = (a: number, b: number): number => Math.ceil(a / b);
  const first = Math.max(up(count, perRepeat), 1) * 2;
  const firstEnd = up(first, perBlock) * perBlock;
  if (!withIndex) return firstEnd;
  const second = up(firstEnd, perRepeat) * 2;
  const secondEnd = up(second, perBlock) * perBlock;
  const third = up(secondEnd, perRepeat) * 2;
  return firstEnd + secondEnd + up(third, perBlock) * perBlock;
}
