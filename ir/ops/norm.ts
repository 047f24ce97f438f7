import { IrError } from "../core/diagnostic.ts";
import type { AttributeMap } from "../core/layer.ts";
import { apply, f32, type ScalarExpr, variable } from "../core/scalar.ts";
import type { Tensor } from "../core/tensor.ts";
import { elementCount, formatType, isFloat, type TensorType } from "../core/types.ts";
import { choiceAttribute, numberAttribute, onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { count, floats, gamma, realsOf, tiny32, u32 } from "./reals.ts";
import { sums } from "./reduce.ts";
import { scalarFlops, scalarKernel } from "./scalar-kernel.ts";
import { dimAt, expectNoRegions, expectOperands, expectRows, operandAt } from "./shapes.ts";

const op = "norm";
const parameters = ["weight", "bias"] as const;
type Parameter = (typeof parameters)[number];

/** How rows are normalised: see `norm`. */
export interface Norm {
  readonly kind: "rms" | "layer";
  readonly epsilon: number;
  /** What a weight counts from: w or 1 + w. */
  readonly offset: 0 | 1;
  /** Operand number of the vectors that follow x. */
  readonly vectors: ReadonlyMap<Parameter, number>;
}

export function normOf(attributes: AttributeMap): Norm {
  onlyAttributes(op, attributes, ["kind", "epsilon", "offset", "with"]);
  const names = attributes.with ?? [];
  if (!Array.isArray(names) || !names.every((n, i) => parameters.some((p) => p === n) && names.indexOf(n) === i))
    throw new IrError(
      `with of ${op} is not a list of ${parameters.join(" and ")}`,
      `Name each of the vectors that follow x, such as ["weight"].`,
    );
  const epsilon = numberAttribute(op, attributes, "epsilon", 0);
  if (epsilon < 0) throw new IrError(`epsilon of ${op} is ${epsilon}`, "Give a number of at least 0, such as 1e-6.");
  const offset = numberAttribute(op, attributes, "offset", 0);
  if (offset !== 0 && offset !== 1)
    throw new IrError(`offset of ${op} is ${offset}`, "Weights count as w (offset 0) or as 1 + w (offset 1).");
  const vectors = new Map((names as Parameter[]).map((n, i) => [n, i + 1]));
  if (offset === 1 && !vectors.has("weight"))
    throw new IrError(`offset of ${op} is 1, but there is no weight`, "Give a weight, or leave the offset out.");
  return { kind: choiceAttribute(op, attributes, "kind", ["rms", "layer"]), epsilon, offset, vectors };
}

/**
 * rms: x / √(mean(x²) + ε); layer: (x − mean x) / √(mean((x − mean x)²) + ε); then · (offset + weight), + bias.
 * Sources: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization"; Ba, Kiros and Hinton 2016, "Layer Normalization".
 */
export const norm: OpDefinition = {
  name: op,
  summary:
    "x [..., n] (, weight [n]) (, bias [n]) → f32[..., n]: each row by its root mean square, or by its mean and deviation",
  infer(operands, attributes, regions) {
    const { vectors } = normOf(attributes);
    const all = vectors.size + 1;
    expectOperands(op, operands, all, all, ["x", ...vectors.keys()].join(", "));
    expectNoRegions(op, regions);
    const x = operandAt(operands, 0);
    expectRows(op, x);
    for (const [name, i] of vectors) expectVector(name, operandAt(operands, i), x);
    return [{ dtype: "f32", dims: x.dims }];
  },
  evaluate(operands, attributes) {
    const [x] = operands;
    const how = normOf(attributes);
    const n = x.dims.at(-1) ?? 1;
    const rows = count(x.dims.slice(0, -1));
    const mean = how.kind === "layer" ? sums(x, "mean") : undefined;
    const squares = squaresOf(x, mean);
    const inputs = [
      { values: realsOf(x), bound: x.bound, at: (i: number) => i },
      { ...squares, at: (i: number) => Math.floor(i / n) },
      ...(mean === undefined ? [] : [{ ...mean, at: (i: number) => Math.floor(i / n) }]),
      ...[...how.vectors.values()].map((v) => ({
        values: realsOf(operands[v]),
        bound: operands[v].bound,
        at: (i: number) => i % n,
      })),
    ];
    const spread = (data: Float64Array | undefined, at: (i: number) => number): Float64Array | undefined =>
      data && Float64Array.from({ length: rows * n }, (_, i) => data[at(i)]);
    const { values, bound } = scalarKernel(functionOf(how, n))(
      inputs.map((input) => spread(input.values, input.at) as Float64Array),
      inputs.map((input) => spread(input.bound, input.at)),
      rows * n,
    );
    return [floats("f32", x.dims, values, bound)];
  },
  flops(operands, attributes, _, dims) {
    const how = normOf(attributes);
    const x = operandAt(operands, 0);
    const elements = elementCount(x).evaluate(dims);
    const rows = elements === 0 ? 0 : elements / dimAt(x, -1).evaluate(dims);
    const each = scalarFlops(normalised(how, { x: one, factor: one, mean: one, weight: one, bias: one }));
    return elements * (each + (how.kind === "layer" ? 4 : 2)) + rows * scalarFlops(factorOf(one, 1, 0));
  },
};

const one = variable("one", "f32");

function expectVector(name: string, type: TensorType, x: TensorType): void {
  const columns = dimAt(x, -1);
  if (!isFloat(type.dtype) || type.dims.length !== 1)
    throw new IrError(`the ${name} of ${op} is a vector of floats, found ${formatType(type)}`, `Give f32[${columns}].`);
  if (!dimAt(type, 0).equals(columns))
    throw new IrError(
      `the ${name} of ${op} has ${dimAt(type, 0)} elements, but rows have ${columns}: ${formatType(type)} and ${formatType(x)}`,
      `Give f32[${columns}].`,
    );
}

/** 1 / √(sum of squares / n + ε) */
export const factorOf = (squares: ScalarExpr, n: number, epsilon: number): ScalarExpr =>
  apply("div", f32(1), apply("sqrt", apply("add", apply("mul", squares, f32(1 / n)), f32(epsilon))));

/** An element of the result; `factor` and `mean` are its row's. */
export function normalised(
  { kind, offset, vectors }: Norm,
  v: Readonly<Record<"x" | "factor" | "mean" | Parameter, ScalarExpr>>,
): ScalarExpr {
  const scaled = apply("mul", kind === "layer" ? apply("sub", v.x, v.mean) : v.x, v.factor);
  const weight = offset === 1 ? apply("add", v.weight, f32(1)) : v.weight;
  const weighted = vectors.has("weight") ? apply("mul", scaled, weight) : scaled;
  return vectors.has("bias") ? apply("add", weighted, v.bias) : weighted;
}

/** An element of the result as a function of x, its row's sum of squares and mean, and the vectors, in the order of `with`. */
function functionOf(how: Norm, n: number) {
  const named = (name: string): ScalarExpr => variable(name, "f32");
  const [x, squares, mean, weight, bias] = ["x", "squares", "mean", "weight", "bias"].map(named) as [
    ScalarExpr,
    ScalarExpr,
    ScalarExpr,
    ScalarExpr,
    ScalarExpr,
  ];
  const params = ["x", "squares", ...(how.kind === "layer" ? ["mean"] : []), ...how.vectors.keys()];
  return { params, body: normalised(how, { x, factor: factorOf(squares, n, how.epsilon), mean, weight, bias }) };
}

/**
 * Σ cᵢ² of each row, where c is x or x − mean. With errors εᵢ of c beside that of the mean, δ, which all elements share,
 * Σ (cᵢ + εᵢ − δ)² − Σ cᵢ² = 2Σ cᵢεᵢ + Σ εᵢ² − 2δΣ εᵢ + nδ², since Σ cᵢ = 0 (without a mean δ = 0). The εᵢ are no random walk:
 * what scaled the whole row gives all of them one sign. Squaring and adding make γ·Σ(|cᵢ| + …)² more.
 */
function squaresOf(
  x: Tensor,
  mean: { readonly values: Float64Array; readonly bound: Float64Array } | undefined,
): { readonly values: Float64Array; readonly bound: Float64Array } {
  const n = x.dims.at(-1) ?? 1;
  const rows = count(x.dims.slice(0, -1));
  const from = realsOf(x);
  const values = new Float64Array(rows);
  const bound = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const [center, shared] = [mean?.values[row] ?? 0, mean?.bound[row] ?? 0];
    let [sum, most, carried, errors] = [0, 0, 0, 0];
    for (let i = row * n; i < (row + 1) * n; i++) {
      const c = from[i] - center;
      const own = x.bound?.[i] ?? 0;
      const e = own + (mean === undefined ? 0 : u32 * (Math.abs(c) + own + shared));
      sum += c * c;
      most += (Math.abs(c) + e + shared) ** 2;
      carried += 2 * Math.abs(c) * e + e * e;
      errors += e;
    }
    values[row] = sum;
    bound[row] = carried + 2 * shared * errors + n * shared * shared + gamma(n) * most + n * tiny32;
  }
  return { values, bound };
}
