// Types of run.js. GPUDevice is the one of lib.dom or of @webgpu/types.

/** A sum of products of run-time symbols: coefficient × factors, summed. */
export type Polynomial = readonly { readonly coefficient: number; readonly factors: readonly string[] }[];

/** plan.json: what to bind where, and how much of it to start. */
export interface LaunchPlan {
  readonly format: "unmoor-launch-plan";
  readonly version: 1;
  readonly name: string;
  readonly params: Readonly<Record<string, number>>;
  readonly symbols: readonly string[];
  readonly requires: {
    /** Features to ask requestDevice for, and those that navigator.gpu.wgslLanguageFeatures has. */
    readonly features: readonly string[];
    readonly languageFeatures: readonly string[];
    /** Lanes that every subgroup has, at least: an adapter's `info.subgroupMinSize`. */
    readonly subgroupMinSize?: number;
    /** Limits by WebGPU's names: ask requestDevice for the largest of the values. */
    readonly limits: Readonly<Record<string, readonly Polynomial[]>>;
  };
  readonly buffers: readonly {
    readonly name: string;
    /** Elements narrower than 32 bits lie next to each other; f16 and bf16 are given as their bits. */
    readonly dtype: "f32" | "i32" | "u32" | "u8" | "i8" | "f16" | "bf16" | "f8" | "bool";
    readonly dims: readonly Polynomial[];
    readonly bytes: Polynomial;
    readonly role: "input" | "weight" | "prepared" | "output" | "temporary";
    readonly slot?: number;
    /** Of a weight in several buffers: which of its elements this one holds. */
    readonly part?: { readonly of: string; readonly first: number; readonly elements: number };
    /** First and last of `kernels`, by their positions, that use it. */
    readonly lifetime?: readonly [number, number];
  }[];
  readonly slots: readonly { readonly bytes: readonly Polynomial[] }[];
  readonly prepare: readonly PlanKernel[];
  readonly kernels: readonly PlanKernel[];
  readonly results: readonly { readonly name: string; readonly buffer: string }[];
  readonly routings: readonly { readonly ids: string; readonly weights: string }[];
}

export interface PlanKernel {
  readonly name: string;
  readonly module: string;
  readonly entryPoint: string;
  readonly workgroupSize: number;
  readonly grid: readonly Polynomial[];
  /** Launched only where from ≤ the value of `of` < below (absent: no end). */
  readonly when?: { readonly of: Polynomial; readonly from: number; readonly below?: number };
  readonly indirect?: { readonly buffer: string; readonly offset: number };
  readonly bindings: readonly {
    readonly binding: number;
    readonly buffer: string;
    readonly access: "read" | "read_write";
  }[];
  readonly symbols?: {
    readonly binding: number;
    readonly names: readonly string[];
    readonly constants: Readonly<Record<string, number>>;
  };
  readonly origin: { readonly op: string; readonly summary: string; readonly source: string };
}

/** A plan with the text of its modules, by path. */
export interface LoadedPlan {
  readonly plan: LaunchPlan;
  readonly modules: Readonly<Record<string, string>>;
}

export type Elements = Float32Array | Int32Array | Uint16Array | Int8Array | Uint8Array;

/**
 * What went wrong. `limit`: the device allows less than the layer needs; `validation`: the device rejects a kernel;
 * `memory`: the device has no memory left; `lost`: the device is gone and must be opened again; `input`: a wrong argument.
 */
export class LaunchError extends Error {
  readonly kind: "limit" | "validation" | "memory" | "lost" | "input";
  constructor(kind: LaunchError["kind"], message: string);
}

/** The value of a polynomial. */
export function evaluate(polynomial: Polynomial, symbols: Readonly<Record<string, number>>): number;

/**
 * What a device with these limits cannot do, one sentence each; empty where it can all. Sizes that depend on symbols
 * without a value are left out, and so is the size of subgroups without `info`, an adapter's or a device's `adapterInfo`.
 */
export function lacks(
  plan: LaunchPlan,
  limits: Readonly<Record<string, number>> | GPUSupportedLimits,
  symbols?: Readonly<Record<string, number>>,
  info?: { readonly subgroupMinSize?: number },
): string[];

/** Fetches plan.json and its modules from a folder's URL, which ends with a slash. */
export function fetchPlan(folder: string | URL): Promise<LoadedPlan>;

/** Makes the plan's pipelines on a device, ready to run. Throws LaunchError. */
export function createRunner(device: GPUDevice, loaded: LoadedPlan): Promise<Runner>;

export interface Runner {
  readonly plan: LaunchPlan;
  /**
   * Uploads the weights, by name, and runs the preparation. A weight that the plan holds in several buffers is given whole, or
   * part by part under the parts' names.
   */
  setWeights(weights: Readonly<Record<string, Elements>>): Promise<void>;
  /**
   * Runs the layer `repeat` times (default 1), each with one submission, or where it is more work than `operations` (default 1e11)
   * with several, between kernels. Inputs by name, values of the symbols by name. Gives the outputs of the last run by buffer name,
   * and per run the nanoseconds from its submission to its end; copies to and from the device are outside.
   */
  run(
    inputs: Readonly<Record<string, Elements>>,
    symbols: Readonly<Record<string, number>>,
    options?: { readonly repeat?: number; readonly operations?: number },
  ): Promise<{
    readonly outputs: Readonly<
      Record<string, { readonly dtype: "f32" | "i32"; readonly dims: readonly number[]; readonly data: Elements }>
    >;
    readonly nanoseconds: Float64Array;
  }>;
  /**
   * Records the layer into a command encoder of yours, for one submission with other work: nothing is copied, submitted or awaited.
   * `buffers` holds a buffer of the device for each input, and for outputs that are to be written elsewhere than in memory of
   * the runner's own, which the next run of it overwrites. Gives the buffers of all outputs. Throws LaunchError.
   */
  encode(
    encoder: GPUCommandEncoder,
    buffers: Readonly<Record<string, GPUBuffer>>,
    symbols: Readonly<Record<string, number>>,
  ): Readonly<Record<string, GPUBuffer>>;
  /** Frees the device's memory. The device stays open. */
  destroy(): void;
}
