import type { ts } from "ts-morph";
import type { ScalarExpr } from "../core/scalar.ts";
import { problem } from "./source.ts";
import type { StaticValue } from "./values.ts";

/** Most elements of an array, characters of a text, steps of an expression on elements, and terms of a dimension. */
const limits = { items: 100_000, characters: 100_000, steps: 10_000, terms: 64 } as const;

/** Steps of expressions, which share their parts: each is counted as often as it stands in the text of the whole. */
const counted = new WeakMap<ScalarExpr, number>();

function stepsOf(expr: ScalarExpr): number {
  const known = counted.get(expr);
  if (known !== undefined) return known;
  const parts = expr.kind === "apply" ? expr.args : expr.kind === "element" ? expr.index : [];
  const steps = parts.reduce((sum, part) => sum + stepsOf(part), 1);
  counted.set(expr, steps);
  return steps;
}

/**
 * Holds a value to what can be compiled: some grow with each round of a loop, to the double and more.
 * @throws Problem U070 for NaN, U071 for what is too large
 */
export function checkGrowth(value: StaticValue, at: ts.Node): StaticValue {
  const most = (what: string, size: number, limit: number): StaticValue => {
    if (size <= limit) return value;
    throw problem("U071", at, `${what} grows beyond ${limit.toLocaleString("en-US")}`);
  };
  switch (value.kind) {
    case "number":
      if (Number.isNaN(value.value)) throw problem("U070", at, "this number is NaN");
      return most("the number of terms of a dimension", value.dim?.terms.length ?? 0, limits.terms);
    case "array":
      return most("the number of elements of an array", value.items.length, limits.items);
    case "string":
      return most("the length of a text", value.value.length, limits.characters);
    case "scalar":
      return most("the number of steps of an expression", stepsOf(value.expr), limits.steps);
    default:
      return value;
  }
}
