import { type BlockFormatName, blockMultiple } from "../core/block-formats.ts";
import { IrError } from "../core/diagnostic.ts";
import type { Dim } from "../core/dim.ts";
import type { Region } from "../core/layer.ts";
import { formatType, isFloat, isReal, type TensorType } from "../core/types.ts";

/** Checks of operand types that the verifiers share. Each throws IrError in the words of an author. */

/** The number of operands; `most` defaults to `least`. */
export function expectOperands(
  op: string,
  operands: readonly TensorType[],
  least: number,
  most: number,
  which: string,
): void {
  if (operands.length < least || operands.length > most)
    throw new IrError(`${op} takes ${which}, found ${operands.length} operands`, `Give ${op} ${which}.`);
}

export function expectNoRegions(op: string, regions: readonly Region[]): void {
  if (regions.length > 0) throw new IrError(`${op} takes no body`, "Leave the body out.");
}

/** The i-th operand, which `expectOperands` has shown to exist. */
export function operandAt(operands: readonly TensorType[], i: number): TensorType {
  const type = operands[i];
  if (type === undefined) throw new IrError(`operand ${i + 1} is missing`, `Give at least ${i + 1} operands.`);
  return type;
}

/** The i-th dimension of a type whose rank is known; negative counts from the end. */
export function dimAt(type: TensorType, i: number): Dim {
  const dim = type.dims.at(i);
  if (dim === undefined)
    throw new IrError(`${formatType(type)} has too few dimensions`, "Give a tensor with more dimensions.");
  return dim;
}

/** A float tensor of `rank` dimensions; `shape` shows what is expected: "[T, H]". */
export function expectFloat(op: string, what: string, type: TensorType, rank: number, shape: string): void {
  if (!isReal(type.dtype))
    throw new IrError(`${what} of ${op} holds floats, found ${formatType(type)}`, `Give a float tensor ${shape}.`);
  expectRank(op, what, type, rank, shape);
}

/** An i32 tensor of `rank` dimensions. */
export function expectIds(op: string, what: string, type: TensorType, rank: number, shape: string): void {
  if (type.dtype !== "i32")
    throw new IrError(`${what} of ${op} holds whole numbers, found ${formatType(type)}`, `Give a tensor i32${shape}.`);
  expectRank(op, what, type, rank, shape);
}

function expectRank(op: string, what: string, type: TensorType, rank: number, shape: string): void {
  if (type.dims.length !== rank)
    throw new IrError(
      `${what} of ${op} has ${rank} dimension${rank === 1 ? "" : "s"} ${shape}, found ${formatType(type)}`,
      `Give a tensor ${shape}.`,
    );
}

/** Two dimensions that must be the same polynomial. `what` names them: "tokens of x and ids". */
export function expectSame(op: string, what: string, a: Dim, b: Dim): void {
  if (!a.equals(b)) throw new IrError(`${what} of ${op} differ: ${a} vs ${b}`, `Make them the same dimension.`);
}

/** A float tensor, or one of i32 where `whole`, with a last dimension to work along. */
export function expectRows(op: string, x: TensorType, whole = false): void {
  if ((isFloat(x.dtype) || (whole && x.dtype === "i32")) && x.dims.length > 0) return;
  const floats = whole ? "floats or i32" : "floats";
  throw new IrError(
    `${op} works on ${floats} along the last dimension, found ${formatType(x)}`,
    `Give a tensor of ${floats} with at least one dimension.`,
  );
}

/** A tensor whose last dimension, where it is known, holds whole blocks of a format. */
export function expectBlocks(op: string, type: TensorType, format: BlockFormatName): void {
  const elements = blockMultiple(format);
  const size = type.dims.at(-1)?.constant;
  if (type.dims.length === 0 || (size !== undefined && size % elements !== 0))
    throw new IrError(
      `${op} to ${format} takes rows of whole blocks of ${elements}, found ${formatType(type)}`,
      "Choose another storage, or sizes that blocks divide.",
    );
}
