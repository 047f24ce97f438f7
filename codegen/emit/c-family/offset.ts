import { Dim } from "../../../ir/core/dim.ts";
import type { ScalarExpr } from "../../../ir/core/scalar.ts";
import { sizeIdentifier } from "./names.ts";
import { bare, operand } from "./parentheses.ts";

/** A sum of C terms times strides, kept apart so that addresses print as `row * 3072 + k + 32`. All in int64_t. */
export class Offset {
  readonly #terms: ReadonlyMap<string, Dim>;

  private constructor(terms: ReadonlyMap<string, Dim>) {
    this.#terms = terms;
  }

  static readonly zero = new Offset(new Map());

  static constant(value: number): Offset {
    return value === 0 ? Offset.zero : new Offset(new Map([["", Dim.of(value)]]));
  }

  /** A C expression of an integer type. */
  static text(text: string): Offset {
    return new Offset(new Map([[text, Dim.of(1)]]));
  }

  /** An index expression: sums and multiples are taken apart, all else is printed by `print`. */
  static of(expr: ScalarExpr, print: (e: ScalarExpr) => string): Offset {
    if (expr.kind === "const") return Offset.constant(expr.value);
    if (expr.kind === "apply") {
      const [a, b] = expr.args;
      if (a && b && expr.op === "add") return Offset.of(a, print).plus(Offset.of(b, print));
      if (a && b && expr.op === "sub") return Offset.of(a, print).plus(Offset.of(b, print).times(Dim.of(-1)));
      if (a?.kind === "const" && b && expr.op === "mul") return Offset.of(b, print).times(Dim.of(a.value));
      if (a && b?.kind === "const" && expr.op === "mul") return Offset.of(a, print).times(Dim.of(b.value));
    }
    return Offset.text(print(expr));
  }

  plus(other: Offset): Offset {
    const terms = new Map(this.#terms);
    for (const [text, stride] of other.#terms) {
      const sum = terms.get(text)?.plus(stride) ?? stride;
      if (sum.constant === 0) terms.delete(text);
      else terms.set(text, sum);
    }
    return new Offset(terms);
  }

  times(stride: Dim): Offset {
    if (stride.constant === 0) return Offset.zero;
    return new Offset(new Map([...this.#terms].map(([text, s]) => [text, s.times(stride)])));
  }

  /** The value, where it is known. */
  get known(): number | undefined {
    if (this.#terms.size === 0) return 0;
    return this.#terms.size === 1 ? this.#terms.get("")?.constant : undefined;
  }

  /** C text for a place in a sum; "" for zero. Symbols of dimensions are variables of their names. */
  toString(): string {
    const rank = ([text, stride]: readonly [string, Dim]): number =>
      ((stride.constant ?? 0) < 0 ? 2 : 0) + (text === "" ? 1 : 0);
    const terms = [...this.#terms];
    // Something positive goes first, the constant last.
    const first = terms.toSorted((a, b) => rank(a) - rank(b))[0];
    const others = terms.filter((term) => term !== first).toSorted(([a], [b]) => Number(a === "") - Number(b === ""));
    return [...(first ? [first] : []), ...others]
      .map(([text, stride], i) => {
        const { constant } = stride;
        const sign = constant !== undefined && constant < 0 ? "-" : "+";
        const size = sign === "-" ? stride.times(Dim.of(-1)) : stride;
        const before = i === 0 ? (sign === "-" ? "-" : "") : ` ${sign} `;
        return before + product(text, size, sign);
      })
      .join("");
  }

  /** C text where nothing stands beside it. */
  get alone(): string {
    return bare(this.toString() || "0");
  }
}

/** A text times a stride, after a sign. */
function product(text: string, stride: Dim, sign: "+" | "-"): string {
  if (text === "") return dimText(stride);
  // A sum of whole numbers may follow a plus as it is.
  const before = sign === "-" ? sign : undefined;
  if (stride.constant === 1) return operand(text, before, "+");
  return `${operand(text, before, "*")} * ${operand(dimText(stride), "*")}`;
}

/** A dimension as C text over its symbols. */
export const dimText = (dim: Dim): string =>
  dim.terms
    .map(({ factors, coefficient }) =>
      (coefficient === 1 && factors.length > 0 ? [] : [String(coefficient)])
        .concat(factors.map(sizeIdentifier))
        .join(" * "),
    )
    .join(" + ") || "0";
