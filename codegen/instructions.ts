import type { ElementType } from "../ir/core/types.ts";

/**
 * An instruction of a target, as data: how it is written, what it means, and what it needs. Emitters find instructions by
 * `op` and print `text`; tests run each one alone against `meaning`. A vector is an array of lane values.
 */
export interface Instruction {
  /**
   * What it does, as `operation.dtype`: "add.f32", "fma.f32", "load.f32", "load.bf16" (widening to f32 lanes), "load_partial.f32"
   * (first n lanes, the rest zero), "store_partial.bf16", "broadcast.f32", "dot.bf16" (acc += pairs of a · pairs of b), …
   */
  readonly op: string;
  /** Text with holes: {a} {b} {c} operands, {p} address, {n} count. */
  readonly text: string;
  /** The meaning over lane values; an address is the array of elements from that address on. */
  meaning(...operands: readonly (readonly number[])[]): readonly number[];
  /** Element type of what it reads from memory, where it does. */
  readonly memory?: ElementType;
  /** CPU features it needs, by Linux's names, beyond those of the table. */
  readonly features?: readonly string[];
  /** Alignment in bytes that an address must have; absent means none. */
  readonly alignment?: number;
  /** Reciprocal throughput in cycles, for cost rules, with its source in the table's comment. */
  readonly cost: number;
}
