import { IrError } from "../../ir/core/diagnostic.ts";
import { Dim } from "../../ir/core/dim.ts";
import { element, type ScalarExpr, type ScalarFunction, substitute, variable } from "../../ir/core/scalar.ts";
import type { ElementType } from "../../ir/core/types.ts";
import { constantOf, type Int, int } from "./fold.ts";
import { reservedNames } from "./part-spec.ts";
import { conditional, scalarTypeOf } from "./shape.ts";
import { checkKernel } from "./spec.ts";
import type {
  GridCoordinate,
  Half,
  Kernel,
  KernelBuffer,
  SizeRange,
  Statement,
  Tile,
  View,
  ViewIndex,
} from "./types.ts";

/** What a view may be of: a buffer or a tile. Program buffers fit too. */
export interface Base {
  readonly name: string;
  readonly dtype: ElementType;
  readonly dims: readonly (Dim | number)[];
}

/** An index that drops its dimension. */
export const at = (position: Int): ViewIndex => ({ kind: "at", at: int(position) });

/** An index that keeps `extent` elements from `start`. */
export const range = (start: Int, extent: number): ViewIndex => ({ kind: "range", start: int(start), extent });

/** An index that keeps the elements at the positions in the first `extent` entries of an i32 tile (default: all). */
export const gather = (positions: Tile, extent = positions.dims[0] ?? 0): ViewIndex => ({
  kind: "gather",
  positions: positions.name,
  extent,
});

/** A part of a buffer or tile. A bare number or expression is `at`. */
export const view = (base: Base | string, ...index: readonly (ViewIndex | Int)[]): View => ({
  base: typeof base === "string" ? base : base.name,
  index: index.map((i) => (typeof i === "number" || !isViewIndex(i) ? at(i) : i)),
});

/** All of a tile, or of a buffer whose dimensions are constants. */
export const whole = (base: Base): View =>
  view(
    base,
    ...base.dims.map((d) => {
      const extent = Dim.of(d).constant;
      if (extent === undefined)
        throw new IrError(
          `expected constant dimensions of ${base.name}, found ${d}`,
          "Name the range of each dimension.",
        );
      return range(0, extent);
    }),
  );

/** One element, read as a scalar: f32 for floats, i32 for integers. */
export const load = (base: Base, ...index: readonly Int[]): ScalarExpr =>
  element(base.name, scalarTypeOf(base.dtype), index.map(int));

const isViewIndex = (i: ViewIndex | ScalarExpr): i is ViewIndex =>
  i.kind === "at" || i.kind === "range" || i.kind === "gather";

/** Begins a kernel. Names of loops, scalars and tiles are hints: a taken one gets a number. */
export const kernelBuilder = (name: string, origin: Kernel["origin"]): KernelBuilder => new KernelBuilder(name, origin);

/** Counts per dimension, as `valid` of copy and map. */
interface Partial {
  readonly valid?: readonly Int[];
}

/** Builds one kernel, statement by statement. Declare buffers and the grid before the first statement. */
export class KernelBuilder {
  readonly #name: string;
  readonly #origin: Kernel["origin"];
  readonly #buffers = new Map<string, KernelBuffer>();
  readonly #grid: GridCoordinate[] = [];
  readonly #names = new Set<string>(reservedNames);
  readonly #dtypes = new Map<string, ElementType>();
  #when: SizeRange | undefined;
  #list: Statement[] = [];

  constructor(name: string, origin: Kernel["origin"]) {
    this.#name = name;
    this.#origin = origin;
  }

  /** A buffer that the kernel only reads. Asking twice for one buffer gives the same; read and written makes it readwrite. */
  read(buffer: Base): KernelBuffer {
    return this.buffer(buffer.name, buffer.dtype, buffer.dims, "read");
  }

  /** A buffer that the kernel only writes. */
  write(buffer: Base): KernelBuffer {
    return this.buffer(buffer.name, buffer.dtype, buffer.dims, "write");
  }

  /** A buffer that the kernel reads and writes. */
  readWrite(buffer: Base): KernelBuffer {
    return this.buffer(buffer.name, buffer.dtype, buffer.dims, "readwrite");
  }

  buffer(
    name: string,
    dtype: ElementType,
    dims: readonly (Dim | number | string)[],
    access: KernelBuffer["access"],
  ): KernelBuffer {
    const before = this.#buffers.get(name);
    const made: KernelBuffer = {
      name,
      dtype,
      dims: dims.map((d) => Dim.of(d)),
      access: before === undefined || before.access === access ? access : "readwrite",
    };
    if (before === undefined) this.#reserve(name);
    else if (before.dtype !== dtype || before.dims.join() !== made.dims.join())
      throw new IrError(`expected buffer ${name} with one type, found two`, "Declare a buffer once.");
    for (const symbol of made.dims.flatMap((d) => d.symbols)) this.#names.add(symbol);
    this.#buffers.set(name, made);
    this.#dtypes.set(name, dtype);
    return made;
  }

  /** The sizes for which the kernel is launched; the program has others for the rest. */
  forSizes(sizes: SizeRange): void {
    this.#when = sizes;
  }

  /** Adds a block coordinate, inside those already there. Returns it as an i32 scalar. An extent of 1 makes no coordinate. */
  grid(
    name: string,
    extent: Dim | number | string,
    options: { readonly lanes?: true; readonly listed?: string } = {},
  ): ScalarExpr {
    const dim = Dim.of(extent);
    for (const symbol of dim.symbols) this.#names.add(symbol);
    if (dim.constant === 1) return int(0);
    const unique = this.#unique(name);
    this.#grid.push({ name: unique, extent: dim, ...options });
    return variable(unique, "i32");
  }

  /** for from, from + step, … below to. A constant loop of no step is left out, one of a single step is written without a loop. */
  forLoop(
    name: string,
    from: Int,
    to: Int,
    step: number,
    body: (counter: ScalarExpr) => void,
    options: { readonly shared?: true; readonly unroll?: number } = {},
  ): void {
    const [first, end] = [int(from), int(to)];
    const [a, b] = [constantOf(first), constantOf(end)];
    // A single iteration of a shared loop is that of one core.
    if (a !== undefined && b !== undefined && a + step >= b && !options.shared) {
      if (a < b) body(first);
      return;
    }
    const unique = this.#unique(name);
    const inner = this.#collect(() => body(variable(unique, "i32")));
    this.#list.push({ kind: "for", name: unique, from: first, to: end, step, ...options, body: inner });
  }

  /** if. A constant condition leaves only the part that runs. */
  when(condition: ScalarExpr, then: () => void, otherwise: () => void = () => {}): void {
    const value = constantOf(condition);
    if (value !== undefined) {
      if (value !== 0) then();
      else otherwise();
      return;
    }
    this.#list.push(conditional(condition, this.#collect(then), this.#collect(otherwise)));
  }

  /** A named scalar. A constant or a variable is returned as it is, without a statement. */
  letScalar(name: string, value: Int): ScalarExpr {
    const expr = int(value);
    if (expr.kind === "const" || expr.kind === "var") return expr;
    const unique = this.#unique(name);
    this.#list.push({ kind: "let", name: unique, value: expr });
    return variable(unique, expr.type);
  }

  alloc(name: string, dtype: ElementType, dims: readonly number[], space: string): Tile {
    const tile: Tile = { name: this.#unique(name), dtype, dims: [...dims], space };
    this.#dtypes.set(tile.name, dtype);
    this.#list.push({ kind: "alloc", tile });
    return tile;
  }

  /** Every element of dst becomes the value. A number takes dst's type. */
  fill(dst: View, value: Int): void {
    this.#list.push({ kind: "fill", dst, value: this.#valueFor(dst.base, value) });
  }

  /** One element. A number takes the base's type. */
  set(base: Base, index: Int | readonly Int[], value: Int): void {
    const indices: readonly Int[] = isList(index) ? index : [index];
    this.#list.push({
      kind: "set",
      base: base.name,
      index: indices.map(int),
      value: this.#valueFor(base.name, value),
    });
  }

  copy(dst: View, src: View, options: Partial = {}): void {
    this.#list.push({ kind: "copy", dst, src, ...counts(options) });
  }

  /**
   * Elementwise: inputs by name, and the value as an expression over them, or a function from the inputs' variables to it.
   * Names may change so that they hide nothing.
   */
  map<Name extends string>(
    dst: View,
    inputs: Readonly<Record<Name, View>>,
    value: ScalarExpr | ((inputs: Readonly<Record<Name, ScalarExpr>>) => ScalarExpr),
    options: Partial = {},
  ): void {
    const used = new Set<string>();
    const bound = (Object.keys(inputs) as Name[]).map((hint) => {
      const name = uniqueIn(hint, (n) => this.#names.has(n) || used.has(n));
      used.add(name);
      return {
        hint,
        name,
        view: inputs[hint],
        variable: variable(name, scalarTypeOf(this.#dtypeOf(inputs[hint].base))),
      };
    });
    const entries = bound.map((b) => [b.hint, b.variable] as const);
    const expr =
      typeof value === "function"
        ? value(Object.fromEntries(entries) as Record<Name, ScalarExpr>)
        : substitute(value, new Map<string, ScalarExpr>(entries));
    this.#list.push({
      kind: "map",
      dst,
      inputs: bound.map(({ name, view: from }) => ({ name, view: from })),
      value: expr,
      ...counts(options),
    });
  }

  /** Elementwise by a scalar function: its parameters take the inputs in order. */
  mapFunction(dst: View, inputs: readonly View[], fn: ScalarFunction, options: Partial = {}): void {
    if (inputs.length !== fn.params.length)
      throw new IrError(`expected ${fn.params.length} inputs, found ${inputs.length}`, "Give one view per parameter.");
    this.map(dst, Object.fromEntries(fn.params.map((name, i) => [name, inputs[i]])), fn.body, options);
  }

  /** acc[m, n] += Σ_k a[m, k]·b[n, k]; `transposed`: b is [k, n]; `values`: what each half of a byte stands for. */
  mma(
    acc: View,
    a: View,
    b: View,
    options: {
      readonly half?: Half;
      readonly values?: readonly number[] | undefined;
      readonly init?: ScalarExpr;
      readonly rows?: Int;
      readonly transposed?: true;
    } = {},
  ): void {
    const { half, values, init, rows, transposed } = options;
    this.#list.push({
      kind: "mma",
      acc,
      a,
      b,
      ...(half === undefined ? {} : { half }),
      ...(values === undefined ? {} : { values }),
      ...(init === undefined || constantOf(init) === 0 ? {} : { init }),
      ...(rows === undefined ? {} : { rows: int(rows) }),
      ...(transposed === undefined ? {} : { transposed }),
    });
  }

  reduce(op: "sum" | "max", dst: View, src: View): void {
    this.#list.push({ kind: "reduce", op, dst, src });
  }

  topK(ids: View, keys: View): void {
    this.#list.push({ kind: "top_k", keys, ids });
  }

  /** Waits for all lanes of the workgroup. */
  barrier(): void {
    this.#list.push({ kind: "barrier" });
  }

  /** A hint that a view of a buffer is read soon, or what lies so many elements ahead of it. */
  prefetch(src: View, ahead: Int = 0): void {
    const elements = int(ahead);
    this.#list.push({ kind: "prefetch", src, ...(constantOf(elements) === 0 ? {} : { ahead: elements }) });
  }

  /** The finished kernel, checked and frozen. Throws IrError where it breaks a rule of spec.ts. */
  build(): Kernel {
    return freeze(
      checkKernel({
        name: this.#name,
        buffers: [...this.#buffers.values()],
        grid: this.#grid,
        ...(this.#when ? { when: this.#when } : {}),
        body: this.#list,
        origin: this.#origin,
      }),
    );
  }

  #collect(body: () => void): Statement[] {
    const outer = this.#list;
    const inner: Statement[] = [];
    this.#list = inner;
    body();
    this.#list = outer;
    return inner;
  }

  #reserve(name: string): void {
    if (this.#names.has(name))
      throw new IrError(
        `expected a new name for buffer ${name}, found it in use`,
        "Declare buffers before anything else.",
      );
    this.#names.add(name);
  }

  #unique(hint: string): string {
    const name = uniqueIn(hint, (n) => this.#names.has(n));
    this.#names.add(name);
    return name;
  }

  #dtypeOf(base: string): ElementType {
    const dtype = this.#dtypes.get(base);
    if (dtype === undefined)
      throw new IrError(`expected a buffer or tile, found ${base}`, "Declare the buffer or allocate the tile first.");
    return dtype;
  }

  #valueFor(base: string, value: Int): ScalarExpr {
    if (typeof value !== "number") return value;
    return { kind: "const", type: scalarTypeOf(this.#dtypeOf(base)), value };
  }
}

const isList = (index: Int | readonly Int[]): index is readonly Int[] => Array.isArray(index);

const counts = (options: Partial): { valid?: readonly ScalarExpr[] } =>
  options.valid ? { valid: options.valid.map(int) } : {};

function uniqueIn(hint: string, taken: (name: string) => boolean): string {
  let name = hint;
  for (let i = 1; taken(name); i++) name = `${hint}_${i}`;
  return name;
}

/** Freezes plain objects and arrays, all the way down. */
function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) freeze(part);
  }
  return value;
}
