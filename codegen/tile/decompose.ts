import { IrError } from "../../ir/core/diagnostic.ts";
import { apply, formatScalar, i32, type ScalarExpr, variable } from "../../ir/core/scalar.ts";
import { uniqueName } from "../unique-name.ts";
import { composites, isComposite } from "./composites.ts";
import { conditional, expressionsOf, subexpressions, viewShape } from "./shape.ts";
import type { Kernel, Statement, Tile, View } from "./types.ts";

type Of<K extends Statement["kind"]> = Extract<Statement, { kind: K }>;
type Step = (hint: string, value: ScalarExpr) => ScalarExpr;

/**
 * The same kernel without composite functions (composites.ts): their steps become scalars, and in a map tiles of the result's shape.
 * @param space where the tiles of a map lie that writes global memory
 */
export function decompose(kernel: Kernel, space: string): Kernel {
  return kernelExpressions(kernel.body).some(hasComposite)
    ? { ...kernel, body: new Decomposer(kernel, space).list(kernel.body) }
    : kernel;
}

const hasComposite = (expr: ScalarExpr): boolean =>
  [...subexpressions(expr)].some((part) => part.kind === "apply" && isComposite(part.op));

const kernelExpressions = (body: readonly Statement[]): ScalarExpr[] =>
  body.flatMap((s) => [
    ...expressionsOf(s),
    ...(s.kind === "for" ? kernelExpressions(s.body) : []),
    ...(s.kind === "if" ? kernelExpressions([...s.then, ...s.otherwise]) : []),
  ]);

class Decomposer {
  readonly #space: string;
  readonly #names = new Set<string>();
  readonly #tiles = new Map<string, Tile>();

  constructor(kernel: Kernel, space: string) {
    this.#space = space;
    for (const b of kernel.buffers) {
      this.#names.add(b.name);
      for (const d of b.dims) for (const symbol of d.symbols) this.#names.add(symbol);
    }
    for (const { name, extent } of kernel.grid) for (const used of [name, ...extent.symbols]) this.#names.add(used);
    this.#collect(kernel.body);
  }

  #collect(body: readonly Statement[]): void {
    for (const s of body) {
      if (s.kind === "alloc") {
        this.#names.add(s.tile.name);
        this.#tiles.set(s.tile.name, s.tile);
      }
      if (s.kind === "let" || s.kind === "for") this.#names.add(s.name);
      if (s.kind === "map") for (const i of s.inputs) this.#names.add(i.name);
      if (s.kind === "for") this.#collect(s.body);
      if (s.kind === "if") this.#collect([...s.then, ...s.otherwise]);
    }
  }

  list(body: readonly Statement[]): Statement[] {
    return body.flatMap((s) => this.#statement(s));
  }

  #statement(s: Statement): readonly Statement[] {
    const out: Statement[] = [];
    const scalar: Step = (hint, value) => {
      const name = uniqueName(hint, this.#names);
      out.push({ kind: "let", name, value });
      return variable(name, value.type);
    };
    const basic = (expr: ScalarExpr): ScalarExpr => this.#basic(expr, scalar);
    switch (s.kind) {
      case "for":
        return [{ ...s, body: this.list(s.body) }];
      case "if": {
        const condition = basic(s.condition);
        return [...out, conditional(condition, this.list(s.then), this.list(s.otherwise))];
      }
      case "let":
      case "fill":
      case "set": {
        const value = basic(s.value);
        return [...out, { ...s, value }];
      }
      case "map":
        return hasComposite(s.value) ? this.#map(s) : [s];
      default:
        return [s];
    }
  }

  /** The expression with every composite function taken apart, from the inside outwards. */
  #basic(expr: ScalarExpr, step: Step): ScalarExpr {
    const known = new Map<string, ScalarExpr>();
    const visit = (e: ScalarExpr): ScalarExpr => {
      if (e.kind !== "apply" || !hasComposite(e)) return e;
      const { op } = e;
      const args = e.args.map(visit);
      if (!isComposite(op)) return apply(op, ...args);
      const [arg = e] = args;
      const key = `${op}(${formatScalar(arg)})`;
      const value = known.get(key) ?? composites[op](arg.kind === "var" ? arg : step("argument", arg), step);
      const made = e === expr || value.kind === "var" ? value : step(op, value);
      known.set(key, made);
      return made;
    };
    return visit(expr);
  }

  #map(s: Of<"map">): readonly Statement[] {
    if (s.valid !== undefined)
      throw new IrError(
        `a map over a part of global memory computes ${formatScalar(s.value)}`,
        "Copy that part to a tile, and map the tile.",
      );
    const out: Statement[] = [];
    const dst = asRow(s.dst);
    const space = this.#tiles.get(dst.base)?.space ?? this.#space;
    const views = new Map(s.inputs.map((i) => [i.name, i.view]));
    const inputsOf = (value: ScalarExpr): Of<"map">["inputs"] => {
      const used = new Set([...subexpressions(value)].flatMap((e) => (e.kind === "var" ? [e.name] : [])));
      return [...views].flatMap(([name, view]) => (used.has(name) ? [{ name, view }] : []));
    };
    const value = this.#basic(s.value, (hint, part) => {
      const tile: Tile = { name: uniqueName(`${hint}_tile`, this.#names), dtype: "f32", dims: viewShape(dst), space };
      const name = uniqueName(hint, this.#names);
      out.push({ kind: "alloc", tile }, { kind: "map", dst: wholeOf(tile), inputs: inputsOf(part), value: part });
      views.set(name, wholeOf(tile));
      return variable(name, "f32");
    });
    return [...out, { ...s, dst, inputs: inputsOf(value), value }];
  }
}

const wholeOf = (tile: Tile): View => ({
  base: tile.name,
  index: tile.dims.map((extent) => ({ kind: "range", start: i32(0), extent })),
});

/** A single element as a row of one: tiles have dimensions. */
function asRow(view: View): View {
  const last = view.index.at(-1);
  if (last?.kind !== "at" || viewShape(view).length > 0) return view;
  return { ...view, index: [...view.index.slice(0, -1), { kind: "range", start: last.at, extent: 1 }] };
}
