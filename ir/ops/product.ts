import { IrError } from "../core/diagnostic.ts";
import type { Tensor } from "../core/tensor.ts";
import type { PackedLayout } from "./product-types.ts";
import { confidence, decodeInto, gamma, isLong, realsOf, tiny32 } from "./reals.ts";

/** Rows of the weights of a product, decoded one at a time: weights are never copied whole to f64. */
export interface WeightRows {
  /** Number of weights, output columns and inner elements. */
  readonly count: number;
  readonly columns: number;
  readonly depth: number;
  /** True where a weight has error bounds of its own. */
  readonly inexact: boolean;
  /** Writes row `row` of weight `which`, and its error bounds where it has some. */
  read(which: number, row: number, out: Float64Array, bound: Float64Array): void;
}

/** Rows of plain weights [n, k]. */
export function plainRows(weights: readonly Tensor[], depth: number): WeightRows {
  const first = weights[0];
  const columns = first?.dims[0];
  if (columns === undefined) throw new IrError("a product has no weight", "Give a weight.");
  for (const w of weights)
    if (w.dims[0] !== columns || w.dims[1] !== depth)
      throw new IrError(
        `a weight is [${w.dims.join(", ")}], expected [${columns}, ${depth}]`,
        "Give weights of one shape, whose last dimension is the tensor's.",
      );
  const scratch = new Float32Array(depth);
  return {
    count: weights.length,
    columns,
    depth,
    inexact: weights.some((w) => w.bound !== undefined),
    read(which, row, out, bound) {
      const w = weights[which];
      decodeInto(w.data, w.dtype, row * depth, depth, out, scratch);
      if (w.bound === undefined) bound.fill(0);
      else bound.set(w.bound.subarray(row * depth, (row + 1) * depth));
    },
  };
}

/** Rows of weights packed together [⌈n/rows⌉, ⌈k/depth⌉, #w·rows, depth]. */
export function packedRows(weight: Tensor, layout: PackedLayout, columns: number, depth: number): WeightRows {
  const [rowBlocks, depthBlocks, height = 0, width] = weight.dims;
  const { rows } = layout;
  const count = height / rows;
  if (
    rowBlocks !== Math.ceil(columns / rows) ||
    depthBlocks !== Math.ceil(depth / layout.depth) ||
    !Number.isInteger(count) ||
    width !== layout.depth
  )
    throw new IrError(
      `a packed weight is [${weight.dims.join(", ")}], which does not fit [${columns}, ${depth}] in blocks of ${layout.rows} × ${layout.depth}`,
      "Pack the weight with the block sizes that the product names.",
    );
  const scratch = new Float32Array(width);
  const part = new Float64Array(width);
  return {
    count,
    columns,
    depth,
    inexact: weight.bound !== undefined,
    read(which, row, out, bound) {
      const block = Math.floor(row / rows);
      for (let j = 0; j < depthBlocks; j++) {
        const start = (((block * depthBlocks + j) * count + which) * rows + (row % rows)) * width;
        const length = Math.min(width, depth - j * width);
        decodeInto(weight.data, weight.dtype, start, length, part, scratch);
        out.set(part.subarray(0, length), j * width);
        if (weight.bound === undefined) bound.fill(0, j * width, j * width + length);
        else bound.set(weight.bound.subarray(start, start + length), j * width);
      }
    },
  };
}

/** Sums and their error bounds, [m, columns] for each weight. */
export interface Sums {
  readonly values: Float64Array[];
  readonly bounds: Float64Array[];
}

/**
 * x·wᵀ for x [m, depth] and each weight. With |â − a| ≤ ea, |b̂ − b| ≤ eb and γ as in reals.ts, a machine's sum is off by at most
 * γ·Σ(|a| + ea)(|b| + eb) + E + Σ(|a|·eb + ea·eb), and by the smallest normal number for each product that underflows.
 * E, what the errors of x make, is Σ ea·|b| for short sums and λ·√Σ(ea·b)² for long ones.
 */
export function products(x: Tensor, m: number, weights: WeightRows): Sums {
  const { count, columns, depth } = weights;
  const a = realsOf(x);
  const relative = gamma(depth);
  const walk = x.bound !== undefined && isLong(depth);
  // Σ γ(|a| + ea)|b| + ea·|b| = Σ spread·|b|: one multiplication per element for the whole bound of a short sum.
  const spread = new Float64Array(a.length);
  const squares = walk ? new Float64Array(a.length) : undefined;
  const reach = weights.inexact ? new Float64Array(a.length) : undefined;
  for (let i = 0; i < a.length; i++) {
    const e = x.bound?.[i] ?? 0;
    const size = Math.abs(a[i]) + e;
    spread[i] = walk ? relative * size : relative * size + e;
    if (squares !== undefined) squares[i] = (confidence * e) ** 2;
    if (reach !== undefined) reach[i] = (1 + relative) * size;
  }
  const values = Array.from({ length: count }, () => new Float64Array(m * columns));
  const bounds = Array.from({ length: count }, () => new Float64Array(m * columns));
  if (m === 0) return { values, bounds };
  const row = new Float64Array(depth);
  const rowSize = new Float64Array(depth);
  const rowBound = new Float64Array(depth);
  const variance = new Float64Array(m);
  const underflow = depth * tiny32;
  for (let which = 0; which < count; which++) {
    const value = values[which];
    const bound = bounds[which];
    for (let column = 0; column < columns; column++) {
      weights.read(which, column, row, rowBound);
      for (let i = 0; i < depth; i++) rowSize[i] = Math.abs(row[i]);
      let t = 0;
      for (; t + 4 <= m; t += 4) {
        dot4(a, t * depth, row, depth, value, t * columns + column, columns);
        dot4(spread, t * depth, rowSize, depth, bound, t * columns + column, columns);
      }
      for (; t < m; t++) {
        value[t * columns + column] = dot(a, t * depth, row, depth);
        bound[t * columns + column] = dot(spread, t * depth, rowSize, depth);
      }
      if (squares !== undefined) {
        for (let i = 0; i < depth; i++) rowSize[i] = row[i] * row[i];
        for (t = 0; t + 4 <= m; t += 4) dot4(squares, t * depth, rowSize, depth, variance, t, 1);
        for (; t < m; t++) variance[t] = dot(squares, t * depth, rowSize, depth);
        for (t = 0; t < m; t++) {
          const at = t * columns + column;
          bound[at] = bound[at] + Math.sqrt(variance[t]);
        }
      }
      if (reach !== undefined)
        for (t = 0; t < m; t++) {
          const at = t * columns + column;
          bound[at] = bound[at] + dot(reach, t * depth, rowBound, depth);
        }
    }
    for (let i = 0; i < bound.length; i++) bound[i] += underflow;
  }
  return { values, bounds };
}

function dot(a: Float64Array, start: number, b: Float64Array, n: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    s0 += a[start + i] * b[i];
    s1 += a[start + i + 1] * b[i + 1];
    s2 += a[start + i + 2] * b[i + 2];
    s3 += a[start + i + 3] * b[i + 3];
  }
  for (; i < n; i++) s0 += a[start + i] * b[i];
  return s0 + s1 + (s2 + s3);
}

/** Four rows of `a` at once, so that each element of `b` is read once for all of them. */
function dot4(
  a: Float64Array,
  start: number,
  b: Float64Array,
  n: number,
  out: Float64Array,
  at: number,
  stride: number,
): void {
  const start1 = start + n;
  const start2 = start1 + n;
  const start3 = start2 + n;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (let i = 0; i < n; i++) {
    const factor = b[i];
    s0 += a[start + i] * factor;
    s1 += a[start1 + i] * factor;
    s2 += a[start2 + i] * factor;
    s3 += a[start3 + i] * factor;
  }
  out[at] = s0;
  out[at + stride] = s1;
  out[at + 2 * stride] = s2;
  out[at + 3 * stride] = s3;
}
