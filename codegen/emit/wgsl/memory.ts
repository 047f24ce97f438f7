import { IrError } from "../../../ir/core/diagnostic.ts";
import type { ScalarType } from "../../../ir/core/scalar.ts";
import type { ElementType } from "../../../ir/core/types.ts";
import type { Tile } from "../../tile/types.ts";
import { applyOp, type Code, constant, print, sum, times } from "./code.ts";
import type { WgslLanguage } from "./language.ts";

/** A buffer or tile as WGSL names it. */
export interface Memory {
  readonly kind: "buffer" | "scalars" | "array";
  readonly name: string;
  readonly type: ScalarType;
  /** Elements between neighbours, per dimension. */
  readonly strides: readonly Code[];
  /** Read four elements at a time: declared as an array of such vectors. */
  readonly vectors: boolean;
  /** Of a buffer: its elements lie two or four in a word, and it is declared as array<u32>. */
  readonly packed?: PackedType;
  /** Its name in tile IR. */
  readonly source: string;
  /** Of a tile. */
  readonly tile?: Tile;
}

/** Types of elements narrower than a word. */
export type PackedType = "u8" | "i8" | "f16" | "bf16";

const packedTypes: readonly ElementType[] = ["u8", "i8", "f16", "bf16"] satisfies PackedType[];
export const isHalf = (dtype: ElementType | undefined): dtype is "f16" | "bf16" => dtype === "f16" || dtype === "bf16";
export const isPacked = (dtype: ElementType): dtype is PackedType => packedTypes.includes(dtype);

/** By how much a position is shifted to give that of its word. */
export const wordShift = { u8: 2, i8: 2, f16: 1, bf16: 1 } as const satisfies Record<PackedType, number>;

/** at / 4 for a position that is a multiple of 4, and not negative where it is meant to be read. */
export function quarter(at: Code): Code {
  if (at.constant !== undefined) return constant("i32", at.constant / 4);
  const whole = at.offset % 4 === 0;
  const shifted = print(whole ? { ...at, offset: 0 } : at, "primary");
  return { ...at, text: `${shifted} >> 2u`, level: "relational", offset: whole ? at.offset / 4 : 0, multiple: 1 };
}

/** Row-major strides. */
export function stridesOf(dims: readonly Code[]): readonly Code[] {
  return dims.map((_, i) => dims.slice(i + 1).reduce((a, b) => times(a, b), constant("i32", 1)));
}

export function linear(memory: Memory, index: readonly Code[]): Code {
  if (index.length !== memory.strides.length)
    throw new IrError(
      `${memory.name} has ${memory.strides.length} dimensions and is read with ${index.length} indices`,
      "Give one index per dimension.",
    );
  return sum(index.map((x, i) => times(x, memory.strides[i] ?? constant("i32", 1))));
}

export function scalarName(name: string, dims: readonly number[], position: number): string {
  const parts: number[] = [];
  let rest = position;
  for (const d of dims.toReversed()) {
    parts.unshift(rest % d);
    rest = Math.floor(rest / d);
  }
  return [name, ...parts].join("_");
}

export function scalarType(dtype: ElementType, where: string): ScalarType {
  if (dtype === "f32" || dtype === "i32" || dtype === "bool") return dtype;
  if (isPacked(dtype)) return dtype === "u8" || dtype === "i8" ? "i32" : "f32";
  throw new IrError(
    `${where} holds ${dtype}, and WGSL without extensions computes with f32 and i32`,
    "Choose f32 storage for this target, or cast to f32.",
  );
}

/** Converts a value for storing: i32 and f32 as toFloat and toInt do, bool as 0 or 1. */
export function convert(value: Code, type: ScalarType, language: WgslLanguage): Code {
  if (value.type === type) return value;
  if (value.type === "bool" && type !== "bool")
    return applyOp("select", type, [value, constant(type, 1), constant(type, 0)], language);
  if (value.type === "i32" && type === "f32") return applyOp("toFloat", type, [value], language);
  if (value.type === "f32" && type === "i32") return applyOp("toInt", type, [value], language);
  throw new IrError(`a ${value.type} is stored where a ${type} is expected`, "Compare the value with zero first.");
}
