import { Dim } from "../../../ir/core/dim.ts";
import type { EmittedKernel } from "./kernel.ts";

/** Blocks of a kernel's grid, over the run-time symbols. */
export const blocksOf = (kernel: EmittedKernel): Dim =>
  kernel.kernel.grid.reduce((d, g) => d.times(g.extent), Dim.of(1));

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
