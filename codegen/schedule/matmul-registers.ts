import { IrError } from "../../ir/core/diagnostic.ts";
import type { ScalarExpr } from "../../ir/core/scalar.ts";
import {
  columnsOfEach,
  isStorage,
  type RegisterMatmul,
  type StagedTile,
  type Storage,
  type Stripes,
} from "../target.ts";
import { gather, load, range, whole } from "../tile/builder.ts";
import { add, int, lt, min, mul, sub } from "../tile/fold.ts";
import type { SizeRange, Tile } from "../tile/types.ts";
import type { Schedule } from "./context.ts";
import { stagedKernel } from "./matmul-staged.ts";
import { stripedKernel } from "./matmul-striped.ts";
import { prefetching } from "./prefetching.ts";
import { describeProduct, type Product } from "./product.ts";
import { beginProduct, expertOf, positionsOf, rowsOfMatrix, storeSums, sumsOf } from "./product-kernel.ts";
import { reachBeyond, rowWalk } from "./rows.ts";
import type { Fetched, Sums, SumsContext } from "./sums.ts";

/**
 * Products in registers. A block takes some panels of output columns of one weight matrix and walks the rows that belong to it
 * in register tiles, large tiles first, the rest in smaller ones. Sums stay in registers over the whole inner dimension;
 * the epilogue is applied before they are stored. Where the target asks for it, few or many rows are computed in other ways.
 */
export const scheduleRegisterProduct: Schedule = (operation, context) => {
  const { matmul } = context.target;
  if (matmul.kind !== "registers") throw new IrError("this target has no register products", "Use its own schedule.");
  const p = describeProduct(operation, context);
  const dtype = operation.operands.at(-1)?.type.dtype ?? "f32";
  const dot = isStorage(dtype) ? matmul.dot[dtype] : undefined;
  if (!isStorage(dtype) || dot === undefined)
    throw new IrError(`weights of type ${dtype} cannot be multiplied on this target`, "Choose another storage.");
  const { scratch } = context.target;
  const depth = p.packed?.depth ?? dot.depth;
  return formsOf(p, matmul, dot).map((form) => {
    const b = beginProduct(operation, context, p, form);
    if (form.staged) stagedKernel({ b, p, scratch, depth }, form.staged, form.rowBlocks);
    else if (form.stripes) stripedKernel({ b, p, scratch, depth }, form.stripes, form.rows);
    else registerKernel({ b, p, scratch, depth }, matmul, dtype, form);
    return b.build();
  });
};

/** One kernel of a product: its register tiles, the blocks that share rows, and for which numbers of rows it is launched. */
interface Form {
  readonly suffix?: string;
  readonly rows: readonly number[];
  readonly rowBlocks: number;
  readonly staged?: StagedTile;
  readonly stripes?: Stripes;
  readonly when?: SizeRange;
}

const rowBlocksOf = (p: Product, { rowBlocks }: RegisterMatmul): number =>
  (p.offsets || p.heads ? rowBlocks?.grouped : rowBlocks?.linear) ?? 1;

/**
 * The usual form; where the target asks for them another one for few rows and one for many, chosen at run time, or now where their
 * number is known.
 */
function formsOf(
  p: Product,
  matmul: RegisterMatmul,
  dot: NonNullable<RegisterMatmul["dot"][Storage]>,
): readonly Form[] {
  const matrices = p.offsets ? p.experts : 1;
  const rowBlocks = rowBlocksOf(p, matmul);
  const forms: { readonly form: Form; readonly from: number }[] = [];
  const { few, staged } = matmul;
  const stripes = p.packed && few?.stripes;
  if (few && (dot.rows === undefined || stripes)) {
    // Of experts that have few rows on average, one may have many.
    const rows = few.rows.filter((size) => size < few.below * matrices);
    forms.push({ form: { suffix: "few", rows, rowBlocks: 1, ...(stripes ? { stripes } : {}) }, from: 0 });
  }
  forms.push({ form: { rows: dot.rows ?? matmul.rows, rowBlocks }, from: few && forms.length > 0 ? few.below : 0 });
  if (p.packed && staged)
    forms.push({ form: { suffix: "many", rows: staged.rows, rowBlocks, staged }, from: staged.from });
  const ranges = forms.flatMap(({ form, from }, i) => {
    const next = forms[i + 1]?.from;
    if (next === from) return [];
    const below = next === undefined ? {} : { below: next * matrices };
    return [{ form, range: { of: p.rows, from: from * matrices, ...below } }];
  });
  if (ranges.length === 1) return ranges.map(({ form }) => form);
  const { constant } = p.rows;
  if (constant === undefined) return ranges.map(({ form, range }) => ({ ...form, when: range }));
  return ranges.flatMap(({ form, range }) =>
    constant >= range.from && !(constant >= (range.below ?? Number.POSITIVE_INFINITY)) ? [form] : [],
  );
}

function registerKernel(
  { b, p, scratch, depth }: Pick<SumsContext, "b" | "p" | "scratch" | "depth">,
  matmul: RegisterMatmul,
  dtype: Storage,
  { rows: sizes, rowBlocks }: Form,
): void {
  const width =
    p.packed?.rows ?? (matmul.lanes ? divisorUpTo(columnsOfEach(matmul, p.sums), p.columns) : matmul.columns);
  const panels = Math.ceil(p.columns / width);
  const { panelsPerBlock } = matmul;
  const expert = expertOf(b, p);
  const inStep = matmul.lanes ? ({ lanes: true } as const) : undefined;
  const before = inStep && b.grid("part", rowBlocks);
  const block = b.grid("block", Math.ceil(panels / panelsPerBlock), inStep);
  const part = before ?? b.grid("part", rowBlocks);
  const { first, count } = rowsOfMatrix(b, p, expert);

  const parts: SumsContext = { b, p, scratch, width, depth, expert };
  const last = reachBeyond(sizes) ? b.letScalar("last", add(first, sub(count, 1))) : undefined;
  const sums = sumsOf(parts);
  const tile = new ProductTile(parts, sums, first, last);
  const walk = rowWalk(b, sizes, count, { part, parts: rowBlocks });
  const onPanel = (panel: ScalarExpr): void => {
    const next = min(add(panel, 1), panels - 1);
    const fetchedBy = p.packed
      ? prefetching({ b, p, expert, chunks: sums.chunks, sizes, count, panel, next }, matmul, dtype)
      : () => undefined;
    const rows = (edge: boolean) => walk((size, row) => tile.emit(size, row, panel, edge, fetchedBy(size, row)));
    const fullPanels = Math.floor(p.columns / width);
    if (fullPanels === panels) rows(false);
    // Lanes take one branch: what is beyond the last column is computed of zeros, and not stored.
    else if (matmul.lanes) rows(true);
    else
      b.when(
        lt(panel, fullPanels),
        () => rows(false),
        () => rows(true),
      );
  };
  if (panelsPerBlock === 1) onPanel(block);
  else {
    const from = b.letScalar("from", mul(block, panelsPerBlock));
    b.forLoop("panel", from, b.letScalar("to", min(add(from, panelsPerBlock), panels)), 1, onPanel);
  }
}

/** The largest number up to `most` that divides `size`. */
function divisorUpTo(most: number, size: number): number {
  let divisor = Math.min(most, size);
  while (size % divisor !== 0) divisor--;
  return divisor;
}

/** Emits one register tile: `size` rows by the columns of one panel. */
class ProductTile {
  readonly #context: SumsContext;
  readonly #sums: Sums;
  readonly #first: ScalarExpr;
  /** The last row, where tiles reach beyond it: they repeat it, and store the same again, which needs no branches. */
  readonly #last: ScalarExpr | undefined;

  constructor(context: SumsContext, sums: Sums, first: ScalarExpr, last: ScalarExpr | undefined) {
    this.#context = context;
    this.#sums = sums;
    this.#first = first;
    this.#last = last;
  }

  emit(size: number, row: ScalarExpr, panel: ScalarExpr, edge: boolean, fetched: Fetched | undefined): void {
    const { b, p, width } = this.#context;
    const last = this.#last;
    const from = b.letScalar("top", add(this.#first, row));
    const clamped = last && this.#clamped(size, from, last);
    const at = (i: ScalarExpr): ScalarExpr => (clamped ? load(clamped, i) : add(from, i));
    const positions = p.gather ? positionsOf(this.#context, size, at) : clamped;
    const acc = b.alloc("acc", "f32", [size, p.sums * width], "register");
    b.fill(whole(acc), 0);
    this.#sums.emit(acc, { size, from, positions, panel, edge, fetched });
    const n = mul(panel, width);
    const rows = clamped ? gather(clamped) : range(from, size);
    storeSums(this.#context, acc, rows, n, edge ? [size, sub(p.columns, n)] : undefined);
  }

  #clamped(size: number, from: ScalarExpr, last: ScalarExpr): Tile {
    const { b, scratch } = this.#context;
    const rows = b.alloc("rows", "i32", [size], scratch);
    for (let i = 0; i < size; i++) b.set(rows, int(i), min(add(from, i), last));
    return rows;
  }
}
