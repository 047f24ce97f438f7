import { IrError } from "../core/diagnostic.ts";
import type { AttributeMap } from "../core/layer.ts";
import type { Tensor } from "../core/tensor.ts";
import { elementCount, formatType, isReal, type TensorType } from "../core/types.ts";
import { functionAttribute, onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { packedRows, plainRows, products, type Sums, type WeightRows } from "./product.ts";
import { packedAttribute, packedCount, productAttributes, productSignature, splitVectors } from "./product-types.ts";
import { count, floats, realsOf, roundedBound } from "./reals.ts";
import { scalarFlops, scalarKernel } from "./scalar-kernel.ts";
import { dimAt, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

/** y = epilogue(x·w₀ᵀ, x·w₁ᵀ, …, v₀, …) over the last dimension, summed in f32. */
export const linear: OpDefinition = {
  name: "linear",
  summary: "x [..., k], w₀ [n, k] (, w₁ …) (, v₀ [n] …) → [..., n]: epilogue(x·w₀ᵀ, x·w₁ᵀ, …, v₀, …), summed in f32",
  infer(operands, attributes, regions) {
    onlyAttributes("linear", attributes, productAttributes);
    expectOperands("linear", operands, 2, Number.POSITIVE_INFINITY, "a tensor and at least one weight");
    expectNoRegions("linear", regions);
    const x = operandAt(operands, 0);
    if (!isReal(x.dtype) || x.dims.length === 0)
      throw new IrError(
        `linear multiplies a float tensor [..., k], found ${formatType(x)}`,
        "Give a float tensor with at least one dimension.",
      );
    const { columns, result } = productSignature("linear", dimAt(x, -1), operands.slice(1), attributes);
    return [{ dtype: result, dims: [...x.dims.slice(0, -1), columns] }];
  },
  evaluate(operands, attributes, _, context) {
    const [x, ...own] = operands as [Tensor, ...Tensor[]];
    const { weights, vectors } = splitVectors("linear", own, attributes);
    const depth = x.dims.at(-1) ?? 1;
    const m = count(x.dims.slice(0, -1));
    const rows = weightRows("linear", weights, attributes, depth, context.dims);
    return [finish("linear", products(x, m, rows), attributes, [...x.dims.slice(0, -1), rows.columns], vectors)];
  },
  flops(operands, attributes, results, dims) {
    const m = elementCount({ dtype: "f32", dims: operandAt(operands, 0).dims.slice(0, -1) }).evaluate(dims);
    return productFlops("linear", m, operandAt(operands, 0), operands.slice(1), attributes, results, dims);
  },
};

/** The rows of one group's weights, plain or packed. */
export function weightRows(
  op: string,
  weights: readonly Tensor[],
  attributes: AttributeMap,
  depth: number,
  dims: Readonly<Record<string, number>>,
): WeightRows {
  const packed = packedAttribute(op, attributes);
  if (packed === undefined) return plainRows(weights, depth);
  return packedRows(weights[0], packed, sizeAttribute(op, attributes, "columns").evaluate(dims), depth);
}

/** Applies the epilogue to the sums and the vectors [n], and rounds to the result's type. */
export function finish(
  op: string,
  sums: Sums,
  attributes: AttributeMap,
  dims: readonly number[],
  vectors: readonly Tensor[],
): Tensor {
  const epilogue = functionAttribute(op, attributes, "epilogue", sums.values.length + vectors.length);
  const inEachRow = (data: Float64Array): Float64Array => {
    const all = new Float64Array(count(dims));
    for (let at = 0; at < all.length; at += data.length) all.set(data, at);
    return all;
  };
  const { values, bound } =
    epilogue === undefined
      ? { values: sums.values[0], bound: sums.bounds[0] }
      : scalarKernel(epilogue)(
          [...sums.values, ...vectors.map((v) => inEachRow(realsOf(v)))],
          [...sums.bounds, ...vectors.map((v) => v.bound && inEachRow(v.bound))],
          count(dims),
        );
  const dtype = attributes.result === "bf16" || attributes.result === "f16" ? attributes.result : "f32";
  return floats(dtype, dims, values, dtype === "f32" ? bound : roundedBound(values, bound, dtype, dims.at(-1) ?? 1));
}

/** 2·m·n·k for each weight, and the epilogue on each of the m·n results. */
export function productFlops(
  op: string,
  m: number,
  x: TensorType,
  own: readonly TensorType[],
  attributes: AttributeMap,
  results: readonly TensorType[],
  dims: Readonly<Record<string, number>>,
): number {
  const packed = packedAttribute(op, attributes);
  const { weights, vectors } = splitVectors(op, own, attributes);
  const weight = operandAt(weights, 0);
  const number = packed === undefined ? weights.length : (packedCount(weight, packed) ?? 0);
  const n = dimAt(operandAt(results, 0), -1).evaluate(dims);
  const k = dimAt(x, -1).evaluate(dims);
  const epilogue = functionAttribute(op, attributes, "epilogue", number + vectors.length);
  return m * n * (2 * k * number + (epilogue === undefined ? 0 : scalarFlops(epilogue.body)));
}
