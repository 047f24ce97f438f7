import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { gather, type KernelBuilder, load, range } from "../tile/builder.ts";
import { add } from "../tile/fold.ts";
import type { Tile } from "../tile/types.ts";
import type { Product } from "./product.ts";

/** Where a register tile of sums lies. */
export interface TilePlace {
  /** Rows of the tile. */
  readonly size: number;
  /** The first of them in the product's result. */
  readonly from: ScalarExpr;
  /** The token of each row, where rows are gathered. */
  readonly tokens: Tile | undefined;
  readonly panel: ScalarExpr;
  /** Whether the panel reaches beyond the last column. */
  readonly edge: boolean;
  /** The panel to prefetch meanwhile, if any. */
  readonly next: ScalarExpr | undefined;
}

/** How the sums of a register tile are made, over the whole inner dimension. */
export interface Sums {
  /** Adds to `acc`, f32 [size, sums * width], which is zero. */
  emit(acc: Tile, place: TilePlace): void;
}

/** What Sums are built from. */
export interface SumsContext {
  readonly b: KernelBuilder;
  readonly p: Product;
  readonly scratch: string;
  /** Columns of a tile for each sum. */
  readonly width: number;
  /** Steps of k that are taken at once. */
  readonly depth: number;
  readonly expert: ScalarExpr;
}

/** The rows of activations that a tile multiplies, as an index. */
export const rowsOf = ({ tokens, from, size }: TilePlace) => (tokens ? gather(tokens) : range(from, size));

/** One of them, as a position. */
export const rowAt = ({ tokens, from }: TilePlace, i: number): ScalarExpr => (tokens ? load(tokens, i) : add(from, i));
