import type { ScalarExpr, ScalarType } from "../../ir/core/scalar.ts";
import type { Span } from "../../ir/core/span.ts";
import { type ElementType, elementTypes } from "../../ir/core/types.ts";
import type { Cursor } from "../../ir/text/cursor.ts";
import { parseScalar } from "../../ir/text/scalar-parser.ts";
import { conditional, scalarTypeOf } from "./shape.ts";
import type { Statement, Tile, View, ViewIndex } from "./types.ts";

/** What names mean at a place of the text. */
interface Names {
  readonly scalars: Map<string, ScalarType>;
  readonly bases: Map<string, ElementType>;
}

const keywords = [
  "for",
  "if",
  "let",
  "alloc",
  "fill",
  "set",
  "copy",
  "map",
  "mma",
  "reduce",
  "top_k",
  "barrier",
  "prefetch",
] as const;

/** Reads statements, as text.ts describes them. Types of scalars come from their definitions. */
export class StatementParser {
  readonly #cursor: Cursor;
  readonly #places: Map<object, Span>;

  /** Puts the place of each statement's head into `places`. */
  constructor(cursor: Cursor, places: Map<object, Span>) {
    this.#cursor = cursor;
    this.#places = places;
  }

  /** `{ statements }`, in a scope of its own. */
  body(outer: Names): Statement[] {
    const names: Names = { scalars: new Map(outer.scalars), bases: new Map(outer.bases) };
    const list: Statement[] = [];
    this.#cursor.expect("{", "Open the statements with a brace.");
    while (!this.#cursor.accept("}")) list.push(this.#statement(names));
    return list;
  }

  #statement(names: Names): Statement {
    const cursor = this.#cursor;
    cursor.skip();
    const start = cursor.position;
    const keyword = keywords.find((word) => cursor.accept(word));
    const statement = this.#read(keyword, names);
    this.#places.set(statement, cursor.span(start, cursor.position));
    return statement;
  }

  #read(keyword: (typeof keywords)[number] | undefined, names: Names): Statement {
    const cursor = this.#cursor;
    switch (keyword) {
      case "for": {
        const name = this.#name("the loop's name");
        this.#expect("=", "for i = 0 to n step 1 { … }");
        const from = this.#scalar(names);
        this.#expect("to", "for i = 0 to n step 1 { … }");
        const to = this.#scalar(names);
        this.#expect("step", "for i = 0 to n step 1 { … }");
        const step = this.#integer();
        const shared = cursor.accept("shared") ? { shared: true as const } : {};
        const unroll = cursor.accept("unroll") ? { unroll: this.#integer() } : {};
        const body = this.body({ ...names, scalars: new Map([...names.scalars, [name, "i32"]]) });
        return { kind: "for", name, from, to, step, ...shared, ...unroll, body };
      }
      case "if": {
        const condition = this.#scalar(names);
        const then = this.body(names);
        return conditional(condition, then, cursor.accept("else") ? this.body(names) : []);
      }
      case "let": {
        const name = this.#name("the scalar's name");
        this.#expect("=", "let n = (a + b)");
        const value = this.#scalar(names);
        names.scalars.set(name, value.type);
        return { kind: "let", name, value };
      }
      case "alloc": {
        const tile = this.#tile();
        names.bases.set(tile.name, tile.dtype);
        return { kind: "alloc", tile };
      }
      case "fill": {
        const dst = this.#view(names);
        this.#expect("=", "fill t[0:+8] = 0.0");
        return { kind: "fill", dst, value: this.#scalar(names) };
      }
      case "set": {
        const base = this.#name("a buffer or tile");
        const index = this.#list("[", "]", () => this.#scalar(names));
        this.#expect("=", "set t[i] = 0.0");
        return { kind: "set", base, index, value: this.#scalar(names) };
      }
      case "copy": {
        const dst = this.#view(names);
        this.#expect("=", "copy t[0:+8] = x[i, 0:+8]");
        return { kind: "copy", dst, src: this.#view(names), ...this.#valid(names) };
      }
      case "map":
        return this.#map(names);
      case "mma": {
        const form = "mma acc[0:+4, 0:+8] += a[0:+4, 0:+2] * b[0:+8, 0:+2]";
        const acc = this.#view(names);
        this.#expect("+=", form);
        const a = this.#view(names);
        this.#expect("*", form);
        const b = this.#view(names);
        const transposed = cursor.accept("transposed") ? ({ transposed: true } as const) : {};
        const which = cursor.accept("half") ? (["low", "high"] as const).find((h) => cursor.accept(h)) : "none";
        if (which === undefined)
          return cursor.unexpected('"low" or "high"', "Write which half of each byte: half low.");
        const half = which === "none" ? {} : { half: which };
        const values =
          which !== "none" && cursor.accept("of") ? { values: this.#list("(", ")", () => this.#integer()) } : {};
        const init = cursor.accept("init") ? { init: this.#scalar(names) } : {};
        const rows = cursor.accept("rows") ? { rows: this.#scalar(names) } : {};
        return { kind: "mma", acc, a, b, ...half, ...values, ...init, ...rows, ...transposed };
      }
      case "reduce": {
        const op = (["sum", "max"] as const).find((word) => cursor.accept(word));
        if (op === undefined) return cursor.unexpected('"sum" or "max"', "Write reduce sum dst[…] = src[…].");
        const dst = this.#view(names);
        this.#expect("=", "reduce sum s[0] = t[0:+8]");
        return { kind: "reduce", op, dst, src: this.#view(names) };
      }
      case "top_k": {
        const ids = this.#view(names);
        this.#expect("=", "top_k ids[0:+2] = keys[0:+8]");
        return { kind: "top_k", keys: this.#view(names), ids };
      }
      case "barrier":
        return { kind: "barrier" };
      case "prefetch": {
        const src = this.#view(names);
        return { kind: "prefetch", src, ...(cursor.accept("ahead") ? { ahead: this.#scalar(names) } : {}) };
      }
      case undefined:
        return cursor.unexpected('a statement or "}"', `Statements begin with ${keywords.join(", ")}.`);
    }
  }

  #map(names: Names): Statement {
    const dst = this.#view(names);
    const form = "map y[0:+8] = (a = x[0:+8]) => (a * 2.0)";
    this.#expect("=", form);
    const inputs = this.#list("(", ")", () => {
      const name = this.#name("an input's name");
      this.#expect("=", form);
      return { name, view: this.#view(names) };
    });
    this.#expect("=>", form);
    const scalars = new Map(names.scalars);
    // The spec refuses an unknown base, with a better message than a missing scalar would give.
    for (const { name, view } of inputs) scalars.set(name, scalarTypeOf(names.bases.get(view.base) ?? "f32"));
    return { kind: "map", dst, inputs, value: this.#scalar({ ...names, scalars }), ...this.#valid(names) };
  }

  #valid(names: Names): { valid?: ScalarExpr[] } {
    return this.#cursor.accept("valid") ? { valid: this.#list("(", ")", () => this.#scalar(names)) } : {};
  }

  #view(names: Names): View {
    const base = this.#name("a buffer or tile");
    return { base, index: this.#list("[", "]", () => this.#index(names)) };
  }

  #index(names: Names): ViewIndex {
    const cursor = this.#cursor;
    if (cursor.accept("gather")) {
      this.#expect("(", "gather(positions, 12)");
      const positions = this.#name("a tile of positions");
      this.#expect(",", "gather(positions, 12)");
      const extent = this.#integer();
      this.#expect(")", "gather(positions, 12)");
      return { kind: "gather", positions, extent };
    }
    const start = this.#scalar(names);
    return cursor.accept(":+") ? { kind: "range", start, extent: this.#integer() } : { kind: "at", at: start };
  }

  #tile(): Tile {
    const cursor = this.#cursor;
    const form = "alloc t: f32[4, 8] in register";
    const name = this.#name("the tile's name");
    this.#expect(":", form);
    const dtype =
      elementTypes.find((d) => cursor.accept(d)) ??
      cursor.unexpected("a dtype", `The dtypes are ${elementTypes.join(", ")}.`);
    const dims = this.#list("[", "]", () => this.#integer());
    this.#expect("in", form);
    return { name, dtype, dims, space: this.#name("a memory space") };
  }

  #scalar(names: Names): ScalarExpr {
    return parseScalar(this.#cursor, {
      variable: (name) => names.scalars.get(name),
      element: (base) => {
        const dtype = names.bases.get(base);
        return dtype && scalarTypeOf(dtype);
      },
      known: [...names.scalars.keys(), ...[...names.bases.keys()].map((base) => `${base}[…]`)].join(", "),
      noun: "scalar in scope",
      help: "Mend the name, or define it before its use.",
    });
  }

  #list<T>(open: string, close: string, read: () => T): T[] {
    const list: T[] = [];
    this.#cursor.expect(open, `Open the list with ${open}.`);
    if (this.#cursor.accept(close)) return list;
    do list.push(read());
    while (this.#cursor.accept(","));
    this.#cursor.expect(close, "Separate what is in the list by commas.");
    return list;
  }

  #expect(mark: string, form: string): void {
    this.#cursor.expect(mark, `Write it as ${form}.`);
  }

  #name(what: string): string {
    return this.#cursor.match(/[A-Za-z_]\w*/y) ?? this.#cursor.unexpected(what, "Use letters, digits and _.");
  }

  #integer(): number {
    const text = this.#cursor.match(/-?\d+/y);
    return text === undefined ? this.#cursor.unexpected("a whole number", "Write a whole number.") : Number(text);
  }
}
