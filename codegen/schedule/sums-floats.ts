import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { at, range, view, whole } from "../tile/builder.ts";
import { int, mul, sub } from "../tile/fold.ts";
import type { Tile, View } from "../tile/types.ts";
import { rowsOf, type Sums, type SumsContext, type TilePlace } from "./sums.ts";

/** Sums of products of floats: one step of k after the other. */
export class FloatSums implements Sums {
  readonly #context: SumsContext;

  constructor(context: SumsContext) {
    this.#context = context;
  }

  emit(acc: Tile, place: TilePlace): void {
    const { b, p, depth, scratch } = this.#context;
    const rows = rowsOf(place);
    const head = p.heads ? [at(this.#context.expert)] : [];
    const steps = Math.floor(p.inner / depth);
    const rest = p.inner - steps * depth;
    b.forLoop("step", 0, steps, 1, (step) => {
      if (place.next !== undefined) this.#prefetch(step, place.next);
      this.#multiply(acc, view(p.x, rows, ...head, range(mul(step, depth), depth)), step, place);
    });
    if (rest === 0) return;
    const last = b.alloc("x_edge", p.x.dtype, [place.size, depth], scratch);
    b.copy(whole(last), view(p.x, rows, ...head, range(steps * depth, depth)), { valid: [place.size, rest] });
    this.#multiply(acc, whole(last), int(steps), place, rest);
  }

  /** The same step of another panel. */
  #prefetch(step: ScalarExpr, panel: ScalarExpr): void {
    const { b, p, width, depth, expert } = this.#context;
    const [packed] = p.weights;
    const columns = range(0, p.sums * width);
    if (packed) b.prefetch(view(packed, at(expert), panel, step, columns, range(0, depth)));
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
