import type { Dim } from "../../../ir/core/dim.ts";
import type { ElementType } from "../../../ir/core/types.ts";
import type { Program, ProgramBuffer } from "../../program.ts";
import type { Kernel } from "../../tile/types.ts";
import { identifier } from "./names.ts";

/** The C interface of a compiled layer: what its functions are called and in what order they take buffers. */
export interface CInterface {
  /** Prefix of the exported functions, and name of the source files. */
  readonly prefix: string;
  /** Buffers in the order of the `buffers` argument; the workspace pointer follows. */
  readonly buffers: readonly ProgramBuffer[];
  /** Run-time symbols in the order of the `dims` argument. */
  readonly symbols: readonly string[];
}

export const cInterface = (program: Program): CInterface => ({
  prefix: identifier(program.name),
  buffers: program.buffers.filter((b) => b.role !== "temporary"),
  symbols: program.symbols,
});

/** Names of the buffers that kernels touch. */
export const touched = (kernels: readonly Kernel[]): ReadonlySet<string> =>
  new Set(kernels.flatMap((k) => k.buffers.map((b) => b.name)));

export const typeText = (dtype: ElementType, dims: readonly Dim[]): string => `${dtype}[${dims.join(", ")}]`;
