import { IrError } from "../../ir/core/diagnostic.ts";
import { apply, type ScalarExpr } from "../../ir/core/scalar.ts";
import { dtypeBytes } from "../../ir/core/types.ts";
import type { ProgramBuffer } from "../program.ts";
import { at, type KernelBuilder, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, dimExpr, eq, int, min, mul, sub } from "../tile/fold.ts";
import type { Tile } from "../tile/types.ts";
import type { BlockBuffers, Schedule } from "./context.ts";
import { type CubeTiling, cubeTiling, epilogueRows } from "./cube-tiling.ts";
import { kernelName, originOf } from "./elementwise.ts";
import { describeProduct, matrixIn, type Product } from "./product.ts";

/**
 * Products on a matrix unit. A block takes a panel of output columns of one weight matrix and walks the rows that belong to it;
 * factors pass global → L1 in long stretches of the inner dimension and L1 → L0A/L0B in short ones, sums gather in L0C over all of
 * it and go to global memory. Blocks are dealt to the cores across the experts: experts outside, panels inside.
 *
 * With an epilogue, the sums of all its weights are made side by side and go to an exchange tile, from which vector cores compute
 * the epilogue while the cube core makes the next sums. Sums of whole numbers go the same way: vector cores scale them.
 */
export const scheduleCubeProduct: Schedule = (operation, context) => {
  const { target } = context;
  const { matmul } = target;
  if (matmul.kind !== "cube") throw new IrError("this target has no matrix unit", "Use its own schedule.");
  const p = describeProduct(operation, context);
  const [w] = p.weights;
  const { epilogue } = p;
  if (p.gather || p.packed || !w || (p.weights.length > 1 && epilogue === undefined))
    throw new IrError("a matrix unit multiplies rows that lie in order by weights as they are", "Leave them in place.");
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, p.summary));
  b.read(p.x);
  const scales = scaleBuffers(p);
  if (scales) for (const buffer of [scales.x, ...scales.weights]) b.read(buffer);
  if (p.offsets) b.read(p.offsets);
  for (const weight of p.weights) b.read(weight);
  b.write(p.y);

  const tiling = cubeTiling(target, matmul, {
    matrices: p.experts,
    columns: p.columns,
    depth: p.inner,
    bytes: dtypeBytes[w.dtype],
    sums: p.weights.length,
  });
  const { panel, rows, columns } = tiling;
  const expert = b.grid("expert", p.experts);
  const block = b.grid("panel", Math.ceil(p.columns / panel));
  const first = p.offsets ? b.letScalar("first", load(p.offsets, expert)) : int(0);
  const count = p.offsets ? b.letScalar("count", sub(load(p.offsets, add(expert, 1)), first)) : dimExpr(p.rows);
  const start = b.letScalar("start", mul(block, panel));
  const end = b.letScalar("end", min(add(start, panel), p.columns));
  const tile = (n: ScalarExpr): void => {
    const validColumns =
      p.columns % columns === 0 ? int(columns) : b.letScalar("valid_columns", min(sub(end, n), columns));
    b.forLoop("row", 0, count, rows, (row) => {
      const top = b.letScalar("top", add(first, row));
      const validRows = b.letScalar("valid_rows", min(sub(count, row), rows));
      const place: TilePlace = { expert, top, n, validRows, validColumns };
      const sums = multiply(b, p, tiling, place);
      if (epilogue || scales) {
        const exchange = b.alloc("exchange", sumType(p), [p.weights.length, rows, columns], "exchange");
        sums.forEach((s, q) => {
          b.copy(view(exchange, q, range(0, rows), range(0, columns)), whole(s), { valid: [validRows, validColumns] });
        });
        const chunk = epilogueRows(target, tiling);
        finish(b, p, place, { exchange, chunk, columns, space: target.vector.space, scales });
        return;
      }
      const head = p.heads ? [at(expert)] : [];
      for (const s of sums)
        b.copy(view(p.y, range(top, rows), ...head, range(n, columns)), whole(s), { valid: [validRows, validColumns] });
    });
  };
  if (panel === columns) tile(start);
  else b.forLoop("n", start, end, columns, tile);
  return [b.build()];
};

/** Where a tile of sums lies: rows from `top`, output columns from `n`, and how many of both there are. */
interface TilePlace {
  readonly expert: ScalarExpr;
  readonly top: ScalarExpr;
  readonly n: ScalarExpr;
  readonly validRows: ScalarExpr;
  readonly validColumns: ScalarExpr;
}

/** The sums of a tile for each weight, over all of the inner dimension. */
function multiply(b: KernelBuilder, p: Product, tiling: CubeTiling, place: TilePlace): Tile[] {
  const { rows, columns, l1Depth, l0Depth } = tiling;
  const { expert, top, n, validRows, validColumns } = place;
  const lead = matrixIn(p, expert);
  const head = p.heads ? [at(expert)] : [];
  const names = p.weights.length === 1 ? [""] : p.weights.map((w) => `_${w.name}`);
  const sums = names.map((name) => b.alloc(`sums${name}`, sumType(p), [rows, columns], "l0c"));
  stretches(b, "k", p.inner, l1Depth, (k, long) => {
    const x1 = b.alloc("x_l1", p.x.dtype, [rows, long], "l1");
    b.copy(whole(x1), view(p.x, range(top, rows), ...head, range(k, long)), { valid: [validRows, long] });
    const w1 = p.weights.map((w, q) => {
      const tile = b.alloc(`w${names[q]}_l1`, w.dtype, [columns, long], "l1");
      b.copy(whole(tile), view(w, ...lead, range(n, columns), range(k, long)), { valid: [validColumns, long] });
      return tile;
    });
    stretches(b, "step", long, l0Depth, (step, short) => {
      const x0 = b.alloc("x_l0", p.x.dtype, [rows, short], "l0a");
      b.copy(whole(x0), view(x1, range(0, rows), range(step, short)));
      w1.forEach((from, q) => {
        const w0 = b.alloc(`w${names[q]}_l0`, from.dtype, [columns, short], "l0b");
        b.copy(whole(w0), view(from, range(0, columns), range(step, short)));
        b.mma(whole(sums[q] as Tile), whole(x0), whole(w0), { init: eq(add(k, step), 0), rows: validRows });
      });
    });
  });
  return sums;
}

/** What whole-number sums are scaled by: a scale for each row of x, and for each column of each weight. */
interface ScaleBuffers {
  readonly x: ProgramBuffer;
  readonly weights: readonly ProgramBuffer[];
}

function scaleBuffers({ blocks, inner, heads }: Product): ScaleBuffers | undefined {
  if (blocks === undefined) return undefined;
  const one = (of: BlockBuffers | undefined): ProgramBuffer => {
    const [scale, ...more] = of?.scales ?? [];
    if (scale === undefined || of?.codes.dtype !== "i8" || scale.every !== inner || more.length > 0 || heads)
      throw new IrError("a matrix unit multiplies signed bytes with one scale for each row", "Use --storage int8.");
    return scale.buffer;
  };
  return { x: one(blocks.x), weights: blocks.weights.map(one) };
}

const sumType = ({ blocks }: Product): "i32" | "f32" => (blocks ? "i32" : "f32");

interface FinishContext {
  readonly exchange: Tile;
  /** Rows at a time. */
  readonly chunk: number;
  readonly columns: number;
  readonly space: string;
  readonly scales: ScaleBuffers | undefined;
}

/** What vector cores make of a tile of sums, some rows at a time: scaled where they are whole numbers, and the epilogue. */
function finish(b: KernelBuilder, p: Product, place: TilePlace, context: FinishContext): void {
  const { top, n, validRows, validColumns } = place;
  const { exchange, chunk, columns, space, scales } = context;
  // Scales are spread over a tile, so that one instruction scales all of its rows.
  const columnScales = scales?.weights.map((w) => {
    const tile = b.alloc(w.name, "f32", [columns], space);
    const lead = p.offsets ? [at(place.expert)] : [];
    b.copy(whole(tile), view(w, ...lead, range(n, columns), at(0)), { valid: [validColumns] });
    const spread = b.alloc(`${w.name}_spread`, "f32", [chunk, columns], space);
    b.map(whole(spread), { scale: whole(tile) }, ({ scale }) => scale);
    return spread;
  });
  b.forLoop(
    "part",
    0,
    validRows,
    chunk,
    (part) => {
      const rows = b.letScalar("part_rows", min(sub(validRows, part), chunk));
      const valid = [rows, validColumns];
      const rowScales = scales && spreadRows(scales.x, add(top, part), rows);
      const inputs = p.weights.map((w, q) => {
        const sums = b.alloc(`${w.name}_sums`, sumType(p), [chunk, columns], space);
        b.copy(whole(sums), view(exchange, q, range(part, chunk), range(0, columns)), { valid });
        const ofColumns = columnScales?.[q];
        if (rowScales === undefined || ofColumns === undefined) return whole(sums);
        const scaled = b.alloc(`${w.name}_scaled`, "f32", [chunk, columns], space);
        const factors = { dots: whole(sums), column: whole(ofColumns), row: whole(rowScales) };
        b.map(whole(scaled), factors, ({ dots, column, row }) =>
          apply("mul", apply("mul", apply("toFloat", dots), column), row),
        );
        return whole(scaled);
      });
      const to = view(p.y, range(add(top, part), chunk), range(n, columns));
      const [only] = inputs;
      if (p.epilogue === undefined) {
        if (only) b.copy(to, only, { valid });
        return;
      }
      const result = b.alloc("result", "f32", [chunk, columns], space);
      b.mapFunction(whole(result), inputs, p.epilogue);
      b.copy(to, whole(result), { valid });
    },
    { shared: true },
  );

  function spreadRows(x: ProgramBuffer, from: ScalarExpr, rows: ScalarExpr): Tile {
    const tile = b.alloc(x.name, "f32", [chunk], space);
    b.copy(whole(tile), view(x, range(from, chunk), at(0)), { valid: [rows] });
    const spread = b.alloc(`${x.name}_spread`, "f32", [chunk, columns], space);
    b.fill(whole(spread), 0);
    b.forLoop("r", 0, rows, 1, (r) => b.fill(view(spread, r, range(0, columns)), b.letScalar("scale", load(tile, r))));
    return spread;
  }
}

/** 0 … total in stretches of one width, and a last one of what is left. */
function stretches(
  b: KernelBuilder,
  name: string,
  total: number,
  width: number,
  body: (start: ScalarExpr, width: number) => void,
): void {
  const full = Math.floor(total / width) * width;
  b.forLoop(name, 0, full, width, (start) => body(start, width));
  if (full < total) body(int(full), total - full);
}
