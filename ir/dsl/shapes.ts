import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { AuthorType } from "../core/types.ts";
import { count } from "../ops/reals.ts";
import { parameterValues } from "./layer.ts";
import type {
  Concat,
  ConcatFits,
  DTypeOf,
  ExpandFits,
  Known,
  OrderFits,
  ReshapeFits,
  ScatterFits,
  Transposed,
  WithDim,
  Written,
} from "./shape-types.ts";
import { concrete, type EagerTensor, evaluateOne } from "./tensor.ts";
import type { DimName, Dims, Tail, Tensor as Typed } from "./tensor-type.ts";
import type { AnyTensor } from "./types.ts";

/** What the functions below give is concrete; the type system sees it as symbolic. */
const symbolic = <D extends Dims, S extends AuthorType>(t: EagerTensor): Typed<D, S> => t as unknown as Typed<D, S>;

/**
 * The same elements, in row-major order, in other dimensions: `reshape(q, ["T", "A", "D"])` of q [T, A*D].
 *
 * Called with concrete tensors, names of parameters have their values while the layer runs; of the other dimensions at most one
 * may be left, which follows from the number of elements.
 * @throws IrError where the numbers of elements differ
 */
export function reshape<D extends Dims, S extends AuthorType, const R extends Dims>(
  x: Typed<D, S>,
  dims: R & ReshapeFits<D, R>,
): Typed<Written<R>, S> {
  const tensor = concrete(x, "the operand of reshape");
  return symbolic(evaluateOne("reshape", [tensor], { dims: sizesOf(dims, tensor.dims) }));
}

/** Dimensions as numbers, for as many elements as a tensor of `dims` has. */
function sizesOf(wanted: readonly DimName[], dims: readonly number[]): number[] {
  const known = wanted.map((d) => Dim.of(d).substitute(parameterValues()));
  const open = known.filter((d) => d.constant === undefined);
  if (open.length > 1)
    throw new IrError(
      `reshape to [${wanted.join(", ")}]: the values of ${open.join(" and ")} are not known`,
      "Parameters have values while their layer runs, and one other dimension follows from the number of elements. Give values of the others: myLayer.at({ T: 3 })(x, …).",
    );
  const rest = known.reduce((product, d) => product * (d.constant ?? 1), 1);
  const [left] = open;
  const inferred = left === undefined || rest === 0 ? 0 : count(dims) / rest;
  if (!Number.isInteger(inferred))
    throw new IrError(
      `a tensor [${dims.join(", ")}] cannot take the shape [${known.join(", ")}]: ${count(dims)} elements are no multiple of ${rest}`,
      "Give dimensions whose product is the number of elements.",
    );
  return known.map((d) => d.constant ?? inferred);
}

/**
 * Tensors one after the other along a dimension, 0 the first or −1 the last: `concat([cache, x], 0)` of cache [P, H] and
 * x [T, H] is [P+T, H]. The other dimensions agree. Floats of several dtypes become f32.
 */
export function concat<const X extends readonly AnyTensor[], A extends number>(
  tensors: X & ConcatFits<X, A>,
  axis: A,
): Typed<Concat<X, A>, DTypeOf<X[number]>> {
  const list: readonly unknown[] = tensors;
  const operands = list.map((t) => concrete(t, "an operand of concat"));
  const rank = operands[0]?.dims.length ?? 0;
  return symbolic(evaluateOne("concat", operands, { axis: fromLast("concat", axis, rank) }));
}

/**
 * `count` elements of a dimension (the last, where `axis` names no other): start, start + step, … One half of a product's
 * columns is `slice(y, 0, "I")`, every other column `slice(y, 1, "I", { step: 2 })`, the rows after the first P of [P+T, H]
 * `slice(x, "P", "T", { axis: 0 })`.
 */
export function slice<D extends Dims, S extends AuthorType, const N extends DimName, A extends number = -1>(
  x: Typed<D, S>,
  start: DimName,
  count: N,
  options: { readonly step?: number; readonly axis?: A } = {},
): Typed<WithDim<D, A, Known<N>>, S> {
  const tensor = concrete(x, "the operand of slice");
  const axis = fromLast("slice", options.axis ?? -1, tensor.dims.length);
  const attributes = {
    axis,
    start: sizeOf(start, "start of slice"),
    count: sizeOf(count, "count of slice"),
    step: options.step ?? 1,
  };
  return symbolic(evaluateOne("slice", [tensor], attributes));
}

function sizeOf(given: DimName, what: string): number {
  const dim = Dim.of(given).substitute(parameterValues());
  if (dim.constant !== undefined) return dim.constant;
  throw new IrError(
    `${what} is ${given}: the value of ${dim} is not known`,
    `Call the layer with values for run-time sizes: myLayer.at({ ${dim.symbols.map((s) => `${s}: 3`).join(", ")} })(x, …).`,
  );
}

/** Dimensions in another order: dimension i of the result is dimension order[i] of x. [T, A, D] by [1, 0, 2] is [A, T, D]. */
export function transpose<D extends Dims, S extends AuthorType, const O extends readonly number[]>(
  x: Typed<D, S>,
  order: O & OrderFits<D, O>,
): Typed<Transposed<D, O>, S> {
  return symbolic(evaluateOne("transpose", [concrete(x, "the operand of transpose")], { order: [...order] }));
}

/**
 * For each id that row of x: an embedding is `gather(w.table, tokenIds)`, of table [V, H] and ids [T] a tensor [T, H]. An id outside
 * counts as the nearest row.
 */
export function gather<D extends Dims, S extends AuthorType, I extends Dims>(
  x: Typed<D, S>,
  ids: Typed<I, "i32">,
): Typed<[...I, ...Tail<D>], S> {
  return symbolic(evaluateOne("gather", [concrete(x, "the table of gather"), concrete(ids, "the ids of gather")], {}));
}

/** x with row ids[r] replaced by rows[r], for each r. Of equal ids the last wins; an id of no row changes nothing. */
export function scatter<D extends Dims, S extends AuthorType, I extends Dims, R extends Dims>(
  x: Typed<D, S>,
  ids: Typed<I, "i32">,
  rows: Typed<R, S> & ScatterFits<D, I, R>,
): Typed<D, S> {
  const operands = [concrete(x, "the tensor of scatter"), concrete(ids, "the ids of scatter")];
  return symbolic(evaluateOne("scatter", [...operands, concrete(rows, "the rows of scatter")], {}));
}

export interface NgramOptions {
  /** Tables for each length of n-grams. */
  readonly heads: number;
  /** Table t has `rows` + 2t + 1 rows. */
  readonly rows: number;
  /** Tokens that there are: the base of the number that an n-gram is. */
  readonly vocab: number;
  /** The token that ends a text: no n-gram reaches back to one, though it may begin with one that is its newest token. */
  readonly eos?: number;
}

/**
 * Ids of hashed n-grams, LongCat's input embedding: for n = 2 … N and k < heads, with t = (n − 2)·heads + k, column t is
 * (Σ_{j<n} token[i − j]·vocab^j) mod (rows + 2t + 1). `previous` are the N − 1 tokens before the first, oldest first; a negative one,
 * and all before it, count 0.
 */
export function ngramIds<T extends Dims, P extends Dims>(
  tokens: Typed<T, "i32">,
  previous: Typed<P, "i32">,
  options: NgramOptions,
): Typed<[T[0], DimName], "i32"> {
  const operands = [
    concrete(tokens, "the tokens of ngramIds"),
    concrete(previous, "the tokens before those of ngramIds"),
  ];
  return symbolic(evaluateOne("ngram_ids", operands, { ...options }));
}

/** A dimension of a tensor of `rank`, counted from the last: −1 … −rank. */
export function fromLast(what: string, axis: number, rank: number): number {
  if (Number.isInteger(axis) && axis >= -rank && axis < rank) return axis < 0 ? axis : axis - rank;
  throw new IrError(
    `${what} along dimension ${axis} of a tensor with ${rank} dimension${rank === 1 ? "" : "s"}`,
    `Give a whole number from ${-rank} to ${rank - 1}.`,
  );
}

/** A dimension of size 1 repeated: `expand(key, 1, "A")` of key [T, 1, D] is [T, A, D]. */
export function expand<D extends Dims, S extends AuthorType, A extends number, const N extends DimName>(
  x: Typed<D, S> & ExpandFits<D, A>,
  axis: A,
  size: N,
): Typed<WithDim<D, A, Known<N>>, S> {
  const tensor = concrete(x, "the operand of expand");
  const attributes = { axis: fromLast("expand", axis, tensor.dims.length), size: sizeOf(size, "size of expand") };
  return symbolic(evaluateOne("expand", [tensor], attributes));
}
