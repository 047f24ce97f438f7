import type { Dim } from "../../ir/core/dim.ts";
import type { Operation, Value } from "../../ir/core/layer.ts";
import type { ProgramBuffer } from "../program.ts";
import type { Target } from "../target.ts";
import type { Kernel } from "../tile/types.ts";

/** What a schedule may ask while it turns an operation into kernels. */
export interface ScheduleContext {
  readonly target: Target;
  /** The buffer that holds a value, with parameters replaced by their values. */
  buffer(value: Value): ProgramBuffer;
  /** A size attribute or dimension as a number; throws IrError where it depends on a run-time symbol. */
  size(dim: Dim): number;
  /** A dimension with parameters replaced. */
  dim(dim: Dim): Dim;
}

/** Turns one operation into kernels for the context's target. */
export type Schedule = (operation: Operation, context: ScheduleContext) => readonly Kernel[];
