import type { Dim } from "../../../ir/core/dim.ts";

/** A size as C++ over `dims`, which has the run-time symbols in order. */
export function sizeText(size: Dim, symbols: readonly string[]): string {
  return (
    size.terms
      .map(({ factors, coefficient }) =>
        [
          ...(coefficient === 1 && factors.length > 0 ? [] : [String(coefficient)]),
          ...factors.map((f) => `dims[${symbols.indexOf(f)}]`),
        ].join(" * "),
      )
      .join(" + ") || "0"
  );
}
