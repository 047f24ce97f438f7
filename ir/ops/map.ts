import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import { integerForm } from "../core/integer-form.ts";
import type { AttributeMap } from "../core/layer.ts";
import type { ScalarFunction } from "../core/scalar.ts";
import type { Tensor } from "../core/tensor.ts";
import { type DType, elementCount, formatType, isFloat, type TensorType } from "../core/types.ts";
import { functionAttribute, onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { count, floats, integers, realsOf } from "./reals.ts";
import { scalarFlops, scalarKernel } from "./scalar-kernel.ts";
import { expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

/** A scalar function of the elements; shapes are aligned at the last dimension, and dimensions of size 1 are repeated. */
export const map: OpDefinition = {
  name: "map",
  summary:
    "x₀ … (repeated along missing leading dimensions and dimensions of size 1) → f32, of i32 alone i32: a scalar function of the elements",
  infer(operands, attributes, regions) {
    onlyAttributes("map", attributes, ["fn"]);
    expectOperands("map", operands, 1, Number.POSITIVE_INFINITY, "at least one tensor");
    expectNoRegions("map", regions);
    const whole = areIntegers(operands.map((x) => x.dtype));
    for (const x of operands)
      if (!isFloat(x.dtype) && !whole)
        throw new IrError(
          x.dtype === "i32"
            ? `map works on floats or on i32, found ${operands.map(formatType).join(" and ")}`
            : `map works on floats, found ${formatType(x)}`,
          x.dtype === "i32" ? "Cast one of them." : "Give float tensors.",
        );
    mapFunction(operands, attributes);
    return [{ dtype: whole ? "i32" : "f32", dims: broadcastTypes(operands) }];
  },
  evaluate(operands, attributes) {
    const fn = mapFunction(operands, attributes);
    const dims = broadcastDims(operands.map((x) => x.dims));
    const size = count(dims);
    const { values, bound } = scalarKernel(fn)(
      operands.map((x) => expand(realsOf(x), x.dims, dims)),
      operands.map((x) => (x.bound === undefined ? undefined : expand(x.bound, x.dims, dims))),
      size,
    );
    if (!areIntegers(operands.map((x) => x.dtype))) return [floats("f32", dims, values, bound)];
    const beyond = values.find((v) => v !== (v | 0));
    if (beyond !== undefined)
      throw new IrError(`map gives ${beyond}, which is no i32`, "Keep whole numbers within 32 bits.");
    const result = integers(dims, Int32Array.from(values));
    return [bound.some((e) => e > 0) ? { ...result, bound } : result];
  },
  flops(operands, attributes, results, dims) {
    const fn = functionAttribute("map", attributes, "fn", operands.length);
    return elementCount(operandAt(results, 0)).evaluate(dims) * (fn === undefined ? 0 : scalarFlops(fn.body));
  },
};

const areIntegers = (dtypes: readonly DType[]): boolean => dtypes.every((d) => d === "i32");

const integral = new WeakMap<ScalarFunction, ScalarFunction>();

/** The function of a map: over i32, that of whole numbers. */
export function mapFunction(operands: readonly { readonly dtype: DType }[], attributes: AttributeMap): ScalarFunction {
  const fn = functionAttribute("map", attributes, "fn", operands.length);
  if (fn === undefined) throw new IrError("map has no function", "Give a function over numbers.");
  if (!areIntegers(operands.map((x) => x.dtype))) return fn;
  const known = integral.get(fn) ?? integerForm(fn);
  integral.set(fn, known);
  return known;
}

function broadcastTypes(operands: readonly TensorType[]): Dim[] {
  const one = Dim.of(1);
  const rank = Math.max(...operands.map((x) => x.dims.length));
  return Array.from({ length: rank }, (_, i) => {
    let dim = one;
    for (const x of operands) {
      const own = x.dims[x.dims.length - rank + i];
      if (own === undefined || own.equals(one) || own.equals(dim)) continue;
      if (!dim.equals(one))
        throw new IrError(
          `dimensions differ: ${dim} vs ${own} (${operands.map(formatType).join(" and ")})`,
          "Elementwise functions take tensors of one shape; a missing leading dimension or a dimension of size 1 is repeated.",
        );
      dim = own;
    }
    return dim;
  });
}

function broadcastDims(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, i) => {
    const sizes = shapes.map((s) => s[s.length - rank + i] ?? 1);
    const size = sizes.find((s) => s !== 1) ?? 1;
    if (sizes.some((s) => s !== 1 && s !== size))
      throw new IrError(
        `shapes differ: ${shapes.map((s) => `[${s.join(", ")}]`).join(" and ")}`,
        "Elementwise functions take tensors of one shape.",
      );
    return size;
  });
}

/** Repeats a tensor's elements up to `dims`. */
function expand(data: Float64Array, own: Tensor["dims"], dims: readonly number[]): Float64Array {
  const size = count(dims);
  if (data.length === size) return data;
  const out = new Float64Array(size);
  const lead = dims.length - own.length;
  const strides = dims.map((_, i) => (i < lead || own[i - lead] === 1 ? 0 : count(own.slice(i - lead + 1))));
  const index = dims.map(() => 0);
  for (let i = 0, at = 0; i < size; i++) {
    out[i] = data[at];
    for (let d = dims.length - 1; d >= 0; d--) {
      const stride = strides[d];
      index[d] = index[d] + 1;
      at += stride;
      if (index[d] < dims[d]) break;
      at -= stride * dims[d];
      index[d] = 0;
    }
  }
  return out;
}
