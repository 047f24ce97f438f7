import { IrError } from "../core/diagnostic.ts";
import type { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import { apply, f32, type ScalarFunction, variable } from "../core/scalar.ts";
import { elementCount, formatType, isFloat, type TensorType } from "../core/types.ts";
import { choiceAttribute, numberAttribute, onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { count, floats, intsOf, realsOf, u32 } from "./reals.ts";
import { scalarKernel } from "./scalar-kernel.ts";
import { dimAt, expectFloat, expectIds, expectNoRegions, expectOperands, expectSame, operandAt } from "./shapes.ts";

const op = "rope";

/** How pairs of dimensions are rotated. */
export interface Rope {
  /** Pairs (i, F + i) of the 2F rotated dimensions, or neighbours (2i, 2i + 1). */
  readonly style: "half" | "interleaved";
  /** The first rotated dimension. */
  readonly start: Dim;
  /** Multiplies sine and cosine. */
  readonly factor: number;
}

export function ropeOf(attributes: AttributeMap): Rope {
  onlyAttributes(op, attributes, ["style", "start", "factor"]);
  return {
    style: choiceAttribute(op, attributes, "style", ["half", "interleaved"]),
    start: sizeAttribute(op, { start: 0, ...attributes }, "start", 0),
    factor: numberAttribute(op, attributes, "factor", 1),
  };
}

/** For rotated dimension j of 2·pairs: which frequency it has, which dimension is its partner, and the sign of the partner's share. */
export function partnerOf(
  style: Rope["style"],
  j: number,
  pairs: number,
): { readonly frequency: number; readonly partner: number; readonly sign: 1 | -1 } {
  if (style === "interleaved")
    return { frequency: Math.floor(j / 2), partner: j % 2 === 0 ? j + 1 : j - 1, sign: j % 2 === 0 ? -1 : 1 };
  return { frequency: j % pairs, partner: (j + pairs) % (2 * pairs), sign: j < pairs ? -1 : 1 };
}

/** sine or cosine of an angle, times a factor. */
export function waveOf(wave: "sin" | "cos", factor: number): ScalarFunction {
  const value = apply(wave, apply("mul", variable("position", "f32"), variable("frequency", "f32")));
  return { params: ["position", "frequency"], body: factor === 1 ? value : apply("mul", value, f32(factor)) };
}

/** own·cos + partner·(±sin) */
const rotated: ScalarFunction = {
  params: ["own", "cos", "partner", "sin"],
  body: apply(
    "add",
    apply("mul", variable("own", "f32"), variable("cos", "f32")),
    apply("mul", variable("partner", "f32"), variable("sin", "f32")),
  ),
};

/** Rotates pairs of a token's dimensions by position · frequency, in every head alike. Other dimensions stay. */
export const rope: OpDefinition = {
  name: op,
  summary:
    "x [T, (A,) D], positions i32[T], frequencies [F] → f32: pairs of 2F dimensions rotated by position · frequency",
  infer(operands, attributes, regions) {
    const { start } = ropeOf(attributes);
    expectOperands(op, operands, 3, 3, "a tensor, positions and frequencies");
    expectNoRegions(op, regions);
    const [x, positions, frequencies] = [0, 1, 2].map((i) => operandAt(operands, i)) as [
      TensorType,
      TensorType,
      TensorType,
    ];
    if (!isFloat(x.dtype) || x.dims.length < 2 || x.dims.length > 3)
      throw new IrError(
        `rope rotates floats [T, D] or [T, A, D], found ${formatType(x)}`,
        "Give tokens by dimensions.",
      );
    expectIds(op, "positions", positions, 1, "[T]");
    expectFloat(op, "frequencies", frequencies, 1, "[F]");
    expectSame(op, "tokens and positions", dimAt(x, 0), dimAt(positions, 0));
    const end = start.plus(dimAt(frequencies, 0).times(2));
    const missing = end.plus(dimAt(x, -1).times(-1)).constant;
    if (missing !== undefined && missing > 0)
      throw new IrError(
        `rope rotates dimensions up to ${end}, but there are ${dimAt(x, -1)}`,
        "Rotate fewer dimensions, or begin earlier.",
      );
    return [{ dtype: "f32", dims: x.dims }];
  },
  evaluate(operands, attributes, _, context) {
    const { style, start, factor } = ropeOf(attributes);
    const [x, positions, frequencies] = operands;
    const [tokens = 0] = x.dims;
    const depth = x.dims.at(-1) ?? 1;
    const heads = count(x.dims.slice(1, -1));
    const [pairs = 1] = frequencies.dims;
    const first = start.evaluate(context.dims);
    const [at, all] = [intsOf(positions), realsOf(frequencies)];
    // Angles of each token, by rotated dimension. Positions beyond 2^24 are no f32.
    const size = tokens * 2 * pairs;
    const [position, positionError, frequency, frequencyError] = [0, 0, 0, 0].map(() => new Float64Array(size));
    for (let i = 0; i < size; i++) {
      const f = partnerOf(style, i % (2 * pairs), pairs).frequency;
      position[i] = at[Math.floor(i / (2 * pairs))];
      positionError[i] = Math.abs(position[i]) > 2 ** 24 ? Math.abs(position[i]) * u32 : 0;
      frequency[i] = all[f];
      frequencyError[i] = frequencies.bound?.[f] ?? 0;
    }
    const wave = (kind: "sin" | "cos") =>
      scalarKernel(waveOf(kind, factor))([position, frequency], [positionError, frequencyError], size);
    const [cos, sin] = [wave("cos"), wave("sin")];
    const values = Float64Array.from(realsOf(x));
    const bound = x.bound === undefined ? new Float64Array(values.length) : Float64Array.from(x.bound);
    const [source, sourceBound] = [Float64Array.from(values), Float64Array.from(bound)];
    const row = Array.from({ length: 8 }, () => new Float64Array(2 * pairs)) as readonly Float64Array[];
    const [own, cosine, partner, sine, ownError, cosError, partnerError, sinError] = row;
    for (let r = 0; r < tokens * heads; r++) {
      const from = r * depth + first;
      const angle = Math.floor(r / heads) * 2 * pairs;
      for (let j = 0; j < 2 * pairs; j++) {
        const { partner: p, sign } = partnerOf(style, j, pairs);
        own[j] = source[from + j];
        ownError[j] = sourceBound[from + j];
        partner[j] = source[from + p];
        partnerError[j] = sourceBound[from + p];
        cosine[j] = cos.values[angle + j];
        cosError[j] = cos.bound[angle + j];
        sine[j] = sign * sin.values[angle + j];
        sinError[j] = sin.bound[angle + j];
      }
      const made = scalarKernel(rotated)(
        [own, cosine, partner, sine],
        [ownError, cosError, partnerError, sinError],
        2 * pairs,
      );
      values.set(made.values, from);
      bound.set(made.bound, from);
    }
    return [floats("f32", x.dims, values, bound)];
  },
  flops(operands, _, __, dims) {
    const [x, positions, frequencies] = [0, 1, 2].map((i) => operandAt(operands, i)) as [
      TensorType,
      TensorType,
      TensorType,
    ];
    const rotatedDims = 2 * dimAt(frequencies, 0).evaluate(dims);
    const rows = elementCount({ dtype: "f32", dims: x.dims.slice(0, -1) }).evaluate(dims);
    // Per token an angle, sine and cosine for each dimension; per head two products and a sum.
    return 3 * rotatedDims * dimAt(positions, 0).evaluate(dims) + 3 * rotatedDims * rows;
  },
};
