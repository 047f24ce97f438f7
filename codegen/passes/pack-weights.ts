import { isBlockFormat } from "../../ir/core/block-formats.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import { Dim } from "../../ir/core/dim.ts";
import type { Layer, Operation, Value } from "../../ir/core/layer.ts";
import { splitBeside } from "../../ir/ops/product-beside.ts";
import { columnsOfEach, isStorage, type RegisterMatmul } from "../target.ts";
import { leadingOperands } from "./fuse.ts";
import { rewriteLayer } from "./rewrite.ts";

/**
 * Weights of products are laid out in panels, in the order in which the register tile reads them. Since weights are known at
 * load, the packing runs once, then.
 */
export function packWeights(layer: Layer, matmul: RegisterMatmul): Layer {
  const weights = new Set(layer.args.filter((a) => a.role === "weight").map((a) => a.value));
  // What is made of weights alone is known at load as well.
  for (const { operands, results } of layer.body)
    if (operands.length > 0 && operands.every((v) => weights.has(v))) for (const r of results) weights.add(r);
  return rewriteLayer(layer, (operation, to) => {
    const [result] = operation.results;
    if (
      !["linear", "grouped_linear", "head_linear"].includes(operation.op) ||
      !result ||
      operation.attributes.packed !== undefined
    )
      return false;
    const lead = leadingOperands(operation);
    const { weights: own, beside } = splitBeside(operation.op, operation.operands.slice(lead), operation.attributes);
    if (!own.every((w) => weights.has(w))) return false;
    const packed = packing(operation, own, matmul);
    const now = (values: readonly Value[]): Value[] => values.map((v) => to.get(v));
    const size = (i: number): number => own[0]?.type.dims.at(i)?.evaluate(layer.params) ?? 1;
    const blocks = { rows: Math.ceil(size(-2) / packed.rows), depth: Math.ceil(size(-1) / packed.depth) };
    const panel = to.one(
      "pack",
      now(own),
      { ...packed, blocks },
      operation.span,
      `${own.map((w) => w.name).join("_")}_panels`,
    );
    const columns = own[0]?.type.dims.at(-2) ?? Dim.of(1);
    const attributes = { ...operation.attributes, packed, columns };
    const operands = [...now(operation.operands.slice(0, lead)), panel, ...now(beside.map(({ value }) => value))];
    to.replace(result, to.one(operation.op, operands, attributes, operation.span, result.name));
    return true;
  });
}

function packing(operation: Operation, own: readonly Value[], matmul: RegisterMatmul): { rows: number; depth: number } {
  const dtype = own[0]?.type.dtype;
  const dot = dtype !== undefined && isStorage(dtype) ? matmul.dot[dtype] : undefined;
  if (dot === undefined)
    throw new IrError(
      `${operation.op} has a weight of type ${dtype}, which the target cannot multiply`,
      "Choose another storage.",
    );
  // Sums of floats in lanes: each weight has as many columns.
  if (matmul.lanes && !isBlockFormat(dtype ?? "f32"))
    return { rows: columnsOfEach(matmul, own.length), depth: dot.depth };
  const rows = Math.floor(matmul.columns / own.length);
  if (rows * own.length !== matmul.columns) {
    throw new IrError(
      `a register tile of ${matmul.columns} columns cannot be shared by ${own.length} weights`,
      "Fuse fewer products.",
    );
  }
  return { rows, depth: dot.depth };
}
