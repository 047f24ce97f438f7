import type { BlockFormatName } from "../ir/core/block-formats.ts";
import type { Dim } from "../ir/core/dim.ts";
import type { ElementType } from "../ir/core/types.ts";
import type { Kernel } from "./tile/types.ts";

/** One buffer of a program. Kernels name it directly. */
export interface ProgramBuffer {
  readonly name: string;
  readonly dtype: ElementType;
  /** Parameters are replaced by their values; only run-time symbols (T) remain. */
  readonly dims: readonly Dim[];
  /**
   * input: given at each run. weight: given at load. prepared: made from weights by `prepare`, once, at load.
   * output: a result of the layer, or a choice (a router's ids and weights), which every program gives. temporary: workspace.
   */
  readonly role: "input" | "weight" | "prepared" | "output" | "temporary";
  /**
   * Of a temporary: it is the memory of this other temporary, with as many elements in other dimensions. Kernels only read it.
   */
  readonly alias?: string;
  /** Where this buffer holds the codes of a weight in a block format, which the argument of its name is: the format, and the buffers beside it in the order of `partsOf`. */
  readonly blocks?: { readonly format: BlockFormatName; readonly parts: readonly string[] };
}

/** A compiled layer before it becomes text: the kernels in order, the same for every target of its kind. */
export interface Program {
  readonly name: string;
  readonly params: Readonly<Record<string, number>>;
  /** Run-time symbols, in the order in which they are passed. */
  readonly symbols: readonly string[];
  readonly buffers: readonly ProgramBuffer[];
  /** Run once when weights are loaded. */
  readonly prepare: readonly Kernel[];
  /** Run at each call, in order; each kernel ends before the next starts. */
  readonly kernels: readonly Kernel[];
  /** Output buffers with what each op chose by comparing floats, in order. */
  readonly choices: readonly ProgramChoice[];
  /** Names of the layer's results and the output buffers that hold them. */
  readonly results: readonly { readonly name: string; readonly buffer: string }[];
  readonly memory: MemoryPlan;
}

/** The buffer of what was chosen, and of a router the buffer of the weights as well. */
export interface ProgramChoice {
  readonly ids: string;
  readonly weights?: string;
}

/** The choices of routers, in order. */
export const routingsOf = (program: Program): readonly Required<ProgramChoice>[] =>
  program.choices.flatMap(({ ids, weights }) => (weights === undefined ? [] : [{ ids, weights }]));

/** Temporaries with disjoint lifetimes share a slot. A slot is as large as its largest buffer. */
export interface MemoryPlan {
  readonly slots: readonly { readonly buffers: readonly string[]; readonly bytes: readonly Dim[] }[];
}
