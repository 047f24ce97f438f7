import type { Program } from "../../program.ts";
import { expressionsOf, subexpressions, viewsOf } from "../../tile/shape.ts";
import type { Kernel, Statement } from "../../tile/types.ts";

/**
 * Temporaries of which the data decides what is written (the rows of tokens sorted by expert, of which only those that hold a
 * slot exist), and that a later kernel reads as a whole (to compute an activation on every row, also on those that nobody
 * uses). Reading what was never written is no fault there.
 */
export function readBeyondWritten(program: Program): ReadonlySet<string> {
  const written = new Set<string>();
  const found = new Set<string>();
  for (const kernel of program.kernels) {
    const uses = globalUses(kernel);
    for (const { buffer, reads, conditional } of uses)
      if (reads && !conditional && written.has(buffer)) found.add(buffer);
    for (const { buffer, reads, conditional } of uses) if (!reads && conditional) written.add(buffer);
  }
  return found;
}

interface Use {
  readonly buffer: string;
  readonly reads: boolean;
  /** Whether elements of a buffer decide if it happens. */
  readonly conditional: boolean;
}

function globalUses(kernel: Kernel): Use[] {
  const buffers = new Set(kernel.buffers.map((b) => b.name));
  const found: Use[] = [];
  /** Scalars that depend on elements. */
  const data = new Set<string>();
  const visit = (body: readonly Statement[], conditional: boolean): void => {
    for (const s of body) {
      const depends = expressionsOf(s).some((e) =>
        [...subexpressions(e)].some((part) => part.kind === "element" || (part.kind === "var" && data.has(part.name))),
      );
      for (const e of expressionsOf(s))
        for (const part of subexpressions(e))
          if (part.kind === "element" && buffers.has(part.base))
            found.push({ buffer: part.base, reads: true, conditional });
      for (const { view, reads, writes } of viewsOf(s)) {
        if (!buffers.has(view.base)) continue;
        if (reads) found.push({ buffer: view.base, reads: true, conditional });
        if (writes) found.push({ buffer: view.base, reads: false, conditional });
      }
      if (s.kind === "set" && buffers.has(s.base)) found.push({ buffer: s.base, reads: false, conditional });
      if (s.kind === "let" && depends) data.add(s.name);
      if (s.kind === "for") visit(s.body, conditional || depends);
      if (s.kind === "if") {
        visit(s.then, conditional || depends);
        visit(s.otherwise, conditional || depends);
      }
    }
  };
  visit(kernel.body, false);
  return found;
}
