import type { ScalarExpr } from "../../ir/core/scalar.ts";
import type { Kernel, Statement } from "./types.ts";

/** A whole number as Σ coefficient · variable + a number from `low` to `high`. Variables are block coordinates. */
export interface Linear {
  readonly coefficients: ReadonlyMap<string, number>;
  readonly low: number;
  readonly high: number;
}

const none: ReadonlyMap<string, number> = new Map();
const constant = (value: number): Linear => ({ coefficients: none, low: value, high: value });
const unknown: Linear = { coefficients: none, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };

/** What is known of the names in scope at a statement. */
export type Names = ReadonlyMap<string, Linear>;

/** A variable, as a sum. */
export const itself = (name: string): Linear => ({ coefficients: new Map([[name, 1]]), low: 0, high: 0 });

/** Scope at the top of a kernel: each block coordinate is itself. */
export const coordinates = (kernel: Kernel): Names => new Map(kernel.grid.map(({ name }) => [name, itself(name)]));

/** The scope after a statement, for those that follow it. */
export const after = (statement: Statement, names: Names, extents: Extents): Names =>
  statement.kind === "let" ? new Map(names).set(statement.name, linear(statement.value, names, extents)) : names;

/** The scope within a loop. */
export function within(loop: Extract<Statement, { kind: "for" }>, names: Names, extents: Extents): Names {
  const from = linear(loop.from, names, extents);
  const to = bounds(linear(loop.to, names, extents), extents);
  const start = bounds(from, extents);
  return new Map(names).set(loop.name, { coefficients: none, low: start.low, high: to.high - 1 });
}

/** How many blocks a coordinate counts, where that is a constant. */
export type Extents = ReadonlyMap<string, number | undefined>;

/** Smallest and largest value, over all blocks. */
export function bounds({ coefficients, low, high }: Linear, extents: Extents): { low: number; high: number } {
  let [least, most] = [low, high];
  for (const [name, c] of coefficients) {
    const last = (extents.get(name) ?? Number.POSITIVE_INFINITY) - 1;
    if (c > 0) most += c * last;
    else least += c * last;
  }
  return { low: least, high: most };
}

/** What is known of an expression; everything of one that reads memory or is no sum is unknown, but for its bounds. */
export function linear(expr: ScalarExpr, names: Names, extents: Extents): Linear {
  if (expr.kind === "const") return constant(expr.value);
  if (expr.kind === "var") return names.get(expr.name) ?? unknown;
  if (expr.kind !== "apply" || expr.type !== "i32") return unknown;
  const [a = unknown, b = unknown] = expr.args.map((arg) => linear(arg, names, extents));
  switch (expr.op) {
    case "add":
      return sum(a, b, 1);
    case "sub":
      return sum(a, b, -1);
    case "mul":
      return isConstant(b) ? times(a, b.low) : isConstant(a) ? times(b, a.low) : unknown;
    case "floorDiv":
      return isConstant(b) && b.low > 0 ? between(a, extents, (x) => Math.floor(x / b.low)) : unknown;
    case "mod":
      if (!(isConstant(b) && b.low > 0)) return unknown;
      return isBelow(a, b.low, extents) ? a : { ...constant(0), high: b.low - 1 };
    case "min": {
      const { low, high } = bounds(b, extents);
      const { low: least, high: most } = bounds(a, extents);
      return { coefficients: none, low: Math.min(least, low), high: Math.min(most, high) };
    }
    default:
      return unknown;
  }
}

/** A function that does not fall, of which no more is known than its ends. */
function between(x: Linear, extents: Extents, of: (end: number) => number): Linear {
  const { low, high } = bounds(x, extents);
  return { coefficients: none, low: of(low), high: of(high) };
}

const isConstant = (x: Linear): boolean => x.coefficients.size === 0 && x.low === x.high;

function isBelow(x: Linear, limit: number, extents: Extents): boolean {
  const { low, high } = bounds(x, extents);
  return low >= 0 && high < limit;
}

function sum(a: Linear, b: Linear, sign: 1 | -1): Linear {
  const coefficients = new Map(a.coefficients);
  for (const [name, c] of b.coefficients) {
    const total = (coefficients.get(name) ?? 0) + sign * c;
    if (total === 0) coefficients.delete(name);
    else coefficients.set(name, total);
  }
  const [low, high] = sign > 0 ? [b.low, b.high] : [-b.high, -b.low];
  return { coefficients, low: a.low + low, high: a.high + high };
}

function times(a: Linear, factor: number): Linear {
  if (factor === 0) return constant(0);
  const ends = [a.low * factor, a.high * factor];
  return {
    coefficients: new Map([...a.coefficients].map(([name, c]) => [name, c * factor])),
    low: Math.min(...ends),
    high: Math.max(...ends),
  };
}
