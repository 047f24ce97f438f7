import { IrError } from "../core/diagnostic.ts";
import { elementArrays, type Tensor } from "../core/tensor.ts";
import { type DType, isFloat, isReal } from "../core/types.ts";
import { count, realsOf } from "./reals.ts";

/** Ops that move elements and change none: they keep values, bounds and dtypes, whatever these are. */

/** Copies `length` elements of source number `source`, from element `from` on, to element `to` of the result. */
export type Put = (source: number, from: number, to: number, length: number) => void;

/** A tensor made of elements of others. Sources of an integer dtype are of the result's own. */
export function assemble(
  dtype: DType,
  dims: readonly number[],
  sources: readonly Tensor[],
  fill: (put: Put) => void,
): Tensor {
  const size = count(dims);
  const elements = isReal(dtype) ? sources.map(realsOf) : sources.map((s) => s.data);
  const data = isReal(dtype) ? new Float64Array(size) : new elementArrays[dtype](size);
  const bound = sources.some((s) => s.bound !== undefined) ? new Float64Array(size) : undefined;
  fill((source, from, to, length) => {
    data.set(elements[source].subarray(from, from + length), to);
    const own = sources[source].bound;
    if (bound !== undefined && own !== undefined) bound.set(own.subarray(from, from + length), to);
  });
  return bound === undefined ? { dtype, dims, data } : { dtype, dims, data, bound };
}

/** The dtype of elements of several tensors together: one for all, or f32 where floats are of several. */
export function commonDType(op: string, dtypes: readonly DType[]): DType {
  const [first, ...others] = dtypes;
  if (first === undefined || others.every((d) => d === first)) return first ?? "f32";
  if (dtypes.every(isFloat)) return "f32";
  throw new IrError(
    `${op} takes tensors of one dtype, found ${[...new Set(dtypes)].join(" and ")}`,
    "Cast one of them.",
  );
}
