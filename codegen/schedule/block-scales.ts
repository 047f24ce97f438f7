import { apply, type ScalarExpr } from "../../ir/core/scalar.ts";
import { at, range, view } from "../tile/builder.ts";
import { add, mul, sub } from "../tile/fold.ts";
import type { Tile, ViewIndex } from "../tile/types.ts";
import { type BlockBuffers, besideOf, type PartBuffer } from "./context.ts";
import { matrixIn } from "./product.ts";
import { type Step, type SumsContext, type TilePlace, walkStripe } from "./sums.ts";

/** Walks the steps of k, those of one block in an inner loop where a block has several. */
export function walkSteps(
  context: SumsContext,
  { format: { elements, step: size } }: BlockBuffers,
  body: (step: Step) => void,
): void {
  const { b, p } = context;
  if (elements === size) {
    walkStripe(context, "step", p.inner / size, (step, inside) => body({ step, block: step, inside }));
    return;
  }
  const ratio = elements / size;
  walkStripe(context, "block", p.inner / elements, (block, inside) => {
    // Lanes of stripes are in different blocks, and loop alike.
    if (context.stripe) b.forLoop("at", 0, ratio, 1, (i) => body({ step: add(mul(block, ratio), i), block, inside }));
    else b.forLoop("step", mul(block, ratio), mul(add(block, 1), ratio), 1, (step) => body({ step, block, inside }));
  });
}

/** Which number of a part a step of `size` elements takes. */
const numberOf = ({ every }: PartBuffer, size: number, { step, block }: Step) => at(every > size ? block : step);

/**
 * Asks for what lies beside the codes of the next panel: few lines, but another page for each panel, at whose beginning a CPU does not
 * look ahead yet.
 */
export function prefetchBeside(
  { b, p, width, expert }: SumsContext,
  weights: readonly BlockBuffers[],
  step: Step,
  panel: ScalarExpr,
): void {
  const lead = matrixIn(p, expert);
  const size = weights[0]?.format.step ?? 1;
  const columns = range(0, p.sums * width);
  for (const part of weights.flatMap(besideOf)) {
    const { buffer } = part;
    const inPanel = buffer.dims.slice(lead.length + 1).reduce((all, dim) => all * (dim.constant ?? 1), 1);
    b.prefetch(view(buffer, ...lead, at(panel), numberOf(part, size, step), columns), inPanel);
  }
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
  step: Step,
  place: TilePlace,
): Tile | undefined {
  const { b, p, width, expert } = context;
  if (weights.every((parts) => parts.length === 0)) return undefined;
  const lead = matrixIn(p, expert);
  const factors = b.alloc(name, "f32", [p.sums * width], "register");
  weights.forEach((parts, q) => {
    const first = mul(place.panel, width);
    const columns: readonly ViewIndex[] = p.packed ? [at(place.panel)] : [range(first, width)];
    const own = p.packed ? range(0, p.sums * width) : range(q * width, width);
    const valid = !p.packed && place.edge ? { valid: [sub(p.columns, first)] } : {};
    const [one, two] = parts.map((part) => {
      const { buffer } = part;
      const number = numberOf(part, size, step);
      return p.packed ? view(buffer, ...lead, ...columns, number, own) : view(buffer, ...lead, ...columns, number);
    });
    if (one === undefined) return;
    if (two === undefined) b.copy(view(factors, own), one, valid);
    else b.map(view(factors, own), { d: one, n: two }, ({ d, n }) => apply("mul", d, apply("toFloat", n)), valid);
  });
  return factors;
}
