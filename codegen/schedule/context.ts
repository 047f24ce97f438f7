import type { BlockFormat } from "../../ir/core/block-formats.ts";
import type { Dim } from "../../ir/core/dim.ts";
import type { Operation, Value } from "../../ir/core/layer.ts";
import type { ProgramBuffer } from "../program.ts";
import type { Target } from "../target.ts";
import type { Kernel } from "../tile/types.ts";

/**
 * A value in a block format, in parts. K is the last dimension, B = K / 32 its blocks (32 or what the format says).
 *
 * A weight: codes u8 [..., K], or [..., K/2] with two in a byte, in the published order; scales f16 [..., B].
 * A weight in panels of R rows: codes u8 [..., P, B, groups, R, 4], where a group is four neighbouring bytes of a block's codes;
 * scales f16 [..., P, B, R].
 * Activations: codes i8 [T, K], the numbers themselves, without offset; scales f32 [T, B]; sums i32 [T, B], of a block's codes.
 */
export interface BlockBuffers {
  readonly format: BlockFormat;
  readonly codes: ProgramBuffer;
  readonly scales: ProgramBuffer;
  readonly sums: ProgramBuffer | undefined;
}

/** What a schedule may ask while it turns an operation into kernels. */
export interface ScheduleContext {
  readonly target: Target;
  /** The buffer that holds a value, with parameters replaced by their values. Values in a block format have several: see `blocks`. */
  buffer(value: Value): ProgramBuffer;
  /** The buffers of a value in a block format. */
  blocks(value: Value): BlockBuffers;
  /** A size attribute or dimension as a number; throws IrError where it depends on a run-time symbol. */
  size(dim: Dim): number;
  /** A dimension with parameters replaced. */
  dim(dim: Dim): Dim;
}

/** Turns one operation into kernels for the context's target. */
export type Schedule = (operation: Operation, context: ScheduleContext) => readonly Kernel[];
