import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { expressionsOf, sharedTiles, subexpressions, viewsOf } from "./shape.ts";
import type { Kernel, Statement, View } from "./types.ts";

/** What may differ from lane to lane in a kernel: names of scalars, tiles and buffers. Empty where no coordinate is `lanes`. */
export class LaneNames {
  readonly #names = new Set<string>();

  constructor({ grid, buffers, body }: Pick<Kernel, "grid" | "buffers" | "body">) {
    const lanes = grid.filter((g) => g.lanes);
    if (lanes.length === 0) return;
    for (const { name } of lanes) this.#names.add(name);
    // What other blocks may write meanwhile is not known to be the same.
    for (const { name, access } of buffers) if (access !== "read") this.#names.add(name);
    for (const { name } of sharedTiles(body)) this.#names.add(name);
    // A loop may read in one iteration what the one before wrote.
    for (let before = -1; before !== this.#names.size; ) {
      before = this.#names.size;
      this.#spread(body, false);
    }
  }

  /** Whether the kernel has lanes. */
  get any(): boolean {
    return this.#names.size > 0;
  }

  /** Whether the value of an expression may differ. */
  inExpression(expr: ScalarExpr): boolean {
    return [...subexpressions(expr)].some(
      (part) =>
        (part.kind === "var" && this.#names.has(part.name)) || (part.kind === "element" && this.#names.has(part.base)),
    );
  }

  /** Whether the elements of a view may differ, or where they are. */
  inView({ base, index }: View): boolean {
    return (
      this.#names.has(base) ||
      index.some((i) =>
        i.kind === "gather" ? this.#names.has(i.positions) : this.inExpression(i.kind === "at" ? i.at : i.start),
      )
    );
  }

  /** Whether lanes may go different ways at a branch or loop. */
  parts(s: Statement): boolean {
    const decides = s.kind === "for" ? [s.from, s.to] : s.kind === "if" ? [s.condition] : [];
    return decides.some((e) => this.inExpression(e));
  }

  /** @param parted whether some lanes may not come here, or more often than others */
  #spread(list: readonly Statement[], parted: boolean): void {
    for (const s of list) {
      const views = viewsOf(s);
      if (
        parted ||
        expressionsOf(s).some((e) => this.inExpression(e)) ||
        views.some(({ view, reads }) => reads && this.inView(view))
      ) {
        if (s.kind === "for" || s.kind === "let") this.#names.add(s.name);
        if (s.kind === "set") this.#names.add(s.base);
        for (const { view, writes } of views) if (writes) this.#names.add(view.base);
      }
      const parts = parted || this.parts(s);
      if (s.kind === "for") this.#spread(s.body, parts);
      if (s.kind === "if") {
        this.#spread(s.then, parts);
        this.#spread(s.otherwise, parts);
      }
    }
  }
}
