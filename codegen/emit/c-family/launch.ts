import { Dim } from "../../../ir/core/dim.ts";
import type { Kernel } from "../../tile/types.ts";

/** The blocks of a kernel's grid as text, 0 for sizes at which it is not launched. */
export function launchedBlocks({ grid, when }: Kernel, text: (size: Dim) => string): string {
  const blocks = text(grid.reduce((d, g) => d.times(g.extent), Dim.of(1)));
  if (when === undefined) return blocks;
  const size = text(when.of);
  const conditions = [
    ...(when.from > 0 ? [`${size} >= ${when.from}`] : []),
    ...(when.below === undefined ? [] : [`${size} < ${when.below}`]),
  ];
  return conditions.length === 0 ? blocks : `(${conditions.join(" && ")} ? ${blocks} : 0)`;
}
