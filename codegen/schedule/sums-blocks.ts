import { codeBytes } from "../../ir/core/block-formats.ts";
import { apply, f32, type ScalarExpr } from "../../ir/core/scalar.ts";
import { load, range, view, whole } from "../tile/builder.ts";
import { add, type Int, mul, sub } from "../tile/fold.ts";
import type { Tile, View } from "../tile/types.ts";
import { columnFactors, prefetchBeside, walkSteps } from "./block-scales.ts";
import type { BlockBuffers } from "./context.ts";
import { matrixIn } from "./product.ts";
import {
  type Factors,
  type Fetched,
  rowAt,
  rowsOf,
  type Step,
  type Sums,
  type SumsContext,
  type TilePlace,
} from "./sums.ts";

/** Codes that one step of an integer product takes: four bytes side by side. */
export const group = 4;

/**
 * Sums of products of blocks. Codes are multiplied as whole numbers, block by block; each block's sum is then scaled by the scales
 * of both sides. A weight's code counts from an offset: the sum begins at −offset · Σ codes of the activations, instead of taking
 * the offset off each code.
 */
export class BlockSums implements Sums {
  readonly #context: SumsContext;
  readonly #x: BlockBuffers;
  readonly #weights: readonly [BlockBuffers, ...BlockBuffers[]];

  constructor(context: SumsContext, x: BlockBuffers, weights: readonly [BlockBuffers, ...BlockBuffers[]]) {
    this.#context = context;
    this.#x = x;
    this.#weights = weights;
  }

  get chunks(): number {
    return this.#context.p.inner / this.#weights[0].format.step;
  }

  emit(acc: Tile, place: TilePlace): void {
    walkSteps(this.#context, this.#weights[0], (at) => {
      if (place.fetched) {
        this.#prefetch(at.step, place.fetched);
        prefetchBeside(this.#context, this.#weights, at, place.panel);
      }
      this.step(acc, at, place);
    });
  }

  step(acc: Tile, at: Step, place: TilePlace, factors?: Factors): void {
    const dots = this.#context.b.alloc("dots", "i32", acc.dims, "register");
    this.#begin(dots, at.step, place);
    this.#multiply(dots, at.step, place, factors);
    this.#scale(acc, dots, at, place);
  }

  #begin(dots: Tile, step: ScalarExpr, place: TilePlace): void {
    const { b } = this.#context;
    const { offset } = this.#weights[0].format;
    const { sums } = this.#x;
    const columns = range(0, dots.dims[1] ?? 1);
    for (let i = 0; i < place.size; i++) {
      const start = sums && offset !== 0 ? mul(load(sums.buffer, rowAt(place, i), step), -offset / sums.factor) : 0;
      b.fill(view(dots, i, columns), b.letScalar("start", start));
    }
  }

  #multiply(dots: Tile, step: ScalarExpr, place: TilePlace, factors: Factors | undefined): void {
    const { b, p } = this.#context;
    const rows = rowsOf(place);
    const { codes } = this.#x;
    const { format } = this.#weights[0];
    const { values } = format;
    const first = mul(step, format.step);
    const groups = codeBytes(format, format.step) / group;
    const take = (g: Int): void => {
      const columns = range(0, dots.dims[1] ?? 1);
      const parts = factors ? [{ columns, part: factors.columns(g) }] : this.#codes(step, g, place);
      const multiply = (at: Int, half?: "low" | "high"): void => {
        const a = factors?.rows(at) ?? view(codes, rows, range(add(first, mul(at, group)), group));
        for (const { columns: own, part } of parts)
          b.mma(view(dots, range(0, place.size), own), a, part, half ? { half, values } : {});
      };
      if (format.codes === "u8") multiply(g);
      else {
        multiply(g, "low");
        multiply(add(g, format.step / 2 / group), "high");
      }
    };
    // Panels are walked by address; elsewhere what is read of a group depends on which it is.
    if (p.packed) b.forLoop("quad", 0, groups, 1, take, { unroll: groups });
    else for (let g = 0; g < groups; g++) take(g);
  }

  /** A group of codes of all columns of a tile: for packed weights all sums at once, else one view per weight. */
  #codes(step: ScalarExpr, g: Int, { panel, edge }: TilePlace) {
    const { b, p, width, expert, scratch } = this.#context;
    const lead = matrixIn(p, expert);
    if (p.packed) {
      const columns = range(0, p.sums * width);
      return this.#weights.map(({ codes }) => ({
        columns,
        part: view(codes, ...lead, panel, step, g, columns, range(0, group)),
      }));
    }
    return this.#weights.map(({ codes, format }, q) => {
      const first = mul(panel, width);
      const bytes = range(add(mul(step, codeBytes(format, format.step)), mul(g, group)), group);
      let part: View = view(codes, ...lead, range(first, width), bytes);
      if (edge) {
        const tile = b.alloc("codes_edge", "u8", [width, group], scratch);
        b.copy(whole(tile), part, { valid: [sub(p.columns, first), group] });
        part = whole(tile);
      }
      return { columns: range(q * width, width), part };
    });
  }

  /** acc += dots · scale of the weight · scale of the row − minimum of the weight · sum and scale of the row. */
  #scale(acc: Tile, dots: Tile, at: Step, place: TilePlace): void {
    const { b, p, width } = this.#context;
    const columns = range(0, p.sums * width);
    const [xScales] = this.#x.scales;
    const { step: size } = this.#weights[0].format;
    const parts = (of: "scales" | "mins") =>
      columnFactors(
        this.#context,
        of,
        this.#weights.map((w) => w[of]),
        size,
        at,
        place,
      );
    const [scales, mins] = [parts("scales"), parts("mins")];
    if (xScales === undefined || scales === undefined) return;
    for (let i = 0; i < place.size; i++) {
      const row = view(acc, i, columns);
      const scale = load(xScales.buffer, rowAt(place, i), at.step);
      const own = b.letScalar("scale", at.inside ? apply("select", at.inside, scale, f32(0)) : scale);
      b.map(row, { sum: row, dots: view(dots, i, columns), scale: whole(scales) }, ({ sum, dots: dot, scale: of }) =>
        apply("fma", apply("toFloat", dot), apply("mul", of, own), sum),
      );
      const { sums } = this.#x;
      if (mins === undefined || sums === undefined) continue;
      const sum = apply("toFloat", load(sums.buffer, rowAt(place, i), at.step));
      const taken = b.letScalar("taken", apply("neg", apply("mul", own, sum)));
      b.map(row, { sum: row, min: whole(mins) }, ({ sum, min }) => apply("fma", min, taken, sum));
    }
  }

  /** Codes are bytes. */
  #prefetch(step: ScalarExpr, fetched: Fetched): void {
    if ("hint" in fetched) {
      fetched.hint(step);
      return;
    }
    const { panel, ahead } = fetched;
    const { b, p, width, expert } = this.#context;
    const lead = matrixIn(p, expert);
    const columns = range(0, p.sums * width);
    for (const { codes, format } of this.#weights)
      b.prefetch(
        view(codes, ...lead, panel, step, range(0, codeBytes(format, format.step) / group), columns, range(0, group)),
        ahead,
      );
  }
}
