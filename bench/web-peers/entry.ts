import type { Elements, LoadedPlan } from "../../backends/wgsl/support/run.js";
import type { Tensor } from "../../ir/core/tensor.ts";

// What a race is about, as data: it is made in Node, and run there or in a browser.

/** A compiled layer, on the module that `unmoor compile` writes beside it. */
export interface UnmoorEntry {
  readonly kind: "unmoor";
  readonly name: string;
  readonly loaded: LoadedPlan;
  readonly weights: Readonly<Record<string, Elements>>;
  readonly inputs: Readonly<Record<string, Elements>>;
  readonly symbols: Readonly<Record<string, number>>;
}

/** A graph of ONNX operators with one input x and one output y, in onnxruntime-web. */
export interface OnnxEntry {
  readonly kind: "onnxruntime";
  readonly name: string;
  readonly model: Uint8Array;
  /** What the model expects in external files, by their names. */
  readonly files: Readonly<Record<string, Uint8Array>>;
  readonly x: Matrix;
}

/** y = x · w in tfjs. */
export interface TensorFlowEntry {
  readonly kind: "tfjs";
  readonly name: string;
  readonly x: Matrix;
  readonly w: Matrix;
}

export interface Matrix {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

export type Entry = UnmoorEntry | OnnxEntry | TensorFlowEntry;

export interface RaceOptions {
  readonly rounds: number;
  /** Time that each gets per round, beyond its warm-up. */
  readonly budgetMs: number;
  /** Seconds until the first result: who takes longer is out. A first run compiles. */
  readonly firstRun: number;
}

/** What one did that gave results. */
export interface Finished {
  readonly name: string;
  /** ms of one run, from its first command until the device is done, with nothing copied in or out: the median of each round. */
  readonly ms: readonly number[];
  /** What its last run gave. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Of one run. */
  readonly submissions: number;
  readonly readBacks: number;
  /** Share of a run's time before its first kernel and after its last, by the device's timestamps; absent where there are none. */
  readonly outside?: number;
  /** Time of a layer of as many dispatches of kernels that do nothing, over a run's; absent for other libraries. */
  readonly empty?: number;
}

export type Ran = Finished | { readonly name: string; readonly failed: string };

export interface RaceResult {
  readonly adapter: { readonly name: string; readonly software: boolean };
  /** GFLOP/s of multiply-adds in f32 that the adapter reaches. */
  readonly rate: number;
  readonly ran: readonly Ran[];
}

/** Runs races somewhere. */
export interface RaceTrack {
  /** "Node 20.1", "Chromium 150" */
  readonly where: string;
  race(entries: readonly Entry[], options: RaceOptions): Promise<RaceResult>;
  close(): Promise<void>;
}
