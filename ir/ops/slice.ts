import { IrError } from "../core/diagnostic.ts";
import type { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import { formatType, isFloat, isReal, type TensorType } from "../core/types.ts";
import { axisAttribute, countAttribute, onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { assemble } from "./elements.ts";
import { count } from "./reals.ts";
import { dimAt, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

const op = "slice";

/** Which elements of which dimension. The dimension counts from the last, so that it is the same for one token and for many. */
export interface Slice {
  /** −1: columns, −2: rows, … */
  readonly axis: number;
  readonly start: Dim;
  readonly count: Dim;
  readonly step: number;
}

export function sliceOf(attributes: AttributeMap): Slice {
  onlyAttributes(op, attributes, ["axis", "start", "count", "step"]);
  return {
    axis: axisAttribute(op, attributes),
    start: sizeAttribute(op, attributes, "start", 0),
    count: sizeAttribute(op, attributes, "count", 0),
    step: countAttribute(op, attributes, "step"),
  };
}

/** How many elements too few there are, as a dimension: at most 0 where the slice fits. */
function missing(x: TensorType, { axis, start, count: taken, step }: Slice): Dim {
  const last = start.plus(taken.plus(-1).times(step)).plus(1);
  return last.plus(dimAt(x, axis).times(-1));
}

const tooFew = (x: TensorType, s: Slice): IrError =>
  new IrError(
    `a slice of ${s.count} from ${s.start} on in steps of ${s.step} needs ${s.start.plus(s.count.plus(-1).times(s.step)).plus(1)} elements, but there are ${dimAt(x, s.axis)}`,
    "Take fewer, or begin earlier.",
  );

/** Every step-th element of one dimension: one half of a product's columns, or every other; the last rows of a cache. */
export const slice: OpDefinition = {
  name: op,
  summary: "x → x with `count` elements of the dimension `axis`: start, start + step, …",
  infer(operands, attributes, regions) {
    expectOperands(op, operands, 1, 1, "one tensor");
    expectNoRegions(op, regions);
    const x = operandAt(operands, 0);
    const s = sliceOf(attributes);
    if (s.axis === -1 && isReal(x.dtype) && !isFloat(x.dtype))
      throw new IrError(`columns of ${formatType(x)} lie in blocks`, "Slice rows, or choose another storage.");
    if ((missing(x, s).constant ?? 0) > 0) throw tooFew(x, s);
    return [{ dtype: x.dtype, dims: x.dims.map((d, i) => (i === x.dims.length + s.axis ? s.count : d)) }];
  },
  /** Run-time sizes may be any number from 0 on: what is left of them must fit for all. */
  checkSizes(operands, attributes) {
    const x = operandAt(operands, 0);
    const s = sliceOf(attributes);
    if (missing(x, s).terms.some((t) => t.factors.length > 0 && t.coefficient > 0)) throw tooFew(x, s);
  },
  evaluate(operands, attributes, _, context) {
    const [x] = operands;
    const { axis, step, ...sizes } = sliceOf(attributes);
    const [start, taken] = [sizes.start, sizes.count].map((d) => d.evaluate(context.dims));
    const at = x.dims.length + axis;
    const own = x.dims[at];
    if (taken > 0 && start + (taken - 1) * step >= own)
      throw new IrError(
        `a slice reaches element ${start + (taken - 1) * step} of ${own}`,
        "Take fewer, or begin earlier.",
      );
    const [outer, inner] = [count(x.dims.slice(0, at)), count(x.dims.slice(at + 1))];
    const dims = x.dims.map((d, i) => (i === at ? taken : d));
    const sliced = assemble(x.dtype, dims, [x], (put) => {
      for (let o = 0; o < outer; o++)
        for (let i = 0; i < taken; i++) put(0, (o * own + start + i * step) * inner, (o * taken + i) * inner, inner);
    });
    return [sliced];
  },
  flops: () => 0,
};

/** The attributes of a slice. */
export const sliceAttributes = ({ axis, start, count, step }: Slice): AttributeMap => ({ axis, start, count, step });
