import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { Target } from "../target.ts";
import type { KernelBuilder } from "../tile/builder.ts";
import { int, lt, mul } from "../tile/fold.ts";

/** A stretch of columns that one tile covers. `valid` is absent where all of it lies inside the tensor. */
export interface Stretch {
  readonly start: ScalarExpr;
  readonly width: number;
  readonly valid?: number;
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
  const { width: widest, blockColumns } = target.vector;
  const width = widest > 16 ? Math.min(widest, Math.ceil(columns / 16) * 16) : widest;
  const full = Math.floor(columns / width);
  const rest = columns - full * width;
  if (blockColumns === "row") {
    return (body) => {
      b.forLoop("column", 0, full * width, width, (start) => body({ start, width }));
      if (rest > 0) body({ start: int(full * width), width, valid: rest });
    };
  }
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

/** The option of copy and map for a stretch, below `leading` dimensions that are whole. */
export const validOf = (stretch: Stretch, ...leading: readonly number[]): { readonly valid?: readonly number[] } =>
  stretch.valid === undefined ? {} : { valid: [...leading, stretch.valid] };
