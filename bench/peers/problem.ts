import type { Compilation } from "../../codegen/compile.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import type { Arena } from "../arena.ts";
import { drawWeights } from "../drawn.ts";
import type { Comparable, Shape } from "./shapes.ts";

/** One MoE layer with its weights, for us and for a peer. */
export interface Problem {
  readonly shape: Shape;
  readonly storage: Comparable;
  /** H, I, E, K. */
  readonly sizes: Readonly<Record<"H" | "I" | "E" | "K", number>>;
  /** The weights by the names of the layer's arguments, in published bytes, at addresses that are multiples of 64. */
  readonly weights: ReadonlyMap<string, Tensor>;
}

/** A layer of seeded weights. */
export function makeProblem(
  shape: Shape,
  storage: Comparable,
  compilation: Compilation,
  arena: Arena,
  seed: number,
): Problem {
  const { H = 0, I = 0, E = 0, K = 0 } = compilation.stored.params;
  return { shape, storage, sizes: { H, I, E, K }, weights: drawWeights(compilation, arena, seed) };
}

/** A weight's published bytes; undefined where the layer has none of that name. */
export function bytesOf({ weights }: Problem, name: string): Uint8Array<ArrayBufferLike> | undefined {
  const data = weights.get(name)?.data;
  return data && new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** The bytes of a weight that every layer has. */
export function requiredBytes(problem: Problem, name: string): Uint8Array<ArrayBufferLike> {
  const bytes = bytesOf(problem, name);
  if (!bytes) throw new Error(`${problem.shape.example} has no weight ${name}`);
  return bytes;
}

/** Gate and up of the experts, apart and in alternate rows: one of the two is what the layer has, the other is copied. */
export interface GateUp {
  apart(): readonly [gate: Uint8Array<ArrayBufferLike>, up: Uint8Array<ArrayBufferLike>];
  alternate(): Uint8Array<ArrayBufferLike>;
}

/**
 * The layer's matrices for gate and up [E, I, H], or with the suffix "Bias" its biases [E, I].
 * @returns undefined where it has none
 */
export function gateUpOf(problem: Problem, arena: Arena, suffix: "" | "Bias" = ""): GateUp | undefined {
  const both = bytesOf(problem, `gateUp${suffix}`);
  const [gate, up] = [bytesOf(problem, `gate${suffix}`), bytesOf(problem, `up${suffix}`)];
  const rows = problem.sizes.E * problem.sizes.I;
  if (both) {
    const row = both.length / rows / 2;
    const half = (first: number): Uint8Array => {
      const out = arena.allocate(both.length / 2);
      for (let i = 0; i < rows; i++) out.set(both.subarray((2 * i + first) * row, (2 * i + first + 1) * row), i * row);
      return out;
    };
    return { apart: () => [half(0), half(1)], alternate: () => both };
  }
  if (!gate || !up) return undefined;
  const row = gate.length / rows;
  return {
    apart: () => [gate, up],
    alternate: () => {
      const out = arena.allocate(2 * gate.length);
      for (let i = 0; i < rows; i++) {
        out.set(gate.subarray(i * row, (i + 1) * row), 2 * i * row);
        out.set(up.subarray(i * row, (i + 1) * row), (2 * i + 1) * row);
      }
      return out;
    },
  };
}
