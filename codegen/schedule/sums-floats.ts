import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { dtypeBytes } from "../../ir/core/types.ts";
import { at, range, view, whole } from "../tile/builder.ts";
import { eq, int, mul, select, sub } from "../tile/fold.ts";
import type { Tile, View } from "../tile/types.ts";
import {
  type Factors,
  type Fetched,
  rowsOf,
  type Step,
  type Sums,
  type SumsContext,
  type TilePlace,
  walkStripe,
} from "./sums.ts";

/** Sums of products of floats: one step of k after the other. */
export class FloatSums implements Sums {
  readonly #context: SumsContext;

  constructor(context: SumsContext) {
    this.#context = context;
  }

  emit(acc: Tile, place: TilePlace): void {
    const { p, depth, stripe } = this.#context;
    const steps = Math.floor(p.inner / depth);
    const rest = p.inner - steps * depth;
    const onStep = (step: ScalarExpr, inside: ScalarExpr | undefined): void => {
      if (place.fetched) this.#prefetch(step, place.fetched);
      const a = inside ? this.#part(step, place, select(inside, depth, 0)) : this.#rows(step, place);
      this.#multiply(acc, a, step, place);
    };
    // Where a hint's place is computed, it takes a good part of the time of a step of one element.
    walkStripe(this.#context, "step", steps, onStep, depth === 1 && place.fetched?.at ? { unroll: 2 } : {});
    if (rest === 0) return;
    const taken = stripe ? select(eq(stripe.lane, 0), rest, 0) : rest;
    this.#multiply(acc, this.#part(int(steps), place, taken), int(steps), place, rest);
  }

  step(acc: Tile, _: Step, __: TilePlace, { rows, columns }: Factors): void {
    this.#context.b.mma(whole(acc), rows(0), columns(0));
  }

  #rows(step: ScalarExpr, place: TilePlace): View {
    const { p, depth, expert } = this.#context;
    const head = p.heads ? [at(expert)] : [];
    return view(p.x, rowsOf(place), ...head, range(mul(step, depth), depth));
  }

  /** A step of activations of which only the first elements count. */
  #part(step: ScalarExpr, place: TilePlace, taken: ScalarExpr | number): View {
    const { b, p, depth, scratch } = this.#context;
    const part = b.alloc("x_edge", p.x.dtype, [place.size, depth], scratch);
    b.copy(whole(part), this.#rows(step, place), { valid: [place.size, taken] });
    return whole(part);
  }

  #prefetch(step: ScalarExpr, { panel, at: fetched = (same) => same, ahead = 0 }: Fetched): void {
    const { b, p, width, depth, expert } = this.#context;
    const [packed] = p.weights;
    if (!packed) return;
    const lead = p.offsets || p.heads ? [at(expert)] : [];
    const columns = range(0, p.sums * width);
    b.prefetch(view(packed, ...lead, panel, fetched(step), columns, range(0, depth)), ahead / dtypeBytes[packed.dtype]);
  }

  /** acc += one step of k: for packed weights one product over all sums, else one per weight. */
  #multiply(acc: Tile, a: View, step: ScalarExpr, { panel, edge }: TilePlace, validDepth?: number): void {
    const { b, p, width, depth, expert, scratch } = this.#context;
    const lead = p.offsets || p.heads ? [at(expert)] : [];
    const [packed] = p.weights;
    if (p.packed && packed) {
      b.mma(whole(acc), a, view(packed, ...lead, panel, step, range(0, p.sums * width), range(0, depth)));
      return;
    }
    p.weights.forEach((w, q) => {
      const columns = mul(panel, width);
      let part = view(w, ...lead, range(columns, width), range(mul(step, depth), depth));
      if (edge || validDepth !== undefined) {
        const tile = b.alloc("w_edge", w.dtype, [width, depth], scratch);
        b.copy(whole(tile), part, { valid: [edge ? sub(p.columns, columns) : width, validDepth ?? depth] });
        part = whole(tile);
      }
      b.mma(view(acc, range(0, acc.dims[0] ?? 1), range(q * width, width)), a, part);
    });
  }
}
