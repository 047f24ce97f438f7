import type { Problem } from "./problem.ts";

/** A program that somebody would use instead. */
export interface Peer {
  readonly name: string;
  /**
   * Loads a layer. Memory of the problem's weights stays until it is closed.
   * @returns in words what it cannot do, where it cannot
   */
  load(problem: Problem, threads: number): Promise<LoadedPeer | string>;
}

export interface LoadedPeer {
  /** Its version, and what it chose for this layer and machine. */
  readonly title: string;
  /** Readies its threads before runs that are timed; `rest` ends what they do when nothing runs. */
  wake(): Promise<void>;
  rest(): Promise<void>;
  /** Computes y [tokens, H] from x [tokens, H] once. Returns how long the computation took, in ns. */
  run(x: Float32Array, tokens: number): Promise<number>;
  /** What the last run gave. */
  output(): Promise<Float32Array>;
  close(): Promise<void>;
}
