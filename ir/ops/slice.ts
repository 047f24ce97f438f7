import { IrError } from "../core/diagnostic.ts";
import type { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import { formatType, isFloat } from "../core/types.ts";
import { countAttribute, onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { count, floats, realsOf } from "./reals.ts";
import { dimAt, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

const op = "slice";

/** Which elements of which dimension. The dimension counts from the last, so that it is the same for one token and for many. */
export interface Slice {
  /** −1: columns, −2: rows. */
  readonly axis: -1 | -2;
  readonly start: Dim;
  readonly count: Dim;
  readonly step: number;
}

export function sliceOf(attributes: AttributeMap): Slice {
  onlyAttributes(op, attributes, ["axis", "start", "count", "step"]);
  const { axis } = attributes;
  if (axis !== -1 && axis !== -2) throw new IrError("axis of slice is neither -1 nor -2", "Slice columns or rows.");
  return {
    axis,
    start: sizeAttribute(op, attributes, "start", 0),
    count: sizeAttribute(op, attributes, "count"),
    step: countAttribute(op, attributes, "step"),
  };
}

/** Every step-th element of one dimension: one half of a product's columns, or every other. */
export const slice: OpDefinition = {
  name: op,
  summary: "x → x with `count` elements of its last (axis −1) or last but one (−2) dimension: start, start + step, …",
  infer(operands, attributes, regions) {
    expectOperands(op, operands, 1, 1, "one tensor");
    expectNoRegions(op, regions);
    const x = operandAt(operands, 0);
    if (!isFloat(x.dtype)) throw new IrError(`slice works on floats, found ${formatType(x)}`, "Give a float tensor.");
    const { axis, start, count: taken, step } = sliceOf(attributes);
    const last = start.plus(taken.plus(-1).times(step)).plus(1);
    const own = dimAt(x, axis);
    const missing = last.plus(own.times(-1)).constant;
    if (missing !== undefined && missing > 0)
      throw new IrError(
        `a slice of ${taken} from ${start} on in steps of ${step} needs ${last} elements, but there are ${own}`,
        "Take fewer, or begin earlier.",
      );
    return [{ dtype: x.dtype, dims: x.dims.map((d, i) => (i === x.dims.length + axis ? taken : d)) }];
  },
  evaluate(operands, attributes, _, context) {
    const [x] = operands;
    const { axis, step, ...sizes } = sliceOf(attributes);
    const [start, taken] = [sizes.start, sizes.count].map((d) => d.evaluate(context.dims));
    const at = x.dims.length + axis;
    const own = x.dims[at];
    if (start + (taken - 1) * step >= own)
      throw new IrError(
        `a slice reaches element ${start + (taken - 1) * step} of ${own}`,
        "Take fewer, or begin earlier.",
      );
    const [outer, inner] = [count(x.dims.slice(0, at)), count(x.dims.slice(at + 1))];
    const pick = (from: Float64Array): Float64Array => {
      const out = new Float64Array(outer * taken * inner);
      for (let o = 0; o < outer; o++)
        for (let i = 0; i < taken; i++) {
          const source = (o * own + start + i * step) * inner;
          out.set(from.subarray(source, source + inner), (o * taken + i) * inner);
        }
      return out;
    };
    const dims = x.dims.map((d, i) => (i === at ? taken : d));
    return [floats(x.dtype, dims, pick(realsOf(x)), x.bound && pick(x.bound))];
  },
  flops: () => 0,
};

/** The attributes of a slice. */
export const sliceAttributes = ({ axis, start, count, step }: Slice): AttributeMap => ({ axis, start, count, step });
