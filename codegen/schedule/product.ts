import { isBlockFormat } from "../../ir/core/block-formats.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import { Dim } from "../../ir/core/dim.ts";
import type { Operation, Value } from "../../ir/core/layer.ts";
import { formatScalar, type ScalarExpr, type ScalarFunction } from "../../ir/core/scalar.ts";
import { isAttributeMap, isScalarFunction } from "../../ir/ops/attributes.ts";
import { type Beside, splitBeside } from "../../ir/ops/product-beside.ts";
import { leadingOperands } from "../passes/fuse.ts";
import type { ProgramBuffer } from "../program.ts";
import { at } from "../tile/builder.ts";
import type { ViewIndex } from "../tile/types.ts";
import { type BlockBuffers, besideOf, type ScheduleContext } from "./context.ts";
import { columnsOf, operandBuffer, resultOf } from "./elementwise.ts";

/** What schedules of `linear`, `grouped_linear` and `head_linear` need to know. */
export interface Product {
  /** Activations: [rows, k], or by token where rows are gathered; their codes where they are in blocks. */
  readonly x: ProgramBuffer;
  /** Where weights are in a block format, their parts, and those of activations that are in one too. */
  readonly blocks: { readonly x: BlockBuffers | undefined; readonly weights: readonly BlockBuffers[] } | undefined;
  /** Whether each head has a matrix of its own: x, weights and y are [rows, heads, …], [heads, …], [rows, heads, …]. */
  readonly heads: boolean;
  /** First row of each expert; absent for a plain product. */
  readonly offsets: ProgramBuffer | undefined;
  /** Lists the experts that have rows; absent: nothing does, or a kernel has no binding left for it. */
  readonly hit: ProgramBuffer | undefined;
  /** Row → slot, and slots per token, where rows are gathered. */
  readonly gather: { readonly slots: ProgramBuffer; readonly topK: number } | undefined;
  readonly weights: readonly ProgramBuffer[];
  /** What the epilogue takes beside the sums. */
  readonly beside: readonly Beside<ProgramBuffer>[];
  readonly y: ProgramBuffer;
  /** Number of weight matrices in each weight: experts, heads, or 1. */
  readonly experts: number;
  readonly rows: Dim;
  readonly columns: number;
  readonly inner: number;
  readonly epilogue: ScalarFunction | undefined;
  readonly packed: { readonly rows: number; readonly depth: number } | undefined;
  /** How many sums each result element is made of. */
  readonly sums: number;
  readonly summary: string;
}

export function describeProduct(operation: Operation, context: ScheduleContext): Product {
  const { attributes } = operation;
  const grouped = operation.op === "grouped_linear";
  const heads = operation.op === "head_linear";
  const lead = leadingOperands(operation);
  const [activations] = operation.operands;
  const { weights: own, beside } = splitBeside(operation.op, operation.operands.slice(lead), attributes);
  const inBlocks = (value: Value | undefined): value is Value => value !== undefined && isBlockFormat(value.type.dtype);
  const blocks = inBlocks(own[0])
    ? {
        x: inBlocks(activations) ? context.blocks(activations) : undefined,
        weights: own.map((w) => context.blocks(w)),
      }
    : undefined;
  const x = blocks?.x?.codes ?? operandBuffer(operation, 0, context);
  const result = resultOf(operation);
  const y = context.buffer(result);
  if (!heads && (x.dims.length !== 2 || y.dims.length !== 2)) {
    throw new IrError(
      `a product of a tensor with ${x.dims.length} dimensions cannot be compiled`,
      "Give linear a tensor of two dimensions: tokens and features.",
    );
  }
  const weights = blocks?.weights.map((w) => w.codes) ?? own.map((w) => context.buffer(w));
  const topK = attributes.gather;
  const { epilogue, packed } = attributes;
  const fn = isScalarFunction(epilogue) ? epilogue : undefined;
  const layout =
    typeof packed === "object" &&
    isAttributeMap(packed) &&
    typeof packed.rows === "number" &&
    typeof packed.depth === "number"
      ? { rows: packed.rows, depth: packed.depth }
      : undefined;
  const offsets = grouped ? operation.operands[1] : undefined;
  const mostBound = context.target.limits.buffersPerKernel ?? Number.POSITIVE_INFINITY;
  const besides = [...(blocks?.x ? [blocks.x] : []), ...(blocks?.weights ?? [])].flatMap(besideOf).length;
  // A list takes one more.
  const bound = 2 + lead - 1 + own.length + beside.length + besides + (blocks?.x?.sums ? 1 : 0);
  return {
    x,
    y,
    blocks,
    weights,
    beside: beside.map(({ kind, value }) => ({ kind, value: context.buffer(value) })),
    heads,
    offsets: grouped ? operandBuffer(operation, 1, context) : undefined,
    hit: offsets && bound < mostBound ? context.list(offsets) : undefined,
    gather: topK instanceof Dim ? { slots: operandBuffer(operation, 2, context), topK: context.size(topK) } : undefined,
    experts: grouped || heads ? context.size(weights[0]?.dims[0] ?? Dim.of(1)) : 1,
    rows: y.dims[0] as Dim,
    columns: columnsOf(result, context),
    inner: columnsOf(operation.operands[0] ?? result, context),
    epilogue: fn,
    packed: layout,
    sums: fn ? fn.params.length - beside.length : 1,
    summary: `${grouped ? "product with each row's expert" : heads ? "product of each head" : "product"}${fn ? `, ${fn.params.join(", ")} → ${formatScalar(fn.body)}` : ""}`,
  };
}

/** The index of the matrix of an expert or head within a weight and what lies beside it; none where a weight is one matrix. */
export const matrixIn = ({ offsets, heads }: Product, expert: ScalarExpr): readonly ViewIndex[] =>
  offsets || heads ? [at(expert)] : [];
