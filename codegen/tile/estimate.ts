import { type ScalarExpr, scalarOp } from "../../ir/core/scalar.ts";
import { dtypeBytes } from "../../ir/core/types.ts";
import { expressionsOf, indexExpressions, subexpressions, viewShape } from "./shape.ts";
import type { Kernel, KernelBuffer, Statement, View } from "./types.ts";

/** Work of one launch of a kernel, counted from its statements. */
export interface Estimate {
  /** Floating-point operations: 2·m·n·k for a product, one for each operation of a scalar expression on floats. */
  readonly flops: number;
  /** Bytes that statements read from and write to global memory, each access counted: traffic without any cache. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Bytes of global memory that are touched, each counted once for reading and once for writing: a roofline's traffic. */
  readonly uniqueBytes: number;
}

export interface EstimateOptions {
  /**
   * An expected value for an element that decides how often something runs, such as the offset of an expert's rows.
   * An index that is not known is NaN. Default: not known.
   */
  readonly element?: (base: string, index: readonly number[]) => number | undefined;
  /** Passes of a loop whose bounds are not known; default 1. Counts that are not known are full, conditions true. */
  readonly trips?: number;
}

/**
 * Counts the work of a kernel at concrete dimensions by walking its loops. Loops that change neither bounds, conditions nor
 * counts within them are walked once and multiplied; the others are walked pass by pass, so that tails are counted exactly.
 */
export function estimate(
  kernel: Kernel,
  dims: Readonly<Record<string, number>>,
  options: EstimateOptions = {},
): Estimate {
  const counter = new Counter(kernel, dims, options);
  return counter.run();
}

/** A loop, or block coordinate, around the statement that is being counted. */
interface Level {
  readonly name: string;
  /** How often what is walked once really runs. */
  readonly factor: number;
}

class Counter {
  readonly #kernel: Kernel;
  readonly #buffers: ReadonlyMap<string, KernelBuffer>;
  readonly #dims: Readonly<Record<string, number>>;
  readonly #options: EstimateOptions;
  readonly #values = new Map<string, number>();
  /** Loops and coordinates that each scalar, or tile by its elements, depends on. */
  readonly #sources = new Map<string, ReadonlySet<string>>();
  /** Names of loops and coordinates that bounds, conditions and counts depend on. */
  readonly #deciding = new Set<string>();
  readonly #levels: Level[] = [];
  readonly #touched = new Map<string, Map<string, number>>();
  readonly #ids = new Map<object, number>();
  #flops = 0;
  #read = 0;
  #written = 0;

  constructor(kernel: Kernel, dims: Readonly<Record<string, number>>, options: EstimateOptions) {
    this.#kernel = kernel;
    this.#dims = dims;
    this.#options = options;
    this.#buffers = new Map(kernel.buffers.map((b) => [b.name, b]));
  }

  run(): Estimate {
    for (const [name, value] of Object.entries(this.#dims)) this.#values.set(name, value);
    const { grid, body } = this.#kernel;
    for (const { name } of grid) this.#sources.set(name, new Set([name]));
    this.#findSources(body, new Set(grid.map((g) => g.name)));
    this.#findDeciding(body);
    const walk = (d: number): void => {
      const level = grid[d];
      if (level === undefined) this.#walk(body);
      else this.#repeat(level.name, 0, level.extent.evaluate(this.#dims), 1, () => walk(d + 1));
    };
    walk(0);
    let uniqueBytes = 0;
    for (const [key, parts] of this.#touched) {
      const buffer = this.#buffers.get(key.slice(1));
      const size = (buffer?.dims ?? []).reduce((a, d) => a * d.evaluate(this.#dims), dtypeBytes[buffer?.dtype ?? "u8"]);
      uniqueBytes += Math.min(
        size,
        [...parts.values()].reduce((a, b) => a + b, 0),
      );
    }
    return { flops: this.#flops, bytesRead: this.#read, bytesWritten: this.#written, uniqueBytes };
  }

  /** Runs `body` for each pass, or once with a factor where passes do not differ. */
  #repeat(name: string, from: number, to: number, step: number, body: () => void): void {
    const known = Math.max(0, Math.ceil((to - from) / step));
    const passes = Number.isNaN(known) ? (this.#options.trips ?? 1) : known;
    if (passes === 0) return;
    const walked = this.#deciding.has(name) && !Number.isNaN(known);
    this.#levels.push({ name, factor: walked ? 1 : passes });
    for (let i = 0; i < (walked ? passes : 1); i++) {
      this.#values.set(name, walked ? from + i * step : Number.NaN);
      body();
    }
    this.#levels.pop();
  }

  #walk(list: readonly Statement[]): void {
    for (const s of list) {
      for (const expr of expressionsOf(s)) if (s.kind !== "map" || expr !== s.value) this.#countScalar(s, expr);
      switch (s.kind) {
        case "for":
          this.#repeat(s.name, this.#value(s.from), this.#value(s.to), s.step, () => this.#walk(s.body));
          break;
        case "if":
          this.#walk(this.#value(s.condition) === 0 ? s.otherwise : s.then);
          break;
        case "let":
          this.#values.set(s.name, this.#value(s.value));
          break;
        case "alloc":
        case "barrier":
        case "prefetch":
          break;
        case "set":
          this.#touch(s, s.base, "w", 1, s.index);
          break;
        default:
          this.#countTile(s);
      }
    }
  }

  #countTile(s: Extract<Statement, { kind: "fill" | "copy" | "map" | "mma" | "reduce" | "top_k" }>): void {
    switch (s.kind) {
      case "fill":
        this.#view(s.dst, "w", viewShape(s.dst));
        return;
      case "copy": {
        const shape = this.#limited(viewShape(s.dst), s.valid);
        this.#view(s.dst, "w", shape);
        this.#view(s.src, "r", shape);
        return;
      }
      case "map": {
        const shape = this.#limited(viewShape(s.dst), s.valid);
        this.#view(s.dst, "w", shape);
        for (const { view } of s.inputs) {
          const own = viewShape(view);
          const target = shape.slice(shape.length - own.length);
          this.#view(
            view,
            "r",
            own.map((extent, d) => Math.min(extent, target[d])),
          );
        }
        this.#flops += this.#times() * product(shape) * floatOperations(s.value);
        return;
      }
      case "mma": {
        const [m, n] = viewShape(s.acc);
        const k = viewShape(s.a)[1];
        const rows = s.rows ? this.#limited([m], [s.rows])[0] : m;
        this.#view(s.a, "r", [rows, k]);
        this.#view(s.b, "r", s.transposed ? [k, n] : [n, k]);
        this.#flops += this.#times() * 2 * rows * n * k;
        return;
      }
      case "reduce": {
        const shape = viewShape(s.src);
        this.#view(s.src, "r", shape);
        this.#view(s.dst, "w", shape.slice(0, -1));
        this.#flops += this.#times() * product(shape.slice(0, -1)) * ((shape.at(-1) ?? 1) - 1);
        return;
      }
      case "top_k":
        this.#view(s.ids, "w", viewShape(s.ids));
        return;
    }
  }

  /** How often the present statement runs for each time that it is walked. */
  #times(): number {
    return this.#levels.reduce((times, level) => times * level.factor, 1);
  }

  #limited(shape: readonly number[], counts: readonly ScalarExpr[] | undefined): number[] {
    return shape.map((extent, d) => {
      const count = counts?.[d] === undefined ? extent : this.#value(counts[d]);
      return Number.isNaN(count) ? extent : Math.max(0, Math.min(extent, count));
    });
  }

  #countScalar(s: Statement, expr: ScalarExpr): void {
    this.#flops += this.#times() * floatOperations(expr);
    for (const part of subexpressions(expr)) {
      if (part.kind === "element") this.#touch(s, part.base, "r", 1, part.index);
    }
  }

  #view(view: View, way: "r" | "w", shape: readonly number[]): void {
    const positions = view.index.flatMap((i) => (i.kind === "gather" ? [i.positions] : []));
    this.#touch(view, view.base, way, product(shape), indexExpressions(view), positions);
  }

  /** Counts an access of global memory. Passes of loops that its place does not depend on touch the same elements again. */
  #touch(
    id: object,
    base: string,
    way: "r" | "w",
    elements: number,
    index: readonly ScalarExpr[],
    tiles: readonly string[] = [],
  ): void {
    const buffer = this.#buffers.get(base);
    if (buffer === undefined || elements === 0) return;
    const bytes = elements * dtypeBytes[buffer.dtype];
    if (way === "r") this.#read += this.#times() * bytes;
    else this.#written += this.#times() * bytes;
    const sources = new Set<string>();
    for (const expr of index) this.#collect(expr, sources);
    for (const tile of tiles) for (const source of this.#sources.get(tile) ?? []) sources.add(source);
    let unique = bytes;
    const key = [this.#number(id), index.length];
    for (const { name, factor } of this.#levels) {
      if (!sources.has(name)) continue;
      unique *= factor;
      key.push(this.#values.get(name) ?? 0);
    }
    const parts = this.#touched.get(way + base) ?? new Map<string, number>();
    this.#touched.set(way + base, parts);
    const text = `${key.join()}:${base}`;
    parts.set(text, Math.max(unique, parts.get(text) ?? 0));
  }

  #number(id: object): number {
    const known = this.#ids.get(id) ?? this.#ids.size;
    this.#ids.set(id, known);
    return known;
  }

  /** Follows scalars, and tiles that are set element by element, to the loops that they depend on. */
  #findSources(list: readonly Statement[], around: ReadonlySet<string>): void {
    for (const s of list) {
      if (s.kind === "for") {
        const sources = new Set([s.name]);
        this.#collect(s.from, sources);
        this.#sources.set(s.name, sources);
        this.#findSources(s.body, new Set([...around, s.name]));
      } else if (s.kind === "if") {
        this.#findSources(s.then, around);
        this.#findSources(s.otherwise, around);
      } else if (s.kind === "let") {
        const sources = new Set<string>();
        this.#collect(s.value, sources);
        this.#sources.set(s.name, sources);
      } else if (s.kind === "alloc") {
        // What a tile holds may depend on all loops around the statements that write it: those around its allocation at least.
        this.#sources.set(s.tile.name, around);
      }
    }
  }

  #findDeciding(list: readonly Statement[]): void {
    for (const s of list) {
      const decides =
        s.kind === "for"
          ? [s.from, s.to]
          : s.kind === "if"
            ? [s.condition]
            : s.kind === "copy" || s.kind === "map"
              ? (s.valid ?? [])
              : s.kind === "mma" && s.rows
                ? [s.rows]
                : [];
      for (const expr of decides) this.#collect(expr, this.#deciding);
      if (s.kind === "for") this.#findDeciding(s.body);
      if (s.kind === "if") {
        this.#findDeciding(s.then);
        this.#findDeciding(s.otherwise);
      }
    }
  }

  #collect(expr: ScalarExpr, into: Set<string>): void {
    for (const part of subexpressions(expr)) {
      const name = part.kind === "var" ? part.name : part.kind === "element" ? part.base : undefined;
      if (name !== undefined) for (const source of this.#sources.get(name) ?? []) into.add(source);
    }
  }

  /** The value of an expression, NaN where it is not known. */
  #value(expr: ScalarExpr): number {
    switch (expr.kind) {
      case "const":
        return expr.value;
      case "var":
        return this.#values.get(expr.name) ?? Number.NaN;
      case "element": {
        const index = expr.index.map((i) => this.#value(i));
        return this.#options.element?.(expr.base, index) ?? Number.NaN;
      }
      case "apply": {
        const args = expr.args.map((a) => this.#value(a));
        if (args.some(Number.isNaN)) return Number.NaN;
        const [a = 0, b = 0, c = 0] = args;
        return scalarOp(expr.op).evaluate(a, b, c);
      }
    }
  }
}

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Operations on floats in an expression. */
function floatOperations(expr: ScalarExpr): number {
  let count = 0;
  for (const part of subexpressions(expr)) {
    if (part.kind === "apply" && (part.type === "f32" || part.args.some((a) => a.type === "f32"))) count++;
  }
  return count;
}
