import { codeBytes } from "../../ir/core/block-formats.ts";
import { apply, type ScalarExpr } from "../../ir/core/scalar.ts";
import { at, load, range, view, whole } from "../tile/builder.ts";
import { add, mul, sub } from "../tile/fold.ts";
import type { Tile, View } from "../tile/types.ts";
import type { BlockBuffers } from "./context.ts";
import type { Product } from "./product.ts";
import { rowAt, rowsOf, type Sums, type SumsContext, type TilePlace } from "./sums.ts";

/** Codes that one step of an integer product takes: four bytes side by side. */
const group = 4;

/**
 * Sums of products of blocks. Codes are multiplied as whole numbers, block by block; each block's sum is then scaled by the scales
 * of both sides. A weight's code counts from an offset: the sum begins at −offset · Σ codes of the activations, instead of taking
 * the offset off each code.
 */
export class BlockSums implements Sums {
  readonly #context: SumsContext;
  readonly #x: BlockBuffers;
  readonly #weights: readonly BlockBuffers[];

  constructor(context: SumsContext, { x, weights }: NonNullable<Product["blocks"]>) {
    this.#context = context;
    this.#x = x;
    this.#weights = weights;
  }

  emit(acc: Tile, place: TilePlace): void {
    const { b, p } = this.#context;
    const { elements } = this.#x.format;
    b.forLoop("step", 0, p.inner / elements, 1, (step) => {
      if (place.next !== undefined) this.#prefetch(step, place.next);
      const dots = b.alloc("dots", "i32", acc.dims, "register");
      this.#begin(dots, step, place);
      this.#multiply(dots, step, place);
      this.#scale(acc, dots, step, place);
    });
  }

  #begin(dots: Tile, step: ScalarExpr, place: TilePlace): void {
    const { b } = this.#context;
    const offset = this.#weights[0]?.format.offset ?? 0;
    const { sums } = this.#x;
    const columns = range(0, dots.dims[1] ?? 1);
    for (let i = 0; i < place.size; i++) {
      const start = sums ? mul(load(sums, rowAt(place, i), step), -offset) : 0;
      b.fill(view(dots, i, columns), b.letScalar("start", start));
    }
  }

  #multiply(dots: Tile, step: ScalarExpr, place: TilePlace): void {
    const { b } = this.#context;
    const rows = rowsOf(place);
    const { codes, format } = this.#x;
    const block = mul(step, format.elements);
    const weight = this.#weights[0]?.format;
    if (weight === undefined) return;
    for (let g = 0; g * group < codeBytes(weight); g++) {
      const parts = this.#codes(step, g, place);
      const multiply = (element: number, half?: "low" | "high"): void => {
        const a = view(codes, rows, range(add(block, element), group));
        for (const { columns, part } of parts)
          b.mma(view(dots, range(0, place.size), columns), a, part, half ? { half } : {});
      };
      if (weight.bits === 8) multiply(g * group);
      else {
        multiply(g * group, "low");
        multiply(weight.elements / 2 + g * group, "high");
      }
    }
  }

  /** A group of codes of all columns of a tile: for packed weights all sums at once, else one view per weight. */
  #codes(step: ScalarExpr, g: number, { panel, edge }: TilePlace) {
    const { b, p, width, expert, scratch } = this.#context;
    const lead = p.offsets ? [at(expert)] : [];
    if (p.packed) {
      const columns = range(0, p.sums * width);
      return this.#weights.map(({ codes }) => ({
        columns,
        part: view(codes, ...lead, panel, step, g, columns, range(0, group)),
      }));
    }
    return this.#weights.map(({ codes, format }, q) => {
      const first = mul(panel, width);
      const bytes = range(add(mul(step, codeBytes(format)), g * group), group);
      let part: View = view(codes, ...lead, range(first, width), bytes);
      if (edge) {
        const tile = b.alloc("codes_edge", "u8", [width, group], scratch);
        b.copy(whole(tile), part, { valid: [sub(p.columns, first), group] });
        part = whole(tile);
      }
      return { columns: range(q * width, width), part };
    });
  }

  /** acc += dots · scale of the weight's block · scale of the row's block. */
  #scale(acc: Tile, dots: Tile, step: ScalarExpr, place: TilePlace): void {
    const { b, p, width, expert } = this.#context;
    const lead = p.offsets ? [at(expert)] : [];
    const columns = range(0, p.sums * width);
    const scales = b.alloc("scales", "f32", [p.sums * width], "register");
    if (p.packed) {
      for (const w of this.#weights) b.copy(whole(scales), view(w.scales, ...lead, place.panel, step, columns));
    } else {
      const first = mul(place.panel, width);
      this.#weights.forEach((w, q) => {
        const valid = place.edge ? { valid: [sub(p.columns, first)] } : {};
        b.copy(view(scales, range(q * width, width)), view(w.scales, ...lead, range(first, width), step), valid);
      });
    }
    for (let i = 0; i < place.size; i++) {
      const own = b.letScalar("scale", load(this.#x.scales, rowAt(place, i), step));
      const row = view(acc, i, columns);
      b.map(row, { sum: row, dots: view(dots, i, columns), scale: whole(scales) }, ({ sum, dots: dot, scale }) =>
        apply("fma", apply("toFloat", dot), apply("mul", scale, own), sum),
      );
    }
  }

  /** The same step of another panel. */
  #prefetch(step: ScalarExpr, panel: ScalarExpr): void {
    const { b, p, width, expert } = this.#context;
    const columns = range(0, p.sums * width);
    for (const { codes, format } of this.#weights)
      b.prefetch(view(codes, at(expert), panel, step, range(0, codeBytes(format) / group), columns, range(0, group)));
  }
}
