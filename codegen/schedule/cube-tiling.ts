import { IrError } from "../../ir/core/diagnostic.ts";
import type { CubeMatmul, Target } from "../target.ts";

/** How a product with one weight matrix is cut. Extents in elements; every tile fits its space twice where `twice` says so. */
export interface CubeTiling {
  /** Output columns of one block: some tiles. */
  readonly panel: number;
  /** Rows of activations and output columns of one tile of sums in L0C, of which each weight has one. */
  readonly rows: number;
  readonly columns: number;
  /** Depth of the factors in L1 and in L0; the first is a multiple of the second. */
  readonly l1Depth: number;
  readonly l0Depth: number;
}

/** Rows and columns of a fractal; bytes of its rows. */
const fractal = 16;
const rowBytes = 32;

/**
 * Cuts a product for the memories of a cube core.
 *
 * Columns go to the cores in panels. A panel is as wide as a tile of sums may be: rows and columns together decide how many
 * bytes each product of fractals needs. Where that leaves more than half of the cores without a panel of one weight matrix,
 * panels are narrower, so that all cores fetch weights however few experts a token hits. Tiles of sums are then as tall as L0C
 * allows: those of several weights side by side are lower, and fetch the activations once for all. Factors take half of L1 and of L0A and L0B, so that the next ones are fetched while these are multiplied.
 * @param matrices weight matrices: a single one has to give work to all cores
 * @param sums weights of one product: their tiles are made side by side and share the memories
 * @param bytes of an element of the factors
 */
export function cubeTiling(
  target: Target,
  matmul: CubeMatmul,
  size: { matrices: number; columns: number; depth: number; bytes: number; sums?: number },
): CubeTiling {
  const { matrices, columns, depth, bytes, sums: count = 1 } = size;
  const capacity = (space: string): number => {
    const found = target.spaces[space]?.capacity;
    if (found !== undefined) return found;
    throw new IrError(`the capacity of ${space} is not known`, "Give the target the capacities of a cube core.");
  };
  const block = rowBytes / bytes;
  const fractals = Math.ceil(columns / fractal);
  const widest = Math.ceil(matmul.columns / fractal);
  const wanted = matrices === 1 ? matmul.cores : matmul.cores / 2;
  const least = Math.ceil(matmul.leastColumns / fractal);
  const narrow = Math.max(least, Math.ceil(fractals / matmul.cores));
  const perPanel = Math.min(fractals, widest, Math.ceil(fractals / widest) < wanted ? narrow : widest);
  const columnsOfTile = perPanel * fractal;
  const sums = Math.floor(capacity("l0c") / 4 / (count * columnsOfTile) / fractal) * fractal;
  const rows = Math.max(fractal, Math.min(matmul.rows, sums));
  const half = (space: string, extent: number): number =>
    Math.floor(capacity(space) / 2 / bytes / extent / block) * block;
  const whole = Math.ceil(depth / block) * block;
  const l0Depth = Math.max(block, Math.min(matmul.depth, half("l0a", rows), half("l0b", count * columnsOfTile), whole));
  const l1Depth =
    Math.max(1, Math.floor(Math.min(half("l1", rows + count * columnsOfTile), whole) / l0Depth)) * l0Depth;
  // No more blocks than give each core about one: blocks of experts without rows cost time too.
  const tiles = Math.max(1, Math.floor(Math.ceil(columns / columnsOfTile) / matmul.cores));
  return { panel: tiles * columnsOfTile, rows, columns: columnsOfTile, l1Depth, l0Depth };
}

/** Rows of a tile of sums that a vector core computes the epilogue of at a time: they divide those of the tile. */
export function epilogueRows({ vector }: Target, { rows, columns }: CubeTiling): number {
  let fractals = Math.max(1, Math.floor(Math.min(rows, vector.width / columns) / fractal));
  while ((rows / fractal) % fractals !== 0) fractals--;
  return fractals * fractal;
}
