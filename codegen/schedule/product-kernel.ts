import type { Operation } from "../../ir/core/layer.ts";
import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { Beside } from "../../ir/ops/product-beside.ts";
import type { ProgramBuffer } from "../program.ts";
import { at, type KernelBuilder, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, dimExpr, floorDiv, type Int, int, sub } from "../tile/fold.ts";
import type { SizeRange, Tile, View, ViewIndex } from "../tile/types.ts";
import { besideOf, buffersOf, type ScheduleContext } from "./context.ts";
import { kernelName, originOf } from "./elementwise.ts";
import type { Product } from "./product.ts";
import type { Sums, SumsContext } from "./sums.ts";
import { BlockSums } from "./sums-blocks.ts";
import { FloatSums } from "./sums-floats.ts";
import { ScaledSums } from "./sums-scaled.ts";

/** Begins a kernel of a product, with all of its buffers. */
export function beginProduct(
  operation: Operation,
  context: ScheduleContext,
  p: Product,
  { suffix, when }: { readonly suffix?: string; readonly when?: SizeRange },
): KernelBuilder {
  const name = kernelName(operation, context);
  const b = kernelBuilder(suffix ? `${name}_${suffix}` : name, originOf(operation, p.summary));
  if (when) b.forSizes(when);
  const { x } = p.blocks ?? {};
  for (const buffer of x ? buffersOf(x) : [p.x]) b.read(buffer);
  if (p.offsets) b.read(p.offsets);
  if (p.gather) b.read(p.gather.slots);
  for (const w of p.weights) b.read(w);
  for (const w of p.blocks?.weights ?? []) for (const { buffer } of besideOf(w)) b.read(buffer);
  for (const { value } of p.beside) b.read(value);
  b.write(p.y);
  return b;
}

/** Which matrix a block multiplies with, its first coordinate. */
export const expertOf = (b: KernelBuilder, { experts, hit }: Product): ScalarExpr =>
  b.grid("expert", experts, hit && experts > 1 ? { listed: b.read(hit).name } : {});

/** The first row that a matrix multiplies, and how many there are. */
export function rowsOfMatrix(
  b: KernelBuilder,
  p: Product,
  expert: ScalarExpr,
): { readonly first: ScalarExpr; readonly count: ScalarExpr } {
  if (!p.offsets) return { first: int(0), count: dimExpr(p.rows) };
  const first = b.letScalar("first", load(p.offsets, expert));
  return { first, count: b.letScalar("count", sub(load(p.offsets, add(expert, 1)), first)) };
}

/** Where the activations of a row of the result lie: in the row itself, or where rows are gathered by token, slot div top-k. */
export const positionOf = ({ gather }: Product, row: ScalarExpr): ScalarExpr =>
  gather ? floorDiv(load(gather.slots, row), gather.topK) : row;

/** That of each row of a tile. */
export function positionsOf(
  { b, p, scratch }: Pick<SumsContext, "b" | "p" | "scratch">,
  size: number,
  row: (i: ScalarExpr) => ScalarExpr,
): Tile {
  const tile = b.alloc(p.gather ? "tokens" : "positions", "i32", [size], scratch);
  b.forLoop("i", 0, size, 1, (i) => b.set(tile, i, positionOf(p, row(i))));
  return tile;
}

/** How sums are made: of floats, of floats in scaled blocks, or of whole numbers in blocks. */
export function sumsOf(context: SumsContext): Sums {
  const { x, weights: [first, ...rest] = [] } = context.p.blocks ?? {};
  if (first === undefined) return new FloatSums(context);
  return x === undefined ? new ScaledSums(context, [first, ...rest]) : new BlockSums(context, x, [first, ...rest]);
}

/**
 * Applies the epilogue to a tile of sums, [rows, sums · columns], and what stands beside them, and stores what it gives in these rows,
 * from column `n` on.
 * @param columns of each sum; default those of a panel
 */
export function storeSums(
  { b, p, width, expert }: SumsContext,
  acc: Tile,
  rows: ViewIndex,
  n: ScalarExpr,
  valid: readonly Int[] | undefined,
  columns = width,
): void {
  const size = acc.dims[0] ?? 1;
  const head = p.heads ? [at(expert)] : [];
  const store = valid ? { valid } : {};
  const target = view(p.y, rows, ...head, range(n, columns));
  if (p.epilogue === undefined) {
    b.copy(target, whole(acc), store);
    return;
  }
  const out = b.alloc("out", "f32", [size, columns], "register");
  const sums = Array.from({ length: p.sums }, (_, q) => view(acc, range(0, size), range(q * columns, columns)));
  const isInMemory = p.beside.some(({ kind }) => kind === "rows" || kind === "elements");
  b.mapFunction(whole(out), [...sums, ...p.beside.map(besideOfTile)], p.epilogue, isInMemory ? store : {});
  b.copy(target, whole(out), store);

  function besideOfTile({ kind, value }: Beside<ProgramBuffer>): View {
    if (kind === "rows") return view(value, rows, range(0, 1));
    if (kind === "elements") return view(value, rows, range(n, columns));
    // Read once for all rows.
    const part = b.alloc(value.name, "f32", [columns], "register");
    const own = kind === "expert_columns" ? [at(expert)] : [];
    b.copy(whole(part), view(value, ...own, range(n, columns)), valid ? { valid: valid.slice(1) } : {});
    return whole(part);
  }
}
