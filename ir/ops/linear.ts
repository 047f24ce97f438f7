import { IrError } from "../core/diagnostic.ts";
import type { AttributeMap } from "../core/layer.ts";
import type { Tensor } from "../core/tensor.ts";
import { elementCount, formatType, isReal, type TensorType } from "../core/types.ts";
import { functionAttribute, onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { packedRows, plainRows, products, type Sums, type WeightRows } from "./product.ts";
import { besideRows, checkBeside, splitBeside } from "./product-beside.ts";
import { packedAttribute, packedCount, productAttributes, productSignature } from "./product-types.ts";
import { count, floats, roundedBound } from "./reals.ts";
import { scalarFlops, scalarKernel } from "./scalar-kernel.ts";
import { dimAt, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

/** y = epilogue(x·w₀ᵀ, x·w₁ᵀ, …, b₀, …) over the last dimension, summed in f32; b₀ … are what `beside` names. */
export const linear: OpDefinition = {
  name: "linear",
  summary: "x [..., k], w₀ [n, k] (, w₁ …) (, b₀ …) → [..., n]: epilogue(x·w₀ᵀ, x·w₁ᵀ, …, b₀, …), summed in f32",
  infer(operands, attributes, regions) {
    onlyAttributes("linear", attributes, [...productAttributes, "beside"]);
    expectOperands("linear", operands, 2, Number.POSITIVE_INFINITY, "a tensor and at least one weight");
    expectNoRegions("linear", regions);
    const x = operandAt(operands, 0);
    if (!isReal(x.dtype) || x.dims.length === 0)
      throw new IrError(
        `linear multiplies a float tensor [..., k], found ${formatType(x)}`,
        "Give a float tensor with at least one dimension.",
      );
    const { weights, beside } = splitBeside("linear", operands.slice(1), attributes);
    const signature = productSignature("linear", dimAt(x, -1), weights, attributes, { beside: beside.length });
    const { columns, result } = signature;
    const rows = x.dims.slice(0, -1);
    checkBeside("linear", beside, { rows, columns });
    return [{ dtype: result, dims: [...rows, columns] }];
  },
  evaluate(operands, attributes, _, context) {
    const [x, ...own] = operands as [Tensor, ...Tensor[]];
    const { weights, beside } = splitBeside("linear", own, attributes);
    const depth = x.dims.at(-1) ?? 1;
    const m = count(x.dims.slice(0, -1));
    const rows = weightRows("linear", weights, attributes, depth, context.dims);
    const dims = [...x.dims.slice(0, -1), rows.columns];
    const others = besideRows(beside, { expert: 0, first: 0, rows: m, columns: rows.columns });
    return [finish("linear", products(x, m, rows), attributes, dims, others)];
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

/** Applies the epilogue to the sums and what stands beside them, and rounds to the result's type. */
export function finish(
  op: string,
  sums: Sums,
  attributes: AttributeMap,
  dims: readonly number[],
  beside: ReturnType<typeof besideRows> = { values: [], bounds: [] },
): Tensor {
  const all = [...sums.values, ...beside.values];
  const epilogue = functionAttribute(op, attributes, "epilogue", all.length);
  const { values, bound } =
    epilogue === undefined
      ? { values: sums.values[0], bound: sums.bounds[0] }
      : scalarKernel(epilogue)(all, [...sums.bounds, ...beside.bounds], count(dims));
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
  const { weights, beside } = splitBeside(op, own, attributes);
  const weight = operandAt(weights, 0);
  const number = packed === undefined ? weights.length : (packedCount(weight, packed) ?? 0);
  const n = dimAt(operandAt(results, 0), -1).evaluate(dims);
  const k = dimAt(x, -1).evaluate(dims);
  const epilogue = functionAttribute(op, attributes, "epilogue", number + beside.length);
  return m * n * (2 * k * number + (epilogue === undefined ? 0 : scalarFlops(epilogue.body)));
}
