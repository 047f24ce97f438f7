import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { dtypeBytes } from "../../ir/core/types.ts";
import { at, range, view, whole } from "../tile/builder.ts";
import { add, eq, int, mul, select, sub } from "../tile/fold.ts";
import type { Tile, View } from "../tile/types.ts";
import { matrixIn } from "./product.ts";
import { type Factors, rowsOf, type Step, type Sums, type SumsContext, type TilePlace, walkStripe } from "./sums.ts";

/** Steps of which one computes the places of what it prefetches for all: a step alone takes less time than that. */
const chunkSteps = 8;

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
    const { fetched } = place;
    if (fetched && "hint" in fetched) this.#inChunks(acc, place, steps, fetched.hint);
    else
      walkStripe(this.#context, "step", steps, (step, inside) => {
        if (fetched) this.#prefetch(step, fetched.panel, fetched.ahead);
        const a = inside ? this.#part(step, place, select(inside, depth, 0)) : this.#rows(step, place);
        this.#multiply(acc, a, step, place);
      });
    if (rest === 0) return;
    const taken = stripe ? select(eq(stripe.lane, 0), rest, 0) : rest;
    this.#multiply(acc, this.#part(int(steps), place, taken), int(steps), place, rest);
  }

  get chunks(): number {
    return Math.floor(this.#context.p.inner / this.#context.depth / chunkSteps);
  }

  #inChunks(acc: Tile, place: TilePlace, steps: number, hint: (chunk: ScalarExpr) => void): void {
    const { b, depth } = this.#context;
    const multiply = (step: ScalarExpr): void => this.#multiply(acc, this.#rows(step, place), step, place);
    b.forLoop("chunk", 0, this.chunks, 1, (chunk) => {
      hint(chunk);
      const from = b.letScalar("chunk_from", mul(chunk, chunkSteps));
      b.forLoop("step", from, add(from, chunkSteps), 1, multiply, { unroll: Math.ceil(chunkSteps / depth) });
    });
    b.forLoop("step", this.chunks * chunkSteps, steps, 1, multiply);
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

  #prefetch(step: ScalarExpr, panel: ScalarExpr, ahead = 0): void {
    const { b, p, width, depth, expert } = this.#context;
    const [packed] = p.weights;
    if (!packed) return;
    const lead = matrixIn(p, expert);
    const columns = range(0, p.sums * width);
    b.prefetch(view(packed, ...lead, panel, step, columns, range(0, depth)), ahead / dtypeBytes[packed.dtype]);
  }

  /** acc += one step of k: for packed weights one product over all sums, else one per weight. */
  #multiply(acc: Tile, a: View, step: ScalarExpr, { panel, edge }: TilePlace, validDepth?: number): void {
    const { b, p, width, depth, expert, scratch } = this.#context;
    const lead = matrixIn(p, expert);
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
