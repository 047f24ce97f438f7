import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import type { Tensor } from "../core/tensor.ts";
import { formatType, isFloat, type TensorType } from "../core/types.ts";
import { realsOf } from "./reals.ts";

/**
 * What the epilogue of a product takes beside the sums, of a result [rows, n]: a number for each column, alike in all rows (a bias) or in
 * those of an expert; one for each row (its weight in a mixture); one for each element (what is added to the result).
 */
export const besideKinds = ["columns", "expert_columns", "rows", "elements"] as const;
export type BesideKind = (typeof besideKinds)[number];

/** An operand of a product that stands beside its sums. */
export interface Beside<T> {
  readonly kind: BesideKind;
  readonly value: T;
}

/** What a product takes behind its rows: weights, and then what its attribute `beside` names. */
export function splitBeside<T>(
  op: string,
  own: readonly T[],
  attributes: AttributeMap,
): { readonly weights: readonly T[]; readonly beside: readonly Beside<T>[] } {
  const kinds = attributes.beside ?? [];
  const isKinds = (list: unknown): list is readonly BesideKind[] =>
    Array.isArray(list) && list.every((k) => besideKinds.includes(k));
  if (!isKinds(kinds) || kinds.length > own.length)
    throw new IrError(
      `beside of ${op} names what its last operands are`,
      `Give a list of ${besideKinds.join(", ")}, one for each operand behind the weights.`,
    );
  const first = own.length - kinds.length;
  return { weights: own.slice(0, first), beside: kinds.map((kind, i) => ({ kind, value: own[first + i] as T })) };
}

/** Checks what stands beside the sums of a result [...rows, columns]. */
export function checkBeside(
  op: string,
  beside: readonly Beside<TensorType>[],
  of: { readonly rows: readonly Dim[]; readonly columns: Dim; readonly experts?: Dim },
): void {
  for (const { kind, value } of beside) {
    if (kind === "expert_columns" && of.experts === undefined)
      throw new IrError(`${op} has no experts, whose numbers stand beside its sums`, "Give a tensor [n].");
    const expected = {
      columns: [of.columns],
      expert_columns: [of.experts ?? Dim.of(1), of.columns],
      rows: [...of.rows, Dim.of(1)],
      elements: [...of.rows, of.columns],
    }[kind];
    const { dims } = value;
    if (!isFloat(value.dtype) || dims.length !== expected.length || !dims.every((d, i) => expected[i]?.equals(d)))
      throw new IrError(
        `${kind} beside the sums of ${op} are a float tensor [${expected.join(", ")}], found ${formatType(value)}`,
        "Give a tensor of that shape.",
      );
  }
}

/** The numbers beside the sums of some rows of one expert, an element for each sum [rows, columns]. */
export function besideRows(
  beside: readonly Beside<Tensor>[],
  part: { readonly expert: number; readonly first: number; readonly rows: number; readonly columns: number },
): { readonly values: readonly Float64Array[]; readonly bounds: readonly (Float64Array | undefined)[] } {
  const { expert, first, rows, columns } = part;
  const all = (kind: BesideKind, data: Float64Array): Float64Array => {
    const row = (i: number): Float64Array => {
      if (kind === "rows") return new Float64Array(columns).fill(data[first + i]);
      const at = { columns: 0, expert_columns: expert, elements: first + i }[kind];
      return data.subarray(at * columns, (at + 1) * columns);
    };
    const made = new Float64Array(rows * columns);
    for (let i = 0; i < rows; i++) made.set(row(i), i * columns);
    return made;
  };
  return {
    values: beside.map(({ kind, value }) => all(kind, realsOf(value))),
    bounds: beside.map(({ kind, value }) => value.bound && all(kind, value.bound)),
  };
}
