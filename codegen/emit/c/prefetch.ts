import { dtypeBytes } from "../../../ir/core/types.ts";
import { lineBytes } from "../../target.ts";
import type { Statement } from "../../tile/types.ts";
import { Offset } from "../c-family/offset.ts";
import { tuples } from "./elementwise-unrolled.ts";
import { resolveView, type Scope, viewAddress } from "./scope.ts";

/** One instruction for each line that a view begins; none where the variant has no such instruction. */
export function emitPrefetch(scope: Scope, s: Extract<Statement, { kind: "prefetch" }>): void {
  const { table } = scope.file;
  if (!table.has("prefetch")) return;
  const view = resolveView(scope, s.src);
  // Trailing dimensions that lie one after the other in memory are one stretch.
  let stretch = 1;
  let inner = view.kept.length;
  while (inner > 0) {
    const d = view.kept[inner - 1];
    if (d === undefined || d.positions !== undefined || d.stride.constant !== stretch) break;
    stretch *= d.extent;
    inner--;
  }
  const ahead = s.ahead ? scope.index(s.ahead) : Offset.zero;
  const zeros = view.kept.slice(inner + 1).map(() => Offset.zero);
  for (const at of tuples(view.kept.slice(0, inner).map((d) => d.extent))) {
    const leading = at.map(Offset.constant);
    for (let element = 0; element < stretch; element += lineBytes / dtypeBytes[view.binding.dtype]) {
      // The element's place in the stretch, whose last dimension has stride 1.
      const p = viewAddress(
        scope,
        view,
        [...leading, ...zeros, ahead.plus(Offset.constant(element))].slice(0, view.kept.length),
      );
      scope.out.line(`${table.text("prefetch", { p })};`);
    }
  }
}
