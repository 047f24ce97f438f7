import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "../core/float16.ts";
import type { AttributeMap, Region, Value } from "../core/layer.ts";
import type { Tensor as TensorData, TensorStorage } from "../core/tensor.ts";
import { type AuthorType, authorTypes, type DType, type TensorType } from "../core/types.ts";
import { opDefinition } from "../ops/index.ts";
import { realsOf } from "../ops/reals.ts";

/** A tensor with numbers in it: what a layer is called with, and what it gives. */
export interface ConcreteTensor extends TensorData {
  toString(): string;
}

/** Elements as numbers that a dtype can hold, in the form in which the interpreter keeps them. */
const stored: Readonly<Record<AuthorType, (data: ArrayLike<number>) => TensorStorage>> = {
  f32: (data) => Float64Array.from(data, Math.fround),
  f16: (data) => Float64Array.from(data, (v) => f16ToF32(f32ToF16(v))),
  bf16: (data) => Float64Array.from(data, (v) => bf16ToF32(f32ToBf16(v))),
  i32: (data) => Int32Array.from(data),
};

/** At most so many elements of a dimension are printed. */
const printed = 8;

function print(data: TensorStorage, dims: readonly number[], at: number, indent: string): string {
  const [count, ...inner] = dims;
  if (count === undefined) return String(Number((data[at] ?? Number.NaN).toPrecision(6)));
  const step = inner.reduce((p, d) => p * d, 1);
  const parts = Array.from({ length: Math.min(count, printed) }, (_, i) =>
    print(data, inner, at + i * step, `${indent} `),
  );
  if (count > printed) parts.push("…");
  return `[${parts.join(inner.length === 0 ? ", " : `,\n${indent} `)}]`;
}

/** A concrete tensor. `t[i]` is the slice i of the first dimension. */
export class EagerTensor implements ConcreteTensor {
  readonly [index: number]: EagerTensor;
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: TensorStorage;
  declare readonly bound?: Float64Array;

  constructor({ dtype, dims, data, bound }: TensorData) {
    this.dtype = dtype;
    this.dims = dims;
    this.data = data;
    if (bound !== undefined) this.bound = bound;
  }

  get type(): TensorType {
    return { dtype: this.dtype, dims: this.dims.map((d) => Dim.of(d)) };
  }

  /** `f32[2, 3]` and the elements, six digits each; long dimensions are cut with `…`. */
  toString(): string {
    return `${this.dtype}[${this.dims.join(", ")}] ${print(this.data, this.dims, 0, "")}`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

// `t[i]` for any i, without own properties: an index is looked up only where a tensor has no such member.
Object.setPrototypeOf(
  EagerTensor.prototype,
  new Proxy(Object.prototype, {
    get(target, key, receiver) {
      if (typeof key === "symbol" || !/^\d+$/.test(key) || !(receiver instanceof EagerTensor)) {
        return Reflect.get(target, key, receiver);
      }
      const index = Number(key);
      const count = receiver.dims[0];
      if (count === undefined || index >= count) {
        throw new IrError(
          `index ${index} is outside ${receiver.type.dtype}[${receiver.dims}]`,
          "Index a slice below the first dimension.",
        );
      }
      return evaluateOne(
        "index",
        [receiver, new EagerTensor({ dtype: "i32", dims: [], data: Int32Array.of(index) })],
        {},
      );
    },
  }),
);

/**
 * A tensor from its dimensions and its elements, row-major: `tensor([2, 3], [1, 2, 3, 4, 5, 6])`.
 * Elements are rounded to what `dtype` (default "f32") can hold.
 * @throws IrError where the number of elements is not the product of the dimensions
 */
export function tensor(dims: readonly number[], data: ArrayLike<number>, dtype: AuthorType = "f32"): ConcreteTensor {
  if (!authorTypes.includes(dtype))
    throw new IrError(`"${dtype}" is no dtype of a tensor`, `Use one of ${authorTypes.join(", ")}.`);
  for (const d of dims) {
    if (!Number.isSafeInteger(d) || d < 0)
      throw new IrError(`a dimension is a whole number, found ${d}`, "Give whole numbers as dimensions.");
  }
  const count = dims.reduce((p, d) => p * d, 1);
  if (data.length !== count) {
    throw new IrError(
      `a tensor [${dims.join(", ")}] has ${count} elements, found ${data.length}`,
      "Give one number for each element, the last dimension running fastest.",
    );
  }
  return new EagerTensor({ dtype, dims: [...dims], data: stored[dtype](data) });
}

/** What stands for the region of an op: its type, and the function that computes it. */
export interface EagerRegion {
  readonly region: Region;
  run(args: readonly TensorData[]): readonly TensorData[];
}

/** Computes one op by its reference meaning. */
export function evaluate(
  op: string,
  operands: readonly EagerTensor[],
  attributes: AttributeMap,
  results: readonly Value[],
  eager?: EagerRegion,
): readonly EagerTensor[] {
  return opDefinition(op)
    .evaluate(operands, attributes, eager === undefined ? [] : [eager.region], {
      dims: {},
      results,
      runRegion: (_, args) => eager?.run(args) ?? [],
      choice: () => ({ given: undefined, trusted: false, report: () => {} }),
    })
    .map((t) => new EagerTensor(t));
}

/** Checks the operands of an op as the compiler does, then computes it. */
export function evaluateChecked(
  op: string,
  operands: readonly EagerTensor[],
  attributes: AttributeMap,
): readonly EagerTensor[] {
  const types = opDefinition(op).infer(
    operands.map((t) => t.type),
    attributes,
    [],
  );
  return evaluate(
    op,
    operands,
    attributes,
    types.map((type, i) => ({ name: `${op}_${i}`, type })),
  );
}

/** As evaluateChecked, for an op with one result. */
export function evaluateOne(op: string, operands: readonly EagerTensor[], attributes: AttributeMap): EagerTensor {
  const [result] = evaluateChecked(op, operands, attributes);
  if (result === undefined) throw new IrError(`${op} has no result`, "Use an op with a result here.");
  return result;
}

/** Rows as one tensor [rows, …]. */
export function stack(rows: readonly EagerTensor[], dims: readonly number[]): TensorData {
  const size = dims.reduce((p, d) => p * d, 1);
  const data = new Float64Array(rows.length * size);
  const bound = new Float64Array(rows.length * size);
  rows.forEach((row, i) => {
    data.set(realsOf(row), i * size);
    if (row.bound !== undefined) bound.set(row.bound, i * size);
  });
  return { dtype: "f32", dims: [rows.length, ...dims], data, bound };
}

/** The concrete tensor behind a value that the type system sees as symbolic. */
export function concrete(value: unknown, what: string): EagerTensor {
  if (value instanceof EagerTensor) return value;
  throw new IrError(`${what} is not a tensor`, "Make it with tensor(dims, data).");
}
