import { IrError } from "../../ir/core/diagnostic.ts";
import type { Operation } from "../../ir/core/layer.ts";
import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { ProgramBuffer } from "../program.ts";
import { isStorage, type RegisterMatmul, type Storage } from "../target.ts";
import { at, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, dimExpr, floorDiv, int, lt, min, mul, select, sub } from "../tile/fold.ts";
import type { Kernel, SizeRange, Tile } from "../tile/types.ts";
import { balancedRows } from "./balance.ts";
import { besideOf, type Schedule, type ScheduleContext } from "./context.ts";
import { kernelName, originOf } from "./elementwise.ts";
import { describeProduct, type Product } from "./product.ts";
import { walkRows } from "./rows.ts";
import type { Sums, SumsContext } from "./sums.ts";
import { BlockSums } from "./sums-blocks.ts";
import { FloatSums } from "./sums-floats.ts";
import { ScaledSums } from "./sums-scaled.ts";

/**
 * Products in registers. A block takes some panels of output columns of one weight matrix and walks the rows that belong to it
 * in register tiles, large tiles first, the rest in smaller ones. Sums stay in registers over the whole inner dimension;
 * the epilogue is applied before they are stored.
 */
export const scheduleRegisterProduct: Schedule = (operation, context) => {
  const { matmul } = context.target;
  if (matmul.kind !== "registers") throw new IrError("this target has no register products", "Use its own schedule.");
  const p = describeProduct(operation, context);
  const dtype = operation.operands.at(-1)?.type.dtype ?? "f32";
  const dot = isStorage(dtype) ? matmul.dot[dtype] : undefined;
  if (!isStorage(dtype) || dot === undefined)
    throw new IrError(`weights of type ${dtype} cannot be multiplied on this target`, "Choose another storage.");
  const usual = { rows: dot.rows ?? matmul.rows, rowBlocks: rowBlocksOf(p, matmul) };
  return formsOf(p, usual, dot.rows ? undefined : matmul.few).map((form) =>
    productKernel(operation, context, p, { matmul, dtype, depth: dot.depth }, form),
  );
};

/** One kernel of a product: its register tiles, the blocks that share rows, and for which numbers of rows it is launched. */
interface Form {
  readonly suffix?: string;
  readonly rows: readonly number[];
  readonly rowBlocks: number;
  readonly when?: SizeRange;
}

const rowBlocksOf = (p: Product, { rowBlocks }: RegisterMatmul): number =>
  (p.offsets || p.heads ? rowBlocks?.grouped : rowBlocks?.linear) ?? 1;

/** The usual form; where the target asks for it another one for few rows, chosen at run time, or now where their number is known. */
function formsOf(p: Product, usual: Form, few: RegisterMatmul["few"]): readonly Form[] {
  if (few === undefined) return [usual];
  const below = few.below * (p.offsets ? p.experts : 1);
  // Of experts that have few rows on average, one may have many.
  const rows = few.rows.filter((size) => size < below);
  const small: Form = { suffix: "few", rows, rowBlocks: 1 };
  const { constant } = p.rows;
  if (constant !== undefined) return [constant < below ? small : usual];
  return [
    { ...small, when: { of: p.rows, from: 0, below } },
    { ...usual, when: { of: p.rows, from: below } },
  ];
}

function productKernel(
  operation: Operation,
  context: ScheduleContext,
  p: Product,
  { matmul, dtype, depth: step }: { readonly matmul: RegisterMatmul; readonly dtype: Storage; readonly depth: number },
  { suffix, rows: sizes, rowBlocks, when }: Form,
): Kernel {
  const name = kernelName(operation, context);
  const b = kernelBuilder(suffix ? `${name}_${suffix}` : name, originOf(operation, p.summary));
  if (when) b.forSizes(when);
  b.read(p.x);
  const { x } = p.blocks ?? {};
  for (const { buffer } of x ? besideOf(x) : []) b.read(buffer);
  if (x?.sums) b.read(x.sums);
  if (p.offsets) b.read(p.offsets);
  if (p.gather) b.read(p.gather.slots);
  for (const w of p.weights) b.read(w);
  for (const w of p.blocks?.weights ?? []) for (const { buffer } of besideOf(w)) b.read(buffer);
  b.write(p.y);

  const width = p.packed?.rows ?? (matmul.lanes ? divisorUpTo(matmul.columns, p.columns) : matmul.columns);
  const panels = Math.ceil(p.columns / width);
  const { panelsPerBlock } = matmul;
  const expert = b.grid("expert", p.experts);
  const inStep = matmul.lanes ? ({ lanes: true } as const) : undefined;
  const before = inStep && b.grid("part", rowBlocks);
  const block = b.grid("block", Math.ceil(panels / panelsPerBlock), inStep);
  const part = before ?? b.grid("part", rowBlocks);
  const first = p.offsets ? b.letScalar("first", load(p.offsets, expert)) : int(0);
  const count = p.offsets ? b.letScalar("count", sub(load(p.offsets, add(expert, 1)), first)) : dimExpr(p.rows);

  const depth = p.packed?.depth ?? step;
  const parts: SumsContext = { b, p, scratch: context.target.scratch, width, depth, expert };
  const tile = new ProductTile(parts, sumsOf(parts), first);
  const { prefetch } = matmul;
  const balanced = p.packed && p.offsets && isStorage(dtype) ? balancedRows(matmul, dtype) : undefined;
  const onPanel = (panel: ScalarExpr): void => {
    const following = min(add(panel, 1), panels - 1);
    // Below the balance the hint names the present panel, and so does nothing.
    const next =
      balanced === undefined ? undefined : b.letScalar("next", select(lt(count, balanced), panel, following));
    const rows = (edge: boolean) =>
      walkRows(b, sizes, count, { part, parts: rowBlocks }, (size, row) =>
        tile.emit(size, row, panel, edge, prefetch && size >= prefetch.tile ? next : undefined),
      );
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
  return b.build();
}

/** The largest number up to `most` that divides `size`. */
function divisorUpTo(most: number, size: number): number {
  let divisor = Math.min(most, size);
  while (size % divisor !== 0) divisor--;
  return divisor;
}

/** How sums are made: of floats, of floats in scaled blocks, or of whole numbers in blocks. */
function sumsOf(context: SumsContext): Sums {
  const { x, weights: [first, ...rest] = [] } = context.p.blocks ?? {};
  if (first === undefined) return new FloatSums(context);
  return x === undefined ? new ScaledSums(context, [first, ...rest]) : new BlockSums(context, x, [first, ...rest]);
}

/** Emits one register tile: `size` rows by the columns of one panel. */
class ProductTile {
  readonly #context: SumsContext;
  readonly #sums: Sums;
  readonly #first: ScalarExpr;

  constructor(context: SumsContext, sums: Sums, first: ScalarExpr) {
    this.#context = context;
    this.#sums = sums;
    this.#first = first;
  }

  /** @param next the panel to prefetch meanwhile, if any */
  emit(size: number, row: ScalarExpr, panel: ScalarExpr, edge: boolean, next: ScalarExpr | undefined): void {
    const { b, p, width } = this.#context;
    const from = b.letScalar("top", add(this.#first, row));
    const tokens = p.gather ? this.#tokens(p.gather.slots, p.gather.topK, from, size) : undefined;
    const head = p.heads ? [at(this.#context.expert)] : [];
    const acc = b.alloc("acc", "f32", [size, p.sums * width], "register");
    b.fill(whole(acc), 0);
    this.#sums.emit(acc, { size, from, tokens, panel, edge, next });
    const n = mul(panel, width);
    const store = edge ? { valid: [size, sub(p.columns, n)] } : {};
    const target = view(p.y, range(from, size), ...head, range(n, width));
    if (p.epilogue === undefined) {
      b.copy(target, whole(acc), store);
      return;
    }
    const out = b.alloc("out", "f32", [size, width], "register");
    const sums = p.epilogue.params.map((_, q) => view(acc, range(0, size), range(q * width, width)));
    b.mapFunction(whole(out), sums, p.epilogue);
    b.copy(target, whole(out), store);
  }

  /** Which token each row of a tile is: slot div top-k. */
  #tokens(slots: ProgramBuffer, topK: number, from: ScalarExpr, size: number): Tile {
    const { b, scratch } = this.#context;
    const tokens = b.alloc("tokens", "i32", [size], scratch);
    b.forLoop("i", 0, size, 1, (i) => b.set(tokens, i, floorDiv(load(slots, add(from, i)), topK)));
    return tokens;
  }
}
