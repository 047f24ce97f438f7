import { apply } from "../../ir/core/scalar.ts";
import { at, range, view, whole } from "../tile/builder.ts";
import { add, mul } from "../tile/fold.ts";
import type { Tile } from "../tile/types.ts";
import { columnFactors, walkSteps } from "./block-scales.ts";
import type { BlockBuffers } from "./context.ts";
import { matrixIn } from "./product.ts";
import { type Factors, rowsOf, type Step, type Sums, type SumsContext, type TilePlace } from "./sums.ts";

/** Sums of products of floats with weights whose codes are floats: those of one block are summed, then scaled. In panels only. */
export class ScaledSums implements Sums {
  readonly #context: SumsContext;
  readonly #weights: readonly [BlockBuffers, ...BlockBuffers[]];

  constructor(context: SumsContext, weights: readonly [BlockBuffers, ...BlockBuffers[]]) {
    this.#context = context;
    this.#weights = weights;
  }

  get chunks(): number {
    return this.#context.p.inner / this.#weights[0].format.step;
  }

  emit(acc: Tile, place: TilePlace): void {
    const { b, p, expert, width } = this.#context;
    const { codes, format } = this.#weights[0];
    const { step: size } = format;
    const lead = matrixIn(p, expert);
    const head = p.heads ? [at(expert)] : [];
    const columns = range(0, p.sums * width);
    walkSteps(this.#context, this.#weights[0], (step) => {
      const { fetched } = place;
      if (fetched && "hint" in fetched) fetched.hint(step.step);
      else if (fetched) {
        const { panel, ahead } = fetched;
        b.prefetch(view(codes, ...lead, panel, step.step, range(0, size), columns, range(0, 1)), ahead);
      }
      const first = b.letScalar("from", mul(step.step, size));
      this.step(acc, step, place, {
        rows: (k) => view(p.x, rowsOf(place), ...head, range(add(first, k), 1)),
        columns: (k) => view(codes, ...lead, place.panel, step.step, k, columns, range(0, 1)),
      });
    });
  }

  step(acc: Tile, step: Step, place: TilePlace, factors: Factors): void {
    const { b, p, width } = this.#context;
    const { step: size } = this.#weights[0].format;
    const columns = range(0, p.sums * width);
    const part = b.alloc("part", "f32", acc.dims, "register");
    b.fill(whole(part), 0);
    b.forLoop("k", 0, size, 1, (k) => b.mma(whole(part), factors.rows(k), factors.columns(k)));
    const scales = columnFactors(
      this.#context,
      "scales",
      this.#weights.map((w) => w.scales),
      size,
      step,
      place,
    );
    if (scales === undefined) return;
    for (let i = 0; i < place.size; i++) {
      const row = view(acc, i, columns);
      b.map(row, { sum: row, part: view(part, i, columns), scale: whole(scales) }, ({ sum, part: own, scale }) => {
        const total = apply("fma", own, scale, sum);
        return step.inside ? apply("select", step.inside, total, sum) : total;
      });
    }
  }
}
