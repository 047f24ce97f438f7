import type { Dim } from "../../ir/core/dim.ts";
import type { Value } from "../../ir/core/layer.ts";
import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { Target } from "../target.ts";
import { type KernelBuilder, range } from "../tile/builder.ts";
import { add, int, lt, mul } from "../tile/fold.ts";
import type { ViewIndex } from "../tile/types.ts";
import type { ScheduleContext } from "./context.ts";

/** A stretch of columns that one tile covers. `valid` is absent where all of it lies inside the tensor. */
export interface Stretch {
  readonly start: ScalarExpr;
  readonly width: number;
  readonly valid?: number;
}

/** The width of a tile of a row of `columns` columns. */
export function tileWidth(target: Target, columns: number): number {
  const widest = target.vector.width;
  return widest > 16 ? Math.min(widest, Math.ceil(columns / 16) * 16) : widest;
}

/** Walks `columns` columns in tiles as wide as the target's vector work, all in one block. */
export function stretches(b: KernelBuilder, target: Target, columns: number, body: (stretch: Stretch) => void): void {
  const width = tileWidth(target, columns);
  const full = Math.floor(columns / width) * width;
  b.forLoop("column", 0, full, width, (start) => body({ start, width }));
  if (full < columns) body({ start: int(full), width, valid: columns - full });
}

/**
 * Walks `columns` columns in tiles as wide as the target's vector work, either all in one block or one tile per block.
 * Call it inside a grid whose last coordinate it may add with `grid`.
 */
export function columnGrid(
  b: KernelBuilder,
  target: Target,
  columns: number,
): (body: (stretch: Stretch) => void) => void {
  if (target.vector.blockColumns === "row") return (body) => stretches(b, target, columns, body);
  const width = tileWidth(target, columns);
  const full = Math.floor(columns / width);
  const rest = columns - full * width;
  const chunk = b.grid("chunk", Math.ceil(columns / width));
  return (body) => {
    const start = mul(chunk, width);
    b.when(
      rest === 0 ? lt(0, 1) : lt(chunk, full),
      () => body({ start, width }),
      () => body({ start, width, valid: rest }),
    );
  };
}

/** A tensor as rows: the dimensions that number them, and the columns of one, which are known when the layer is compiled. */
export interface Rows {
  readonly leading: readonly Dim[];
  readonly columns: number;
  /** The index of a stretch of the row at these coordinates. */
  at(coordinates: readonly ScalarExpr[], stretch: ViewIndex): readonly ViewIndex[];
}

/** A value as rows along its last dimension; as rows of one element where the size of that is known at run time only. */
export function rowsOf(value: Value, context: ScheduleContext): Rows {
  const dims = value.type.dims.map((d) => context.dim(d));
  const columns = dims.at(-1)?.constant;
  if (columns !== undefined)
    return {
      leading: dims.slice(0, -1),
      columns,
      at: (coordinates, stretch) => [...coordinates.map((c): ViewIndex => ({ kind: "at", at: c })), stretch],
    };
  return {
    leading: dims,
    columns: 1,
    at: (coordinates, stretch) =>
      coordinates.map((c, i): ViewIndex => (i < dims.length - 1 ? { kind: "at", at: c } : shifted(stretch, c))),
  };
}

/** A stretch that begins later. */
export const shifted = (stretch: ViewIndex, by: ScalarExpr): ViewIndex =>
  stretch.kind === "range" ? range(add(stretch.start, by), stretch.extent) : stretch;

/** A grid over the rows of a tensor. */
export const rowGrid = (b: KernelBuilder, { leading }: Rows): readonly ScalarExpr[] =>
  leading.map((d, i) => b.grid(i === 0 ? "row" : `row${i}`, d));

/** The option of copy and map for a stretch, below `leading` dimensions that are whole. */
export const validOf = (stretch: Stretch, ...leading: readonly number[]): { readonly valid?: readonly number[] } =>
  stretch.valid === undefined ? {} : { valid: [...leading, stretch.valid] };
