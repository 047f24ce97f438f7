import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { gather, type KernelBuilder, load, range } from "../tile/builder.ts";
import { add, type Int, lt, min, mul } from "../tile/fold.ts";
import type { Tile, View } from "../tile/types.ts";
import type { Product } from "./product.ts";

/** Where a register tile of sums lies. */
export interface TilePlace {
  /** Rows of the tile. */
  readonly size: number;
  /** The first of them in the product's result. */
  readonly from: ScalarExpr;
  /** Where each row of activations lies, where they do not follow each other. */
  readonly positions: Tile | undefined;
  readonly panel: ScalarExpr;
  /** Whether the panel reaches beyond the last column. */
  readonly edge: boolean;
  readonly fetched?: Fetched | undefined;
}

/**
 * What of a packed matrix is prefetched while a tile is multiplied: with each step the same step of a panel, or what lies so many bytes
 * ahead of it; or with each chunk of steps what `hint` asks for.
 */
export type Fetched =
  | { readonly panel: ScalarExpr; readonly ahead?: number }
  | { readonly hint: (chunk: ScalarExpr) => void };

/** A step of k: its number, and that of the block which holds it, where weights are in blocks. */
export interface Step {
  readonly step: ScalarExpr;
  readonly block: ScalarExpr;
  /** Where some lanes have no step left, whether this one has: others add zero. */
  readonly inside?: ScalarExpr | undefined;
}

/** What a step multiplies, where it was copied to: elements [rows, group] and [columns, group], by the group's number in the step. */
export interface Factors {
  rows(group: Int): View;
  columns(group: Int): View;
}

/** How the sums of a register tile are made. */
export interface Sums {
  /** Chunks of steps, of which each may prefetch. */
  readonly chunks: number;
  /** Adds the sums over the whole inner dimension to `acc`, f32 [size, sums * width]. */
  emit(acc: Tile, place: TilePlace): void;
  /** Adds those of one step. */
  step(acc: Tile, step: Step, place: TilePlace, factors: Factors): void;
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
  /** Where lanes share the steps of k: how many, and which this is. */
  readonly stripe?: { readonly lanes: number; readonly lane: ScalarExpr };
}

/** The rows of activations that a tile multiplies, as an index. */
export const rowsOf = ({ positions, from, size }: TilePlace) => (positions ? gather(positions) : range(from, size));

/** One of them, as a position. */
export const rowAt = ({ positions, from }: TilePlace, i: number): ScalarExpr =>
  positions ? load(positions, i) : add(from, i);

/** Visits numbers below `total`, or those of the lane's stripe; in a last round only some lanes have one. */
export function walkStripe(
  { b, stripe }: SumsContext,
  name: string,
  total: number,
  body: (step: ScalarExpr, inside: ScalarExpr | undefined) => void,
): void {
  if (stripe === undefined) {
    b.forLoop(name, 0, total, 1, (step) => body(step, undefined));
    return;
  }
  const { lanes, lane } = stripe;
  const rounds = Math.floor(total / lanes);
  b.forLoop("round", 0, rounds, 1, (round) => body(b.letScalar(name, add(mul(round, lanes), lane)), undefined));
  if (rounds * lanes === total) return;
  const own = b.letScalar("own", add(rounds * lanes, lane));
  body(b.letScalar(name, min(own, total - 1)), lt(own, total));
}
