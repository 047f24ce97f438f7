import type { Compilation } from "../../codegen/compile.ts";
import type { Program } from "../../codegen/program.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import type { Layer } from "../../ir/core/layer.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import { interpret } from "../../ir/interpreter/index.ts";
import { choosersOf } from "../../ir/ops/index.ts";
import { toFloats } from "../tensors.ts";

/** How far a target's outputs agree with the oracle on one set of inputs. */
export interface Agreement {
  /** Largest error of any float, in units of what rounding may cause. At most 1 when the target agrees. */
  readonly maxErrorOverBound: number;
  /** Tokens whose choice of experts, or of another index, rounding may change. They are compared along the choice that the target made. */
  readonly ambiguousTokens: number;
  /** What disagrees, in words; empty when the target agrees. */
  readonly disagreements: readonly string[];
}

/** What a run chose, as the interpreter takes it: by the name of the chosen value in `layer`. */
function choicesFor(layer: Layer, program: Program, outputs: ReadonlyMap<string, Tensor>): Map<string, Int32Array> {
  return new Map(
    choosersOf(layer.body).map((operation, i) => {
      const name = operation.results[0]?.name ?? "";
      const chosen = outputs.get(program.choices[i]?.ids ?? "");
      if (!(chosen?.data instanceof Int32Array))
        throw new IrError(`the run did not tell what it chose for ${name}`, "Load the layer again.");
      return [name, chosen.data];
    }),
  );
}

/**
 * Compares the outputs of a run with the oracle. The oracle computes the layer as written, along the experts that the target
 * chose where that choice is one that rounding explains; the bounds come from the layer as it was lowered for the target.
 * @param tied whether all scores are equal, so that the lowest ids must be chosen (see Case)
 */
export function compareWithOracle(
  compilation: Compilation,
  tensors: ReadonlyMap<string, Tensor>,
  dims: Readonly<Record<string, number>>,
  outputs: ReadonlyMap<string, Tensor>,
  tied = false,
): Agreement {
  const { program, stored, rounded } = compilation;
  // The lowered layer's bounds are the wider ones: they say which choices rounding explains. The layer as written follows those.
  const bounded = interpret(rounded, { dims, tensors, choices: choicesFor(rounded, program, outputs) });
  const followed = choosersOf(stored.body).map(({ results }, i) => {
    const chosen = bounded.choices[i]?.results[0]?.data;
    return [results[0]?.name ?? "", chosen instanceof Int32Array ? chosen : new Int32Array()] as const;
  });
  const exact = interpret(stored, { dims, tensors, choices: new Map(followed), trusted: true });
  const disagreements: string[] = [];
  let ambiguousTokens = 0;
  let worst = 0;
  const floats = (name: string, got: Tensor | undefined, want: Tensor, bound: Tensor): void => {
    if (!got || got.data.length !== want.data.length) {
      disagreements.push(`${name}: ${want.data.length} elements expected, ${got?.data.length ?? 0} found`);
      return;
    }
    // Whole numbers beyond 2^24 are no f32.
    const found = got.data instanceof Int32Array ? got.data : toFloats(got);
    let worstAt = -1;
    let worstHere = 0;
    for (let i = 0; i < found.length; i++) {
      const ratio = errorOverBound(found[i], want.data[i], bound.bound?.[i] ?? 0);
      if (ratio > worstHere) {
        worstHere = ratio;
        worstAt = i;
      }
    }
    worst = Math.max(worst, worstHere);
    if (worstHere > 1) {
      disagreements.push(
        `${name}[${position(worstAt, want.dims)}]: ${want.data[worstAt]} ± ${bound.bound?.[worstAt] ?? 0} expected, ${found[worstAt]} found`,
      );
    }
  };
  program.choices.forEach(({ ids, weights }, i) => {
    const want = exact.choices[i];
    const bound = bounded.choices[i];
    if (!want || !bound) return;
    ambiguousTokens += bound.outcome.ambiguous.length;
    for (const row of bound.outcome.wrong.slice(0, 3)) {
      const which =
        weights === undefined
          ? `the index in row ${row} is not that of the largest element`
          : `the experts of token ${row} are not those with the largest keys`;
      disagreements.push(`${ids}: ${which}, and rounding does not explain it`);
    }
    if (weights === undefined) return;
    if (tied) disagreements.push(...brokenTies(ids, outputs.get(ids)));
    const [, wanted] = want.results;
    const [, bounds] = bound.results;
    if (wanted && bounds) floats(weights, outputs.get(weights), wanted, bounds);
  });
  for (const { name, buffer } of program.results) {
    const want = exact.results.get(name);
    const bound = bounded.results.get(name);
    if (want && bound) floats(name, outputs.get(buffer), want, bound);
  }
  // Infinity has no place in JSON.
  return { maxErrorOverBound: Math.min(worst, Number.MAX_VALUE), ambiguousTokens, disagreements };
}

/** Error in units of the bound. Equal values agree whatever they are; a NaN or an infinity on one side only never does. */
function errorOverBound(found: number, want: number, bound: number): number {
  if (Object.is(found, want) || found === want) return 0;
  const ratio = Math.abs(found - want) / bound;
  return Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
}

/** Where all experts score alike, the lowest ids are chosen, in order. */
function brokenTies(name: string, ids: Tensor | undefined): string[] {
  const topK = ids?.dims[1] ?? 1;
  const at = ids?.data.findIndex((id, i) => id !== i % topK) ?? -1;
  if (at < 0) return [];
  return [
    `${name}[${position(at, ids?.dims ?? [])}]: all experts score alike, expert ${at % topK} expected (the lowest id), ${ids?.data[at]} found`,
  ];
}

function position(index: number, dims: readonly number[]): string {
  const at: number[] = [];
  let rest = index;
  for (const d of [...dims].reverse()) {
    at.unshift(rest % d);
    rest = Math.floor(rest / d);
  }
  return at.join(", ");
}

/** The first output whose bits differ between two runs; undefined where all are the same. */
export function differingOutput(a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>): string | undefined {
  const bytes = ({ data }: Tensor): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return [...a].find(([name, tensor]) => {
    const other = b.get(name);
    if (other?.data.byteLength !== tensor.data.byteLength) return true;
    const found = bytes(other);
    return bytes(tensor).some((byte, i) => byte !== found[i]);
  })?.[0];
}
