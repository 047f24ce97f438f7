import { IrError } from "../../ir/core/diagnostic.ts";
import type { Dim } from "../../ir/core/dim.ts";
import { formatScalar, type ScalarExpr, type ScalarType } from "../../ir/core/scalar.ts";
import { type ElementType, elementTypes } from "../../ir/core/types.ts";
import { staticValue } from "./fold.ts";
import { interval, scalarTypeOf, subexpressions } from "./shape.ts";
import { formatView } from "./text.ts";
import type { View } from "./types.ts";

/** What a checker knows of a buffer or tile. */
export interface BaseInfo {
  readonly dtype: ElementType;
  readonly dims: readonly Dim[];
  readonly reads: boolean;
  readonly writes: boolean;
  /** The tile's space; undefined for a buffer. */
  readonly space: string | undefined;
}

/** What is defined at a place. */
export interface Scope {
  readonly scalars: Map<string, ScalarType>;
  readonly bases: Map<string, BaseInfo>;
}

export const identifier = /^[A-Za-z_]\w*$/;

/** Words that mean something in the text form where a name could stand. */
export const reservedNames: ReadonlySet<string> = new Set(["true", "false", "inf", "nan", "gather"]);

/** A rule of tile IR is broken, by this statement, buffer or block coordinate of a kernel. */
export class TileError extends IrError {
  readonly part: object | undefined;

  constructor(message: string, help: string, part: object | undefined) {
    super(message, help);
    this.name = "TileError";
    this.part = part;
  }
}

/** Checks the parts of a kernel's statements: names, expressions, views. Errors name the kernel and the part. */
export class PartChecker {
  readonly #kernel: string;
  readonly #names = new Set<string>();
  #part: object | undefined;
  #text = "";

  constructor(kernel: string) {
    this.#kernel = kernel;
  }

  /** Names the part of the kernel that is checked from now on: a statement, buffer or block coordinate, and its text. */
  enter(part: object, text: string): void {
    this.#part = part;
    this.#text = text;
  }

  fail(expected: string, found: string, help: string): never {
    const place = this.#text === "" ? "" : ` in: ${this.#text}`;
    throw new TileError(`kernel ${this.#kernel}: expected ${expected}, found ${found}${place}`, help, this.#part);
  }

  define(name: string): void {
    if (!identifier.test(name) || reservedNames.has(name))
      this.fail("a name", `"${name}"`, "Use letters, digits and _, and no reserved word.");
    if (this.#names.has(name)) this.fail(`${name} to be defined once`, "a second definition", "Give it another name.");
    this.#names.add(name);
  }

  checkType(dtype: string, dims: readonly Dim[]): void {
    if (!(elementTypes as readonly string[]).includes(dtype))
      this.fail(`one of the dtypes ${elementTypes.join(", ")}`, dtype, "Use a known dtype.");
    for (const d of dims) {
      if (d.constant !== undefined && d.constant < 0)
        this.fail("dimensions of at least 0", String(d), "Give sizes that are not negative.");
    }
  }

  base(name: string, scope: Scope): BaseInfo {
    const base = scope.bases.get(name);
    if (base === undefined)
      this.fail("a buffer or tile in scope", name, "Declare the buffer or allocate the tile before its use.");
    return base;
  }

  /** Checks a view and gives its dtype. `masked`: a mask excuses elements of global memory that lie beyond the end. */
  view(
    view: View,
    scope: Scope,
    use: { reads?: boolean; writes?: boolean; masked?: boolean; valid?: readonly ScalarExpr[] | undefined },
  ): ElementType {
    const base = this.base(view.base, scope);
    if (use.reads && !base.reads)
      this.fail("a readable buffer or tile", `${view.base}, which is only written`, "Declare the buffer as read.");
    if (use.writes && !base.writes)
      this.fail("a writable buffer or tile", `${view.base}, which is only read`, "Declare the buffer as written.");
    if (view.index.length !== base.dims.length)
      this.fail(
        `one index for each of the ${base.dims.length} dimensions of ${view.base}`,
        formatView(view),
        "Give every dimension an index.",
      );
    let kept = 0;
    view.index.forEach((index, d) => {
      if (index.kind === "at") this.scalar(index.at, "i32", scope);
      else {
        if (!Number.isSafeInteger(index.extent) || index.extent < 1)
          this.fail("a positive whole extent", String(index.extent), "Keep at least one element.");
        if (index.kind === "range") this.scalar(index.start, "i32", scope);
        else this.positions(index.positions, index.extent, scope);
      }
      const isConstant =
        index.kind !== "gather" && staticValue(index.kind === "at" ? index.at : index.start) !== undefined;
      if (base.space === "register" && !isConstant)
        this.fail(
          "constant positions in a register tile",
          formatView(view),
          "Unroll the loop, or put the tile in another space.",
        );
      const count = index.kind === "at" ? undefined : use.valid?.[kept++];
      const covered = count === undefined ? undefined : staticValue(count);
      const span = interval(index);
      if (!span) return;
      const excused = use.masked === true && base.space === undefined && index.kind === "range";
      const end = excused ? (covered === undefined ? span.start : Math.min(span.end, span.start + covered)) : span.end;
      this.inside(view.base, span.start, end, base.dims[d], formatView(view));
    });
    return base.dtype;
  }

  inside(name: string, start: number, end: number, dim: Dim, text: string): void {
    const size = dim.constant;
    if (start < 0 || (size !== undefined && end > size))
      this.fail(
        `positions of ${name} from 0 to below ${dim}`,
        text,
        "Stay inside the dimension, or give valid counts for global memory.",
      );
  }

  positions(name: string, extent: number, scope: Scope): void {
    const base = this.base(name, scope);
    const size = base.dims[0]?.constant ?? 0;
    if (base.space === undefined || base.dtype !== "i32" || base.dims.length !== 1 || size < extent)
      this.fail(
        `positions in a tile i32[${extent}]`,
        `${name}: ${base.dtype}[${base.dims.join(", ")}]${base.space === undefined ? " in global memory" : ""}`,
        "Gather by a 1-D i32 tile with an entry per element.",
      );
  }

  elementIndex(name: string, index: readonly ScalarExpr[], scope: Scope): void {
    const base = this.base(name, scope);
    const text = `${name}[${index.map(formatScalar).join(", ")}]`;
    if (index.length !== base.dims.length)
      this.fail(
        `one index for each of the ${base.dims.length} dimensions of ${name}`,
        text,
        "Give every dimension an index.",
      );
    index.forEach((expr, d) => {
      this.scalar(expr, "i32", scope);
      const value = staticValue(expr);
      if (value !== undefined) this.inside(name, value, value + 1, base.dims[d], text);
      else if (base.space === "register")
        this.fail("constant positions in a register tile", text, "Unroll the loop, or put the tile in another space.");
    });
  }

  /** Checks names and types in an expression, and its own type where one is expected. */
  scalar(expr: ScalarExpr, type: ScalarType | undefined, scope: Scope): void {
    if (type !== undefined && expr.type !== type)
      this.fail(
        `a scalar of type ${type}`,
        `${formatScalar(expr)} of type ${expr.type}`,
        "Convert it with toFloat or toInt, or compare it.",
      );
    for (const part of subexpressions(expr)) {
      if (part.kind === "const") {
        if (part.type === "i32" && part.value !== (part.value | 0))
          this.fail("an i32 constant", String(part.value), "Stay within 32 bits.");
      } else if (part.kind === "var") {
        const known = scope.scalars.get(part.name);
        if (known === undefined) this.fail("a scalar in scope", part.name, "Define it before its use.");
        if (known !== part.type)
          this.fail(`${part.name} as ${known}`, part.type, "Use the type that it was defined with.");
      } else if (part.kind === "element") {
        const base = this.base(part.base, scope);
        if (!base.reads)
          this.fail("a readable buffer or tile", `${part.base}, which is only written`, "Declare the buffer as read.");
        if (scalarTypeOf(base.dtype) !== part.type)
          this.fail(
            `an element of ${part.base} as ${scalarTypeOf(base.dtype)}`,
            part.type,
            "Read floats as f32, integers as i32.",
          );
        this.elementIndex(part.base, part.index, scope);
      }
    }
  }

  noElements(expr: ScalarExpr, what: string): void {
    for (const part of subexpressions(expr)) {
      if (part.kind === "element")
        this.fail(`no elements in ${what}`, formatScalar(part), "Name the element with let before.");
    }
  }
}
