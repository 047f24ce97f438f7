import { IrError } from "./diagnostic.ts";

/**
 * A tensor dimension: a polynomial with integer coefficients over named symbols, such as `3072`, `T`, `E + Z` or `T*K`.
 * Held in a canonical form, so equality of polynomials is equality of dimensions.
 */
export class Dim {
  /** Monomial ("" for the constant, else factors sorted and joined by "*") to its non-zero coefficient. */
  readonly #terms: ReadonlyMap<string, number>;

  private constructor(terms: ReadonlyMap<string, number>) {
    this.#terms = terms;
  }

  static of(value: number | string | Dim): Dim {
    if (value instanceof Dim) return value;
    if (typeof value === "string") return Dim.parse(value);
    if (!Number.isSafeInteger(value))
      throw new IrError(`a dimension is a whole number, found ${value}`, "Use a whole number.");
    return new Dim(value === 0 ? new Map() : new Map([["", value]]));
  }

  static symbol(name: string): Dim {
    return new Dim(new Map([[name, 1]]));
  }

  /** Parses sums and products of symbols and whole numbers: `E+Z`, `2*I`, `T*K + 1`. */
  static parse(text: string): Dim {
    const terms = text.split("+").map((term) =>
      term
        .split("*")
        .map((factor) => {
          const f = factor.trim();
          if (/^-?\d+$/.test(f)) return Dim.of(Number(f));
          if (/^[A-Za-z_]\w*$/.test(f)) return Dim.symbol(f);
          throw new IrError(
            `"${text}" is not a dimension`,
            'Write a name, a whole number, or sums and products of them, like "E+Z" or "2*I".',
          );
        })
        .reduce((a, b) => a.times(b)),
    );
    return terms.reduce((a, b) => a.plus(b));
  }

  plus(other: Dim | number): Dim {
    const sum = new Map(this.#terms);
    for (const [monomial, c] of Dim.of(other).#terms) {
      const total = (sum.get(monomial) ?? 0) + c;
      if (total === 0) sum.delete(monomial);
      else sum.set(monomial, total);
    }
    return new Dim(sum);
  }

  times(other: Dim | number): Dim {
    let product = Dim.of(0);
    for (const [m1, c1] of this.#terms) {
      for (const [m2, c2] of Dim.of(other).#terms) {
        const monomial = [...m1.split("*"), ...m2.split("*")]
          .filter((f) => f !== "")
          .sort()
          .join("*");
        product = product.plus(new Dim(new Map([[monomial, c1 * c2]])));
      }
    }
    return product;
  }

  /** Replaces the symbols that have a value; the others stay. */
  substitute(values: Readonly<Record<string, number | Dim>>): Dim {
    let result = Dim.of(0);
    for (const [monomial, c] of this.#terms) {
      let term = Dim.of(c);
      for (const factor of monomial === "" ? [] : monomial.split("*")) {
        const value = Object.hasOwn(values, factor) ? values[factor] : undefined;
        term = term.times(value === undefined ? Dim.symbol(factor) : Dim.of(value));
      }
      result = result.plus(term);
    }
    return result;
  }

  /** The dimension as a number; throws where a symbol has no value. */
  evaluate(values: Readonly<Record<string, number>> = {}): number {
    const known = this.substitute(values);
    const constant = known.constant;
    if (constant === undefined) {
      throw new IrError(`dimension ${known} has no value`, `Give a value for ${known.symbols.join(", ")}.`);
    }
    return constant;
  }

  /** The value, if no symbol occurs. */
  get constant(): number | undefined {
    if (this.#terms.size === 0) return 0;
    return this.#terms.size === 1 ? this.#terms.get("") : undefined;
  }

  get symbols(): string[] {
    return [...new Set([...this.#terms.keys()].flatMap((m) => (m === "" ? [] : m.split("*"))))].sort();
  }

  /** Monomials (as lists of factors) with their coefficients, in printing order. */
  get terms(): { readonly factors: readonly string[]; readonly coefficient: number }[] {
    return [...this.#terms]
      .map(([m, coefficient]) => ({ factors: m === "" ? [] : m.split("*"), coefficient }))
      .sort((a, b) => b.factors.length - a.factors.length || (a.factors.join("*") < b.factors.join("*") ? -1 : 1));
  }

  equals(other: Dim): boolean {
    return this.toString() === other.toString();
  }

  /** Canonical text: higher degrees first, then by name: `T*K + 1`. Parsing it gives the same dimension. */
  toString(): string {
    if (this.#terms.size === 0) return "0";
    return this.terms
      .map(({ factors, coefficient }) =>
        (coefficient === 1 && factors.length > 0 ? factors : [coefficient, ...factors]).join("*"),
      )
      .join(" + ");
  }
}
