import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { DType } from "../core/types.ts";
import { count } from "../ops/reals.ts";
import { parameterValues } from "./layer.ts";
import type { Concat, ConcatFits, DTypeOf, ReshapeFits } from "./shape-types.ts";
import { concrete, type EagerTensor, evaluateOne } from "./tensor.ts";
import type { DimName, Dims, Tensor as Typed } from "./tensor-type.ts";
import type { AnyTensor } from "./types.ts";

/** What the functions below give is concrete; the type system sees it as symbolic. */
const symbolic = <D extends Dims, S extends DType>(t: EagerTensor): Typed<D, S> => t as unknown as Typed<D, S>;

/**
 * The same elements, in row-major order, in other dimensions: `reshape(q, ["T", "A", "D"])` of q [T, A*D].
 *
 * Called with concrete tensors, names of parameters have their values while the layer runs; of the other dimensions at most one
 * may be left, which follows from the number of elements.
 * @throws IrError where the numbers of elements differ
 */
export function reshape<D extends Dims, S extends DType, const R extends Dims>(
  x: Typed<D, S>,
  dims: R & ReshapeFits<D, R>,
): Typed<[...R], S> {
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
      "Parameters have values while their layer runs, and one other dimension follows from the number of elements. Write the others as numbers.",
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

/** A dimension of a tensor of `rank`, counted from the last: −1 … −rank. */
export function fromLast(what: string, axis: number, rank: number): number {
  if (Number.isInteger(axis) && axis >= -rank && axis < rank) return axis < 0 ? axis : axis - rank;
  throw new IrError(
    `${what} along dimension ${axis} of a tensor with ${rank} dimension${rank === 1 ? "" : "s"}`,
    `Give a whole number from ${-rank} to ${rank - 1}.`,
  );
}
