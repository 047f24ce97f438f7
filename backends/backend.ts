import type { Program } from "../codegen/program.ts";
import type { Target, TargetName } from "../codegen/target.ts";
import type { Kernel } from "../codegen/tile/types.ts";
import type { Tensor, TensorStorage } from "../ir/core/tensor.ts";
import type { Ability, Capability } from "./capability.ts";
import type { NativeMemory } from "./native-host.ts";

/** Source files of a compiled layer: path below the output folder → text. */
export type SourceTree = ReadonlyMap<string, string>;

/** A kernel as it stands in the sources of its program. */
export interface KernelSource {
  /** The file of the source tree. */
  readonly path: string;
  /** Its part of that file. */
  readonly text: string;
  /** Local memory that it takes of a core, where the target places it by hand. */
  readonly memory: readonly LocalMemory[];
}

/** A buffer in local memory: `count` pieces of `bytes` each. */
export interface LocalMemory {
  readonly name: string;
  /** One of the target's memory spaces. */
  readonly space: string;
  /** What holds it there, in words: "queue VECIN". */
  readonly use: string;
  readonly bytes: number;
  readonly count: number;
}

/** How a figure came about. The three never share a column. */
export type Evidence = "measured" | "emulated" | "modelled";

/** A target: its description, its toolchain, how to load and launch. */
export interface Backend {
  readonly name: TargetName;
  /** Variants that can be compiled, best first. */
  readonly isas: readonly string[];
  /** The description of a variant; throws IrError for an unknown name. */
  target(isa: string): Target;
  /**
   * Descriptions of a variant that lead to other schedules, each with its name in `tuning`; `unmoor tune` measures which is
   * fastest for a layer. All compute the same. Absent where a target has nothing to choose.
   */
  tunings?(isa: string): readonly Target[];
  /** The device that this machine runs the target on, in words: what is found fastest holds for it alone. */
  deviceName?(): Promise<string>;
  /** Each device that the target can be told to use here, by its name, or why it cannot be had. */
  devices?(): Promise<readonly (Ability & { readonly name: string })[]>;
  /**
   * The same target for devices with other limits; absent where devices do not differ in them.
   * @param limits a named set, "adapter" for those of this machine's device, or the path of a JSON file
   * @throws DiagnosticError for what is none of these
   */
  withLimits?(limits: string): Promise<Backend>;
  /** The best variant that this machine runs; throws LackError if there is none. */
  bestIsa(): Promise<string>;
  /** What this machine can do with the target. */
  probe(): Promise<Capability>;
  /** The program as sources that build without this project. Pure; a promise, for emitters are loaded when first used. */
  emit(program: Program, target: Target): Promise<SourceTree>;
  /**
   * Sources of several variants that choose one when they run, by what the CPU has; absent where a target has no such.
   * @param programs by variant; all of one layer and storage
   */
  emitVariants?(programs: ReadonlyMap<string, Program>): Promise<SourceTree>;
  /** Whether those sources have a program that compares a run with golden data, and so come with such data. */
  readonly usesGoldenData?: boolean;
  /** Where each kernel of the program stands in those sources. Pure. */
  kernels(program: Program, target: Target): Promise<ReadonlyMap<Kernel, KernelSource>>;
  /** Builds the sources and loads them. Throws LackError where the machine lacks a tool. */
  load(program: Program, target: Target): Promise<LoadedLayer>;
}

/** A layer ready to run on a device. */
export interface LoadedLayer {
  readonly evidence: Evidence;
  /** The device in words: "AMD EPYC, 2 threads, AVX-512 BF16", "SwiftShader (software)". */
  readonly device: string;
  /** Versions of the tools that made it, by name: {"gcc": "12.2.0"}. */
  readonly tools?: Readonly<Record<string, string>>;
  /** Gives the weights, by argument name, in the program's dtypes, and runs the preparation. */
  setWeights(weights: ReadonlyMap<string, Tensor>): Promise<void>;
  /**
   * The weights as runs read them, by buffer name, without a copy: to be kept, and given to `setPrepared` of a layer of the same
   * program. They last until the layer is closed. Absent where a device holds them.
   */
  prepared?(): ReadonlyMap<string, NativeMemory | TensorStorage>;
  /** In place of setWeights: what `prepared` gave. The layer frees it when it is closed. */
  setPrepared?(buffers: ReadonlyMap<string, NativeMemory>): Promise<void>;
  /**
   * Runs the layer `repeat` times (default 1). Inputs by argument name; symbols such as T in `dims`.
   * Outputs by buffer name, of the last run. `nanoseconds` has one time per run, without copies in and out.
   */
  run(
    inputs: ReadonlyMap<string, Tensor>,
    dims: Readonly<Record<string, number>>,
    options?: { readonly repeat?: number; readonly threads?: number },
  ): Promise<{ readonly outputs: ReadonlyMap<string, Tensor>; readonly nanoseconds: Float64Array }>;
  close(): Promise<void>;
}

/** This machine lacks something that the work needs. The command line exits with status 3. */
export class LackError extends Error {
  /** What mends it: a command where there is one. */
  readonly mend: string;

  constructor(message: string, mend: string) {
    super(message);
    this.name = "LackError";
    this.mend = mend;
  }
}
