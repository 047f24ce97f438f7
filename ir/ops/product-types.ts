import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import type { ScalarFunction } from "../core/scalar.ts";
import { type DType, formatType, isReal, type TensorType } from "../core/types.ts";
import { countAttribute, floatTypeAttribute, functionAttribute, isAttributeMap, sizeAttribute } from "./attributes.ts";
import { dimAt } from "./shapes.ts";

/** Block sizes of a packed weight: `rows` output columns by `depth` elements of the sum. */
export interface PackedLayout {
  readonly rows: number;
  readonly depth: number;
}

/** What `linear` and `grouped_linear` make of their weights and attributes. */
export interface ProductSignature {
  /** Number of weights, w₀ … : as many sums go into the epilogue. */
  readonly count: number;
  /** Output columns n. */
  readonly columns: Dim;
  readonly result: DType;
  readonly packed: PackedLayout | undefined;
  /** A function of the sums, and of what stands beside them. */
  readonly epilogue: ScalarFunction | undefined;
}

export const productAttributes = ["epilogue", "result", "packed", "columns"] as const;

/** Number of blocks of `block` elements that cover `size`, where it can be said without knowing the symbols. */
export function blockCount(size: Dim, block: number): Dim | undefined {
  if (size.constant !== undefined) return Dim.of(Math.ceil(size.constant / block));
  if (!size.terms.every((t) => t.coefficient % block === 0)) return undefined;
  return size.terms.reduce(
    (sum, t) => sum.plus(t.factors.reduce((m, f) => m.times(Dim.symbol(f)), Dim.of(t.coefficient / block))),
    Dim.of(0),
  );
}

export function packedAttribute(op: string, attributes: AttributeMap): PackedLayout | undefined {
  const packed = attributes.packed;
  if (packed === undefined) return undefined;
  if (typeof packed !== "object" || !isAttributeMap(packed))
    throw new IrError(`packed of ${op} is {rows, depth}`, "Give the block sizes that the weight was packed with.");
  return { rows: countAttribute(op, packed, "rows"), depth: countAttribute(op, packed, "depth") };
}

/**
 * Checks weights [n, k] (with a number of experts or heads: [group, n, k]; packed: [(group,) ⌈n/rows⌉, ⌈k/depth⌉, #w·rows, depth])
 * against the inner dimension `k` of x, and the attributes that products share. Its epilogue takes so many numbers `beside` the sums.
 */
export function productSignature(
  op: string,
  k: Dim,
  weights: readonly TensorType[],
  attributes: AttributeMap,
  { experts, heads, beside = 0 }: { readonly experts?: Dim; readonly heads?: Dim; readonly beside?: number } = {},
): ProductSignature {
  const group = experts ?? heads;
  const of = heads ? "heads" : "experts";
  const lead = group === undefined ? 0 : 1;
  const packed = packedAttribute(op, attributes);
  const letter = of === "heads" ? "A, " : "E, ";
  for (const w of weights) {
    const shape = packed ? `[${lead ? letter : ""}⌈n/rows⌉, ⌈k/depth⌉, #w·rows, depth]` : `[${lead ? letter : ""}n, k]`;
    if (!isReal(w.dtype) || w.dims.length !== (packed ? 4 : 2) + lead)
      throw new IrError(
        `a weight of ${op} is a float tensor ${shape}, found ${formatType(w)}`,
        packed || lead ? `Give a tensor ${shape}.` : `Give a tensor [n, k]; choose one expert's with weight[e].`,
      );
    if (group !== undefined && !dimAt(w, 0).equals(group))
      throw new IrError(
        `numbers of ${of} differ: ${group} vs ${dimAt(w, 0)}`,
        `Stack the weights of all ${of} along the first dimension.`,
      );
  }
  const first = weights[0];
  if (first === undefined) throw new IrError(`${op} takes a weight`, `Give ${op} a tensor and a weight.`);
  const { columns, count } = packed
    ? packedSizes(op, k, weights, first, packed, attributes, lead)
    : plainSizes(op, k, weights, first, attributes, lead);
  const epilogue = functionAttribute(op, attributes, "epilogue", count + beside);
  if (count + beside > 1 && epilogue === undefined)
    throw new IrError(
      `${op} with ${count} weights takes a function of ${count} sums${beside > 0 ? ` and ${beside} numbers beside them` : ""}`,
      "Give a function that makes one number of them.",
    );
  return { count, columns, packed, epilogue, result: floatTypeAttribute(op, attributes, "result", "f32") };
}

function plainSizes(
  op: string,
  k: Dim,
  weights: readonly TensorType[],
  first: TensorType,
  attributes: AttributeMap,
  lead: number,
): { columns: Dim; count: number } {
  if (attributes.columns !== undefined)
    throw new IrError(`columns of ${op} is said by the weight`, "Leave columns out unless the weight is packed.");
  const columns = dimAt(first, lead);
  for (const w of weights) {
    if (!dimAt(w, lead + 1).equals(k))
      throw new IrError(
        `inner dimensions differ: ${k} vs ${dimAt(w, lead + 1)}`,
        `The last dimension of the tensor and of the weight ${formatType(w)} must be the same.`,
      );
    if (!dimAt(w, lead).equals(columns))
      throw new IrError(
        `outer dimensions of the weights differ: ${columns} vs ${dimAt(w, lead)}`,
        "Weights of one product have the same shape.",
      );
  }
  return { columns, count: weights.length };
}

/** Number of weights packed together: the blocks of `rows` in one panel. */
export function packedCount(weight: TensorType, { rows }: PackedLayout): number | undefined {
  const count = (dimAt(weight, -2).constant ?? 0) / rows;
  return Number.isInteger(count) && count > 0 ? count : undefined;
}

function packedSizes(
  op: string,
  k: Dim,
  weights: readonly TensorType[],
  packedWeight: TensorType,
  { rows, depth }: PackedLayout,
  attributes: AttributeMap,
  lead: number,
): { columns: Dim; count: number } {
  if (weights.length !== 1)
    throw new IrError(
      `a packed ${op} takes one weight, found ${weights.length}`,
      "Pack all weights of the product together.",
    );
  const columns = sizeAttribute(op, attributes, "columns");
  const count = packedCount(packedWeight, { rows, depth });
  if (count === undefined)
    throw new IrError(
      `packed weight ${formatType(packedWeight)} does not hold whole blocks of ${rows} rows`,
      "Pack the weight with the block sizes that the product names.",
    );
  const expected = [blockCount(columns, rows), blockCount(k, depth), undefined, Dim.of(depth)];
  expected.forEach((dim, i) => {
    const found = dimAt(packedWeight, lead + i);
    // Where a symbol keeps the number of blocks open, the interpreter and checkSizes compare the numbers.
    if (dim?.constant !== undefined && found.constant !== undefined && !dim.equals(found))
      throw new IrError(
        `packed weight ${formatType(packedWeight)} does not fit ${columns} columns and inner dimension ${k} in blocks of ${rows} × ${depth}`,
        "Pack the weight with the block sizes that the product names.",
      );
  });
  return { columns, count };
}
