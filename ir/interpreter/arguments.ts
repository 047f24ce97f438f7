import { isBlockFormat } from "../core/block-formats.ts";
import { IrError } from "../core/diagnostic.ts";
import type { Argument, Layer } from "../core/layer.ts";
import type { Tensor, TensorStorage } from "../core/tensor.ts";
import { type DType, formatType, tensorBytes } from "../core/types.ts";
import { count } from "../ops/reals.ts";

/** Which arrays may hold a dtype's elements. The interpreter's own floats are Float64Array, whatever the dtype. */
const holders = {
  f32: [Float32Array, Float64Array],
  f16: [Uint16Array, Float64Array],
  bf16: [Uint16Array, Float64Array],
  f8: [Uint8Array, Float64Array],
  i32: [Int32Array],
  u32: [Uint32Array],
  i8: [Int8Array],
  u8: [Uint8Array],
  bool: [Uint8Array],
} as const satisfies Partial<Record<DType, readonly (abstract new (length: number) => TensorStorage)[]>>;

/**
 * Checks the tensor given for an argument: that it is there, its dtype, dimensions and array. Throws IrError.
 * An f32 given as Float64Array is what a caller has before rounding; the distance to the nearest f32 becomes its bound.
 */
export function checkArgument(
  layer: Layer,
  { value, role }: Argument,
  tensors: ReadonlyMap<string, Tensor>,
  dims: Readonly<Record<string, number>>,
): Tensor {
  const expected = formatType(value.type);
  const tensor = tensors.get(value.name);
  if (tensor === undefined) {
    const given = tensors.size === 0 ? "none" : [...tensors.keys()].join(", ");
    throw new IrError(
      `${role} ${value.name} of layer ${layer.name} is missing`,
      `Give ${value.name}: ${expected}. Given: ${given}.`,
    );
  }
  const help = `Give ${value.name}: ${expected}.`;
  if (tensor.dtype !== value.type.dtype)
    throw new IrError(`${role} ${value.name} is ${tensor.dtype}, expected ${value.type.dtype}`, help);
  const sizes = value.type.dims.map((d) => d.evaluate(dims));
  if (sizes.length !== tensor.dims.length || sizes.some((s, i) => s !== tensor.dims[i]))
    throw new IrError(
      `${role} ${value.name} has dimensions [${tensor.dims.join(", ")}], expected [${sizes.join(", ")}]`,
      help,
    );
  const allowed: readonly (abstract new (length: number) => TensorStorage)[] = isBlockFormat(tensor.dtype)
    ? [Uint8Array, Float64Array]
    : holders[tensor.dtype];
  if (!allowed.some((holder) => tensor.data instanceof holder))
    throw new IrError(
      `${role} ${value.name} is held in ${tensor.data.constructor.name}, expected ${allowed.map((h) => h.name).join(" or ")}`,
      help,
    );
  const unit = isBlockFormat(tensor.dtype) && tensor.data instanceof Uint8Array ? "bytes" : "elements";
  const expectedLength = unit === "bytes" ? tensorBytes(tensor.dtype, sizes) : count(sizes);
  if (tensor.data.length !== expectedLength)
    throw new IrError(
      `${role} ${value.name} has ${tensor.data.length} ${unit}, expected ${expectedLength}`,
      `Give [${sizes.join(", ")}] elements, row by row.`,
    );
  return tensor.dtype === "f32" && tensor.data instanceof Float64Array && tensor.bound === undefined
    ? withRounding(tensor, tensor.data)
    : tensor;
}

function withRounding(tensor: Tensor, data: Float64Array): Tensor {
  if (data.every((x) => Object.is(Math.fround(x), x))) return tensor;
  return { ...tensor, bound: data.map((x) => Math.abs(x - Math.fround(x))) };
}
