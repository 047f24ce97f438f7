import { IrError } from "../../../ir/core/diagnostic.ts";
import type { ScalarOp, ScalarType } from "../../../ir/core/scalar.ts";
import { scalarOp } from "../../../ir/core/scalar.ts";
import type { Instruction } from "../../instructions.ts";
import { operand } from "../c-family/parentheses.ts";

/** Makers of x86 CPUs, by compilers' names. */
export type CpuMaker = "intel" | "amd";

export type Architecture = "x86_64" | "aarch64" | "wasm32";

/**
 * What the C emitter must know of a CPU's vectors beyond `Target`. Data: a backend supplies one per variant.
 * All vectors have the same number of 32-bit lanes; bf16 lives in memory only and widens when it is loaded.
 */
export interface VectorIsa {
  /** As in `Target.isa`. */
  readonly name: string;
  /** In words: "AVX-512 with BF16". */
  readonly title: string;
  /** The CPUs that have it, by the first word of a compiler's target; "any" for plain C. */
  readonly architecture: Architecture | "any";
  /** 32-bit lanes of a vector. 1 for plain C. */
  readonly lanes: number;
  /** C types of vectors. `pairs` where the table multiplies bf16 by pairs; `quads`: four bytes in each lane. */
  readonly types: Readonly<Record<ScalarType, string> & Partial<Record<"pairs" | "quads", string>>>;
  /** Lines such as `<immintrin.h>` that the source includes. */
  readonly includes: readonly string[];
  /** Compiler flags that make the instructions available. */
  readonly flags: readonly string[];
  /** CPU features that the flags assume, by Linux's names. */
  readonly features: readonly string[];
  /** The variant that CPUs of a maker are faster with, where they and a layer have both: this one is used there when asked for. */
  readonly faster?: Readonly<Partial<Record<CpuMaker, string>>>;
  readonly instructions: readonly Instruction[];
}

/** An address: a pointer's name, and elements from there as C text ("" for none). */
export interface Address {
  readonly base: string;
  readonly offset: string;
}

export interface Operands {
  readonly a?: string;
  readonly b?: string;
  readonly c?: string;
  readonly p?: Address;
  readonly n?: string;
}

/** Finds a variant's instructions by operation and writes them. */
export class InstructionTable {
  readonly isa: VectorIsa;
  readonly #byOp: ReadonlyMap<string, Instruction>;

  constructor(isa: VectorIsa) {
    this.isa = isa;
    this.#byOp = new Map(isa.instructions.map((i) => [i.op, i]));
  }

  has(op: string): boolean {
    return this.#byOp.has(op);
  }

  /** The C text of an instruction. Throws IrError, naming the operation and the variant, where there is none. */
  text(op: string, operands: Operands): string {
    const instruction = this.#byOp.get(op);
    if (!instruction) {
      throw new IrError(
        `${this.isa.name} has no instruction for ${op}`,
        `Compile for another ISA, or add ${op} to the instruction table of ${this.isa.name}.`,
      );
    }
    const { p } = operands;
    let text = instruction.text;
    if (p) {
      text = text
        .replaceAll("{p}[0]", `${p.base}[${p.offset === "" ? "0" : p.offset}]`)
        .replaceAll("{p}", p.offset === "" ? p.base : `${p.base} + ${p.offset}`);
    }
    return text.replace(/\{(\w)\}/g, (hole, name: string, at: number, whole: string) => {
      const given = operands[name as "a" | "b" | "c" | "n"];
      if (given === undefined) throw new IrError(`${op} needs operand ${hole}`, `Give ${op} all of its operands.`);
      const before = whole.slice(0, at);
      const after = whole.slice(at + hole.length);
      const alone = [/(^|[(,] ?| = )$/.test(before), /^\s*([,)]|$)/.test(after)];
      // What is no operator between spaces is a sign or a cast.
      const left = alone[0] ? undefined : (/ (\S+) $/.exec(before)?.[1] ?? "cast");
      const right = alone[1] ? undefined : (/^ (\S+) /.exec(after)?.[1] ?? "cast");
      return operand(given, left, right);
    });
  }
}

/** The table's name for a scalar operation on operands of these types: `add.f32`, `select.i32`, `toFloat.i32`. */
export function instructionFor(op: ScalarOp, args: readonly { readonly type: ScalarType }[]): string {
  const decisive = scalarOp(op).signature === "select" ? args[1] : args[0];
  return `${op}.${decisive?.type ?? "f32"}`;
}

/** A C literal of a lane's value. */
export function literal(type: ScalarType, value: number): string {
  switch (type) {
    case "bool":
      return value !== 0 ? "true" : "false";
    case "i32":
      return String(value);
    case "f32": {
      if (Number.isNaN(value)) return "NAN";
      const rounded = Math.fround(value);
      if (!Number.isFinite(rounded)) return rounded > 0 ? "INFINITY" : "-INFINITY";
      const text = String(value);
      return /[.e]/.test(text) ? `${text}f` : Object.is(value, -0) ? "-0.0f" : `${text}.0f`;
    }
  }
}

/** Flags that every variant is compiled with. Contraction is off so that all variants round where the source says. */
export const commonFlags = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno"] as const;

/**
 * Flags for gcc alone. Its passes would move the steps of a sum that are written one after the other behind all products, which then
 * do not fit the registers.
 */
export const gccFlags = ["-fno-tree-ter", "-fno-tree-reassoc"] as const;
