import type { TensorType } from "../core/types.ts";
import { dimAt, expectFloat, expectIds, expectSame } from "./shapes.ts";

/** Checks ids i32[T, K] and weights float [T, K]. */
export function expectRouting(op: string, ids: TensorType, weights: TensorType): void {
  expectIds(op, "ids", ids, 2, "[T, K]");
  expectFloat(op, "weights", weights, 2, "[T, K]");
  expectSame(op, "tokens of ids and weights", dimAt(ids, 0), dimAt(weights, 0));
  expectSame(op, "experts per token of ids and weights", dimAt(ids, 1), dimAt(weights, 1));
}
