import { apply, type ScalarExpr } from "../../ir/core/scalar.ts";
import { at, range, view } from "../tile/builder.ts";
import { add, mul, sub } from "../tile/fold.ts";
import type { Tile, ViewIndex } from "../tile/types.ts";
import type { BlockBuffers, PartBuffer } from "./context.ts";
import type { SumsContext, TilePlace } from "./sums.ts";

/** A step of k: its number, and that of the block which holds it. */
export interface Step {
  readonly step: ScalarExpr;
  readonly block: ScalarExpr;
}

/** Walks the steps of k, those of one block in an inner loop where a block has several. */
export function walkSteps(
  { b, p }: SumsContext,
  { format: { elements, step: size } }: BlockBuffers,
  body: (step: Step) => void,
): void {
  if (elements === size) {
    b.forLoop("step", 0, p.inner / size, 1, (step) => body({ step, block: step }));
    return;
  }
  const ratio = elements / size;
  b.forLoop("block", 0, p.inner / elements, 1, (block) =>
    b.forLoop("step", mul(block, ratio), mul(add(block, 1), ratio), 1, (step) => body({ step, block })),
  );
}

/**
 * The product of parts that each weight has for a step of `size` elements, one number for each column of a tile; undefined where
 * there are no parts.
 */
export function columnFactors(
  context: SumsContext,
  name: string,
  weights: readonly (readonly PartBuffer[])[],
  size: number,
  { step, block }: Step,
  place: TilePlace,
): Tile | undefined {
  const { b, p, width, expert } = context;
  if (weights.every((parts) => parts.length === 0)) return undefined;
  const lead = p.offsets || p.heads ? [at(expert)] : [];
  const factors = b.alloc(name, "f32", [p.sums * width], "register");
  weights.forEach((parts, q) => {
    const first = mul(place.panel, width);
    const columns: readonly ViewIndex[] = p.packed ? [at(place.panel)] : [range(first, width)];
    const own = p.packed ? range(0, p.sums * width) : range(q * width, width);
    const valid = !p.packed && place.edge ? { valid: [sub(p.columns, first)] } : {};
    const [one, two] = parts.map(({ buffer, every }) => {
      const number = at(every > size ? block : step);
      return p.packed ? view(buffer, ...lead, ...columns, number, own) : view(buffer, ...lead, ...columns, number);
    });
    if (one === undefined) return;
    if (two === undefined) b.copy(view(factors, own), one, valid);
    else b.map(view(factors, own), { d: one, n: two }, ({ d, n }) => apply("mul", d, apply("toFloat", n)), valid);
  });
  return factors;
}
