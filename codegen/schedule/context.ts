import type { BlockFormat } from "../../ir/core/block-formats.ts";
import type { Dim } from "../../ir/core/dim.ts";
import type { Operation, Value } from "../../ir/core/layer.ts";
import type { ProgramBuffer } from "../program.ts";
import type { Target } from "../target.ts";
import type { Kernel } from "../tile/types.ts";

/**
 * A value in a block format, in parts. K is the last dimension, S = K / step.
 *
 * A weight: codes [..., K], i8 without offset where products take signed bytes, or [..., K/2] where two lie in a byte; each scale and minimum [..., K/every].
 * A weight in panels of R rows: codes [..., P, S, groups, R, G], where a group is the G neighbouring bytes of a step's codes that
 * `groupOf` says; scales and minima [..., P, K/every, R].
 * Activations: codes i8 [T, K], the numbers themselves, without offset; a scale f32 [T, S]; sums i32 [T, S], of a step's codes times a
 * factor, where weights have an offset.
 */
export interface BlockBuffers {
  readonly format: BlockFormat;
  readonly codes: ProgramBuffer;
  /** Those whose product is the scale, and whose product is the minimum. */
  readonly scales: readonly PartBuffer[];
  readonly mins: readonly PartBuffer[];
  readonly sums: CodeSums | undefined;
}

/** Sums of an activation's codes. `factor`: minus the offset of codes where all products with them take the same one off, else 1. */
export interface CodeSums {
  readonly buffer: ProgramBuffer;
  readonly factor: number;
}

/** A buffer beside codes, with a number for each `every` elements of k. */
export interface PartBuffer {
  readonly buffer: ProgramBuffer;
  readonly every: number;
}

/** All that is beside codes. */
export const besideOf = ({ scales, mins }: BlockBuffers): readonly PartBuffer[] => [...scales, ...mins];

/** All buffers of a value in a block format. */
export const buffersOf = (blocks: BlockBuffers): readonly ProgramBuffer[] => [
  blocks.codes,
  ...besideOf(blocks).map(({ buffer }) => buffer),
  ...(blocks.sums ? [blocks.sums.buffer] : []),
];

/** What a schedule may ask while it turns an operation into kernels. */
export interface ScheduleContext {
  readonly target: Target;
  /** The buffer that holds a value, with parameters replaced by their values. Values in a block format have several: see `blocks`. */
  buffer(value: Value): ProgramBuffer;
  /** The buffers of a value in a block format. */
  blocks(value: Value): BlockBuffers;
  /** Where the experts that have rows are listed, how many and then which, for the offsets that a dispatch gives; absent: nowhere. */
  list(offsets: Value): ProgramBuffer | undefined;
  /** A size attribute or dimension as a number; throws IrError where it depends on a run-time symbol. */
  size(dim: Dim): number;
  /** A dimension with parameters replaced. */
  dim(dim: Dim): Dim;
}

/** Turns one operation into kernels for the context's target. */
export type Schedule = (operation: Operation, context: ScheduleContext) => readonly Kernel[];
