import { dtypeBytes } from "../../ir/core/types.ts";
import type { NextPanel, RegisterMatmul, Storage } from "../target.ts";

/**
 * Rows from which on the product with one packed matrix takes longer than its weights take to arrive: while memory gives the weights
 * of a step, arithmetic does the step for so many rows. Undefined where the target's description lacks a part of the rule.
 */
export function balancedRows(
  matmul: RegisterMatmul,
  { bytesPerCycle }: NextPanel,
  storage: Storage,
): number | undefined {
  const { columns, dot } = matmul;
  const { depth = 1, cycles } = dot[storage] ?? {};
  if (cycles === undefined) return undefined;
  return Math.ceil((columns * depth * dtypeBytes[storage]) / bytesPerCycle / cycles);
}
