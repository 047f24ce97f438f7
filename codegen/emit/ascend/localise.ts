import { i32, type ScalarExpr, substitute, variable } from "../../../ir/core/scalar.ts";
import type { ElementType } from "../../../ir/core/types.ts";
import { staticValue } from "../../tile/fold.ts";
import { conditional, expressionsOf, scalarTypeOf, subexpressions, viewShape } from "../../tile/shape.ts";
import type { Kernel, Statement, Tile, View, ViewIndex } from "../../tile/types.ts";
import { uniqueName } from "../../unique-name.ts";

type Of<K extends Statement["kind"]> = Extract<Statement, { kind: K }>;

/**
 * The same kernel with global memory touched by copies of one dtype, by single elements, and by `set` only: what map, fill,
 * reduce and top_k read from or write to global memory goes through tiles, and so does what a copy converts.
 */
export function localise(kernel: Kernel): readonly Statement[] {
  return new Localiser(kernel).list(kernel.body);
}

class Localiser {
  readonly #names = new Set<string>();
  readonly #dtypes = new Map<string, ElementType>();
  readonly #global = new Set<string>();
  /** Tiles in the memories of a cube core. */
  readonly #cube = new Set<string>();

  constructor(kernel: Kernel) {
    for (const b of kernel.buffers) {
      this.#names.add(b.name);
      this.#global.add(b.name);
      this.#dtypes.set(b.name, b.dtype);
      for (const d of b.dims) for (const symbol of d.symbols) this.#names.add(symbol);
    }
    for (const g of kernel.grid) this.#names.add(g.name);
    this.#collect(kernel.body);
  }

  #collect(body: readonly Statement[]): void {
    for (const s of body) {
      if (s.kind === "alloc") {
        this.#names.add(s.tile.name);
        this.#dtypes.set(s.tile.name, s.tile.dtype);
        if (s.tile.space !== "ub") this.#cube.add(s.tile.name);
      }
      if (s.kind === "let" || s.kind === "for") this.#names.add(s.name);
      if (s.kind === "map") for (const i of s.inputs) this.#names.add(i.name);
      for (const e of expressionsOf(s))
        for (const part of subexpressions(e)) if (part.kind === "var") this.#names.add(part.name);
      if (s.kind === "for") this.#collect(s.body);
      if (s.kind === "if") {
        this.#collect(s.then);
        this.#collect(s.otherwise);
      }
    }
  }

  list(body: readonly Statement[]): Statement[] {
    return body.flatMap((s) => this.#statement(s));
  }

  #statement(s: Statement): readonly Statement[] {
    switch (s.kind) {
      case "for":
        return [{ ...s, body: this.list(s.body) }];
      case "if":
        return [conditional(s.condition, this.list(s.then), this.list(s.otherwise))];
      case "fill":
        return this.#throughTile(s.dst, undefined, (dst) => [{ ...s, dst }]);
      case "copy":
        return this.#copy(s);
      case "map":
        return this.#map(s);
      case "reduce":
        return this.#reduce(s);
      case "top_k":
        return this.#throughTile(s.ids, undefined, (ids) => [{ ...s, ids }]);
      default:
        return [s];
    }
  }

  #dtype(view: View): ElementType {
    return this.#dtypes.get(view.base) ?? "f32";
  }

  /** A tile in UB of a view's shape, as large as the whole view. */
  #tile(hint: string, dtype: ElementType, view: View): { readonly alloc: Statement; readonly whole: View } {
    const tile: Tile = { name: uniqueName(hint, this.#names), dtype, dims: viewShape(view), space: "ub" };
    this.#dtypes.set(tile.name, dtype);
    return { alloc: { kind: "alloc", tile }, whole: wholeOf(tile) };
  }

  /** What writes `dst`, given a view that lies in a tile. */
  #throughTile(
    dst: View,
    valid: readonly ScalarExpr[] | undefined,
    write: (local: View) => readonly Statement[],
  ): readonly Statement[] {
    if (!this.#global.has(dst.base)) return write(dst);
    const target = asRow(dst);
    const { alloc, whole } = this.#tile(`${dst.base}_out`, this.#dtype(dst), target);
    const local = target === dst ? whole : { base: whole.base, index: [{ kind: "at", at: i32(0) } as const] };
    return [alloc, ...write(local), copyOf(target, whole, valid)];
  }

  #copy(s: Of<"copy">): readonly Statement[] {
    const [dst, src] = [asRow(s.dst), asRow(s.src)];
    const valid = s.valid?.length === 0 ? undefined : s.valid;
    const [toGlobal, fromGlobal] = [this.#global.has(dst.base), this.#global.has(src.base)];
    // Sums convert on their way out of a cube core.
    const converts = this.#dtype(dst) !== this.#dtype(src) && !this.#cube.has(src.base);
    if (!(fromGlobal && toGlobal) && !(converts && (fromGlobal || toGlobal))) return [copyOf(dst, src, valid)];
    const out: Statement[] = [];
    let from = src;
    if (fromGlobal) {
      const { alloc, whole } = this.#tile(`${src.base}_in`, this.#dtype(src), src);
      out.push(alloc, copyOf(whole, src, valid));
      from = whole;
    }
    if (!converts || !toGlobal) return [...out, copyOf(dst, from, toGlobal ? valid : undefined)];
    const { alloc, whole } = this.#tile(`${dst.base}_out`, this.#dtype(dst), dst);
    return [...out, alloc, copyOf(whole, from, undefined), copyOf(dst, whole, valid)];
  }

  #map(s: Of<"map">): readonly Statement[] {
    const before: Statement[] = [];
    const scalars = new Map<string, ScalarExpr>();
    const rank = viewShape(s.dst).length;
    const inputs = s.inputs.flatMap(({ name, view }) => {
      if (!this.#global.has(view.base)) return [{ name, view }];
      const shape = viewShape(view);
      if (shape.length === 0) {
        const type = scalarTypeOf(this.#dtype(view));
        const element: ScalarExpr = {
          kind: "element",
          type,
          base: view.base,
          index: view.index.map((i) => (i.kind === "at" ? i.at : i32(0))),
        };
        const local = uniqueName(name, this.#names);
        before.push({ kind: "let", name: local, value: element });
        scalars.set(name, variable(local, type));
        return [];
      }
      const counts = s.valid
        ?.slice(rank - shape.length)
        .map((v, d) => (shape[d] === 1 && staticValue(v) !== 0 ? i32(1) : v));
      const { alloc, whole } = this.#tile(`${view.base}_in`, this.#dtype(view), view);
      before.push(alloc, copyOf(whole, view, counts));
      return [{ name, view: whole }];
    });
    const value = scalars.size > 0 ? substitute(s.value, scalars) : s.value;
    return [...before, ...this.#throughTile(s.dst, s.valid, (dst) => [{ kind: "map", dst, inputs, value }])];
  }

  #reduce(s: Of<"reduce">): readonly Statement[] {
    const before: Statement[] = [];
    let src = s.src;
    if (this.#global.has(src.base)) {
      const { alloc, whole } = this.#tile(`${src.base}_in`, this.#dtype(src), src);
      before.push(alloc, copyOf(whole, src, undefined));
      src = whole;
    }
    if (this.#dtype(src) === "bf16" || this.#dtype(src) === "f16") {
      const { alloc, whole } = this.#tile(`${src.base}_f32`, "f32", src);
      before.push(alloc, copyOf(whole, src, undefined));
      src = whole;
    }
    const to = this.#dtype(s.dst);
    const write = (dst: View): readonly Statement[] => {
      if (to !== "bf16" && to !== "f16") return [{ ...s, dst, src }];
      const row = asRow(dst);
      const { alloc, whole } = this.#tile(`${dst.base}_f32`, "f32", row);
      const sums: View = row === dst ? whole : { base: whole.base, index: [{ kind: "at", at: i32(0) }] };
      return [alloc, { ...s, dst: sums, src }, copyOf(row, whole, undefined)];
    };
    return [...before, ...this.#throughTile(s.dst, undefined, write)];
  }
}

const copyOf = (dst: View, src: View, valid: readonly ScalarExpr[] | undefined): Statement => ({
  kind: "copy",
  dst,
  src,
  ...(valid === undefined ? {} : { valid }),
});

const wholeOf = (tile: Tile): View => ({
  base: tile.name,
  index: tile.dims.map((extent) => ({ kind: "range", start: i32(0), extent })),
});

/** A view of one element as a view of a row of one. */
function asRow(view: View): View {
  if (viewShape(view).length > 0) return view;
  const last = view.index.length - 1;
  return {
    base: view.base,
    index: view.index.map(
      (i, d): ViewIndex => (d === last && i.kind === "at" ? { kind: "range", start: i.at, extent: 1 } : i),
    ),
  };
}
