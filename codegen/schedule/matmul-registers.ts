import { IrError } from "../../ir/core/diagnostic.ts";
import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { ProgramBuffer } from "../program.ts";
import type { RegisterMatmul } from "../target.ts";
import { at, gather, type KernelBuilder, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, dimExpr, floorDiv, int, lt, min, mul, select, sub } from "../tile/fold.ts";
import type { Tile, View } from "../tile/types.ts";
import type { Schedule, ScheduleContext } from "./context.ts";
import { kernelName, originOf } from "./elementwise.ts";
import { describeProduct, type Product } from "./product.ts";
import { walkRows } from "./rows.ts";

/**
 * Products in registers. A block takes some panels of output columns of one weight matrix and walks the rows that belong to it
 * in register tiles, large tiles first, the rest in smaller ones. Sums stay in registers over the whole inner dimension;
 * the epilogue is applied before they are stored.
 */
export const scheduleRegisterProduct: Schedule = (operation, context) => {
  const { matmul } = context.target;
  if (matmul.kind !== "registers") throw new IrError("this target has no register products", "Use its own schedule.");
  const p = describeProduct(operation, context);
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, p.summary));
  b.read(p.x);
  if (p.offsets) b.read(p.offsets);
  if (p.gather) b.read(p.gather.slots);
  for (const w of p.weights) b.read(w);
  b.write(p.y);

  const width = p.packed?.rows ?? matmul.columns;
  const panels = Math.ceil(p.columns / width);
  const { panelsPerBlock } = matmul;
  const rowBlocks = (p.offsets || p.heads ? matmul.rowBlocks?.grouped : matmul.rowBlocks?.linear) ?? 1;
  const expert = b.grid("expert", p.experts);
  const block = b.grid("block", Math.ceil(panels / panelsPerBlock));
  const part = b.grid("part", rowBlocks);
  const first = p.offsets ? b.letScalar("first", load(p.offsets, expert)) : int(0);
  const count = p.offsets ? b.letScalar("count", sub(load(p.offsets, add(expert, 1)), first)) : dimExpr(p.rows);

  const tile = new ProductTile(b, p, matmul, context, width, expert, first);
  const prefetch = p.packed && p.offsets ? matmul.prefetchRows : undefined;
  const onPanel = (panel: ScalarExpr): void => {
    const next =
      prefetch && b.letScalar("next", select(lt(count, prefetch.matrix), panel, min(add(panel, 1), panels - 1)));
    const rows = (edge: boolean) =>
      walkRows(b, matmul.rows, count, { part, parts: rowBlocks }, (size, row) =>
        tile.emit(size, row, panel, edge, prefetch && size >= prefetch.tile ? next : undefined),
      );
    const fullPanels = Math.floor(p.columns / width);
    if (fullPanels === panels) rows(false);
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
  return [b.build()];
};

/** Emits one register tile: `size` rows by the columns of one panel. */
class ProductTile {
  readonly #b: KernelBuilder;
  readonly #p: Product;
  readonly #scratch: string;
  readonly #width: number;
  readonly #depth: number;
  readonly #expert: ScalarExpr;
  readonly #first: ScalarExpr;

  constructor(
    b: KernelBuilder,
    p: Product,
    matmul: RegisterMatmul,
    context: ScheduleContext,
    width: number,
    expert: ScalarExpr,
    first: ScalarExpr,
  ) {
    this.#b = b;
    this.#p = p;
    this.#scratch = context.target.scratch;
    this.#width = width;
    const dtype = p.weights[0]?.dtype;
    const dot = dtype === "f32" || dtype === "bf16" ? matmul.dot[dtype] : undefined;
    if (dot === undefined)
      throw new IrError(`weights of type ${dtype} cannot be multiplied on this target`, "Choose another storage.");
    this.#depth = p.packed?.depth ?? dot.depth;
    this.#expert = expert;
    this.#first = first;
  }

  /** @param next the panel to prefetch meanwhile, if any */
  emit(size: number, row: ScalarExpr, panel: ScalarExpr, edge: boolean, next: ScalarExpr | undefined): void {
    const b = this.#b;
    const p = this.#p;
    const width = this.#width;
    const depth = this.#depth;
    const from = b.letScalar("top", add(this.#first, row));
    const tokens = p.gather ? this.#tokens(p.gather.slots, p.gather.topK, from, size) : undefined;
    const rows = tokens ? gather(tokens) : range(from, size);
    const head = p.heads ? [at(this.#expert)] : [];
    const acc = b.alloc("acc", "f32", [size, p.sums * width], "register");
    b.fill(whole(acc), 0);
    const steps = Math.floor(p.inner / depth);
    const rest = p.inner - steps * depth;
    b.forLoop("step", 0, steps, 1, (step) => {
      if (next !== undefined) this.#prefetch(step, next);
      this.#multiply(acc, view(p.x, rows, ...head, range(mul(step, depth), depth)), step, panel, edge);
    });
    if (rest > 0) {
      const last = b.alloc("x_edge", p.x.dtype, [size, depth], this.#scratch);
      b.copy(whole(last), view(p.x, rows, ...head, range(steps * depth, depth)), { valid: [size, rest] });
      this.#multiply(acc, whole(last), int(steps), panel, edge, rest);
    }
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
    const b = this.#b;
    const tokens = b.alloc("tokens", "i32", [size], this.#scratch);
    b.forLoop("i", 0, size, 1, (i) => b.set(tokens, i, floorDiv(load(slots, add(from, i)), topK)));
    return tokens;
  }

  /** The same step of another panel. */
  #prefetch(step: ScalarExpr, panel: ScalarExpr): void {
    const [packed] = this.#p.weights;
    const columns = range(0, this.#p.sums * this.#width);
    if (packed) this.#b.prefetch(view(packed, at(this.#expert), panel, step, columns, range(0, this.#depth)));
  }

  /** acc += one step of k: for packed weights one product over all sums, else one per weight. */
  #multiply(acc: Tile, a: View, step: ScalarExpr, panel: ScalarExpr, edge: boolean, validDepth?: number): void {
    const b = this.#b;
    const p = this.#p;
    const width = this.#width;
    const depth = this.#depth;
    const lead = p.offsets || p.heads ? [at(this.#expert)] : [];
    const [packed] = p.weights;
    if (p.packed && packed) {
      b.mma(whole(acc), a, view(packed, ...lead, panel, step, range(0, p.sums * width), range(0, depth)));
      return;
    }
    p.weights.forEach((w, q) => {
      const columns = mul(panel, width);
      let part = view(w, ...lead, range(columns, width), range(mul(step, depth), depth));
      if (edge || validDepth !== undefined) {
        const tile = b.alloc("w_edge", w.dtype, [width, depth], this.#scratch);
        b.copy(whole(tile), part, { valid: [edge ? sub(p.columns, columns) : width, validDepth ?? depth] });
        part = whole(tile);
      }
      b.mma(view(acc, range(0, acc.dims[0] ?? 1), range(q * width, width)), a, part);
    });
  }
}

/** Lays weights out in panels; runs once, at load. */
export const schedulePack: Schedule = (operation, context) => {
  const { rows, depth } = operation.attributes;
  if (typeof rows !== "number" || typeof depth !== "number")
    throw new IrError("pack expects rows and depth", "Give pack its block sizes.");
  const sources = operation.operands.map((v) => context.buffer(v));
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "weights in panels"));
  for (const w of sources) b.read(w);
  const [result] = operation.results;
  if (!result) throw new IrError("pack has a result", "Give pack its result.");
  const y = b.write(context.buffer(result));
  const grouped = y.dims.length === 5;
  const lead = grouped ? [b.grid("expert", y.dims[0] ?? 1)] : [];
  const [panels, steps] = y.dims.slice(grouped ? 1 : 0).map((d) => context.size(d));
  if (panels === undefined || steps === undefined)
    throw new IrError("pack gives panels", "Give pack weights of two or three dimensions.");
  const panel = b.grid("panel", panels);
  const [columns, inner] = (sources[0]?.dims.slice(-2) ?? []).map((d) => context.size(d));
  if (columns === undefined || inner === undefined)
    throw new IrError("pack expects weights", "Give pack weights of two or three dimensions.");
  const from = mul(panel, rows);
  const copy = (step: ScalarExpr, valid: readonly (ScalarExpr | number)[] | undefined): void =>
    sources.forEach((w, q) => {
      const panelPart = view(y, ...lead, panel, step, range(q * rows, rows), range(0, depth));
      const weightPart = view(w, ...lead, range(from, rows), range(mul(step, depth), depth));
      if (valid === undefined) {
        b.copy(panelPart, weightPart);
        return;
      }
      // A tile between them holds the zeros that pad the panel.
      const edge = b.alloc("edge", w.dtype, [rows, depth], context.target.scratch);
      b.copy(whole(edge), weightPart, { valid });
      b.copy(panelPart, whole(edge));
    });
  const wholeSteps = Math.floor(inner / depth);
  const onPanel = (width: ScalarExpr | number, edge: boolean): void => {
    b.forLoop("step", 0, wholeSteps, 1, (step) => copy(step, edge ? [width, depth] : undefined));
    if (wholeSteps < steps) copy(int(wholeSteps), [width, inner - wholeSteps * depth]);
  };
  const full = Math.floor(columns / rows);
  if (full === panels) onPanel(rows, false);
  else
    b.when(
      lt(panel, full),
      () => onPanel(rows, false),
      () => onPanel(columns - full * rows, true),
    );
  return [b.build()];
};
