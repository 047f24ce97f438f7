import { isBlockFormat } from "../core/block-formats.ts";
import { IrError } from "../core/diagnostic.ts";
import type { AttributeMap } from "../core/layer.ts";
import type { Tensor } from "../core/tensor.ts";
import { type DType, formatType, isFloat, unitRoundoff } from "../core/types.ts";
import { onlyAttributes, realTypeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { floats, integers, intsOf, realsOf, roundedBound } from "./reals.ts";
import { expectBlocks, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

/** The whole numbers that a float becomes: those of i32 that an f32 can hold, so that all targets have the same ends. */
export const wholeRange = { least: -(2 ** 31), most: 2 ** 31 - 128 } as const;

/** Towards zero; out of range the nearest end; NaN becomes 0. */
const truncated = (v: number): number =>
  Number.isNaN(v) ? 0 : Math.max(wholeRange.least, Math.min(wholeRange.most, Math.trunc(v)));

const targetOf = (attributes: AttributeMap): DType =>
  attributes.to === "i32" ? "i32" : realTypeAttribute("cast", attributes, "to");

/** Floats to i32: where their error may change the whole number, the result says by how much. */
function truncate(x: Tensor): Tensor {
  const values = realsOf(x);
  const result = integers(x.dims, Int32Array.from(values, truncated));
  const { bound } = x;
  if (bound === undefined) return result;
  return { ...result, bound: bound.map((e, i) => (e === 0 ? 0 : truncated(values[i] + e) - truncated(values[i] - e))) };
}

/**
 * Between floats a permission to round: the reference meaning keeps the real value and widens the bound by the unit roundoff of
 * `to`, or by half a step of a block format's scale: an implementation may round there, or may keep more digits. Widening to f32 is exact. Between
 * floats and i32 a conversion: towards zero, out of range to the nearest end, NaN to 0; and to the nearest float.
 */
export const cast: OpDefinition = {
  name: "cast",
  summary:
    "x → the same dimensions: rounding to the float type or block format `to` is allowed; to or from i32, a conversion",
  infer(operands, attributes, regions) {
    onlyAttributes("cast", attributes, ["to"]);
    expectOperands("cast", operands, 1, 1, "one tensor");
    expectNoRegions("cast", regions);
    const x = operandAt(operands, 0);
    if (!isFloat(x.dtype) && x.dtype !== "i32")
      throw new IrError(`cast takes floats or i32, found ${formatType(x)}`, "Give a tensor of floats or of i32.");
    const to = targetOf(attributes);
    if (isBlockFormat(to)) expectBlocks("cast", x, to);
    return [{ dtype: to, dims: x.dims }];
  },
  evaluate(operands, attributes) {
    const x = operands[0];
    const to = targetOf(attributes);
    const row = x.dims.at(-1) ?? 1;
    if (to === "i32") return [x.dtype === "i32" ? x : truncate(x)];
    if (x.dtype === "i32") {
      const values = Float64Array.from(intsOf(x));
      // Up to the precision of f32 a whole number is exact; beyond, the loosest target is off by a unit in the last place.
      const own = values.map(
        (v, i) => (Math.abs(v) <= 2 ** 24 ? 0 : 2 * unitRoundoff.f32 * Math.abs(v)) + (x.bound?.[i] ?? 0),
      );
      const bound = own.some((e) => e > 0) ? own : undefined;
      return [floats(to, x.dims, values, to === "f32" ? bound : roundedBound(values, bound, to, row))];
    }
    const values = realsOf(x);
    return [
      floats(to, x.dims, values, to === "f32" || to === x.dtype ? x.bound : roundedBound(values, x.bound, to, row)),
    ];
  },
  flops: () => 0,
};
