import { IrError } from "../../../ir/core/diagnostic.ts";
import type { Dim } from "../../../ir/core/dim.ts";
import type { ScalarExpr, ScalarType } from "../../../ir/core/scalar.ts";
import type { ElementType } from "../../../ir/core/types.ts";
import type { LaneNames } from "../../tile/lanes.ts";
import type { KernelBuffer, Statement, Tile, View } from "../../tile/types.ts";
import { applyOp, type Code, constant, expression, primary, print, sum, times } from "./code.ts";
import type { SharingLanes, WgslFeature, WgslLanguage } from "./language.ts";
import { Lines } from "./lines.ts";
import {
  convert,
  isHalf,
  isPacked,
  linear,
  type Memory,
  quarter,
  scalarName,
  scalarType,
  stridesOf,
  wordShift,
} from "./memory.ts";
import { Names } from "./names.ts";

/** Tiles of more elements are arrays: register tiles, and scratch tiles, which are scalars only where all positions are constants. */
const largestUnrolledTile = 64;
/** Sums of many rows, which lanes share. */
const largestSharedTile = 128;
const largestScalarScratch = 16;

/** Bytes of variables that WGSL guarantees per invocation: so many at module level, and as many in a function (section "Limits"). */
export const guaranteedBytes = 8192;

/**
 * What one attempt to print a kernel assumes. Where an assumption does not hold, it is struck out here and the kernel is
 * printed again; each attempt strikes out at least one, so this ends.
 */
export interface Assumptions {
  /** Tiles that are read or written at positions known at run time only: arrays instead of named scalars. */
  readonly indexed: Set<Tile>;
  /** Buffers that are also read one element at a time: arrays of f32 instead of vec4<f32>. */
  readonly byElement: Set<string>;
  broken: boolean;
}

/** The state of printing one kernel: its lines, what its names are in WGSL, module-level declarations. */
export class Context extends Lines {
  readonly language: WgslLanguage;
  readonly assumptions: Assumptions;
  /** Module-level declarations: the arrays of scratch tiles. */
  readonly declarations: string[] = [];
  /** Tiles that the lanes of a workgroup share. */
  readonly shared: { readonly memory: Memory; readonly count: number }[] = [];
  /** Bytes of those arrays, and of the arrays within the function. */
  privateBytes = 0;
  functionBytes = 0;
  /** Buffers read four elements at a time. */
  readonly byVector = new Set<string>();
  /** What the module enables. */
  readonly features = new Set<WgslFeature>();
  /** How many lanes read rows for each other. */
  readonly sharing = new Set<SharingLanes>();
  readonly #lanes: LaneNames;
  readonly #isShared: boolean;
  #guarded = false;
  /** Whether lanes may have gone different ways. */
  #parted = false;
  /** Names of tables, by what they hold. */
  readonly #tables = new Map<string, string>();

  /** @param isShared whether lanes share memory */
  constructor(language: WgslLanguage, assumptions: Assumptions, lanes: LaneNames, isShared: boolean) {
    super(new Names(Object.keys(language.helpers)));
    this.language = language;
    this.assumptions = assumptions;
    this.#lanes = lanes;
    this.#isShared = isShared;
  }

  memory(name: string): Memory {
    const found = this.find(name);
    if ("kind" in found) return found;
    throw new IrError(`the kernel uses the scalar ${name} as a buffer or tile`, "Use a buffer or tile here.");
  }

  /** A dimension over run-time symbols in scope. */
  dim(dim: Dim): Code {
    return sum(
      dim.terms.map(({ factors, coefficient }) =>
        [...factors.map((f) => this.scalar({ kind: "var", type: "i32", name: f }))].reduce(
          (a, b) => times(a, b),
          constant("i32", coefficient),
        ),
      ),
    );
  }

  scalar(expr: ScalarExpr): Code {
    switch (expr.kind) {
      case "const":
        return constant(expr.type, expr.value);
      case "var": {
        const found = this.find(expr.name);
        if (!("kind" in found)) return found;
        throw new IrError(`the kernel uses ${expr.name} as a scalar`, "Read one of its elements.");
      }
      case "apply":
        return applyOp(
          expr.op,
          expr.type,
          expr.args.map((a) => this.scalar(a)),
          this.language,
        );
      case "element":
        return this.read(
          this.memory(expr.base),
          expr.index.map((i) => this.scalar(i)),
        );
    }
  }

  buffer(buffer: KernelBuffer): Memory {
    if (buffer.dtype === "bool")
      throw new IrError(`the buffer ${buffer.name} holds bool, which WGSL does not store`, "Store i32 in its place.");
    const last = buffer.dims.at(-1)?.constant ?? 1;
    const vectors = buffer.access === "read" && this.#inVectors(buffer.dtype, last, buffer.name);
    const name = this.names.unique(buffer.name);
    if (buffer.access !== "read") this.variables.add(name);
    return {
      kind: "buffer",
      name,
      type: scalarType(buffer.dtype, `buffer ${buffer.name}`),
      // The first dimension takes part in no stride, so a symbol there need not be known.
      strides: stridesOf(buffer.dims.map((d, i) => (i === 0 ? constant("i32", 0) : this.dim(d)))),
      vectors,
      ...(isPacked(buffer.dtype) ? { packed: buffer.dtype } : {}),
      source: buffer.name,
    };
  }

  /** Lanes that have no block of their own write nothing from now on. */
  guardWrites(): void {
    this.#guarded = true;
  }

  /** Prints what writes to a buffer. */
  writing(body: () => void): void {
    if (this.#guarded) this.block("if (inside)", body);
    else body();
  }

  /** Prints what is inside a branch or loop. */
  inside(s: Extract<Statement, { kind: "for" | "if" }>, body: () => void): void {
    const outer = this.#parted;
    this.#parted = outer || this.#lanes.parts(s);
    body();
    this.#parted = outer;
  }

  /**
   * How many lanes may read a row each of so many in this view and hand it to the others: all of them come here, and the view is the
   * same for them. Undefined where none may.
   */
  sharingLanes(view: View, rows: number): SharingLanes | undefined {
    if (!this.#lanes.any || this.#parted || !this.mayUse("subgroups") || this.#lanes.inView(view)) return undefined;
    if (this.language.subgroupLanes === 8 && rows % 8 === 0) return 8;
    return rows % 4 === 0 ? 4 : undefined;
  }

  /** Names a lane's place among those that read rows for each other. */
  share(lanes: SharingLanes): void {
    this.features.add("subgroups");
    this.sharing.add(lanes);
  }

  /** The largest tile whose elements are named one by one. */
  get largestUnrolled(): number {
    return this.#lanes.any ? largestSharedTile : largestUnrolledTile;
  }

  /** Declares a tile and defines its name. */
  allocate(tile: Tile): void {
    const count = tile.dims.reduce((a, b) => a * b, 1);
    const type = scalarType(tile.dtype, `tile ${tile.name}`);
    if (tile.space === "workgroup") {
      this.#share(tile, type, count);
      return;
    }
    const isSmall = count <= (tile.space === "register" ? this.largestUnrolled : largestScalarScratch);
    const kind = isSmall && !this.assumptions.indexed.has(tile) ? "scalars" : "array";
    const name = this.names.unique(tile.name);
    const strides = stridesOf(tile.dims.map((d) => constant("i32", d)));
    this.define(tile.name, { kind, name, type, strides, vectors: false, source: tile.name, tile });
    if (kind === "array") {
      this.variables.add(name);
      this.#declareArray(name, `array<${type}, ${count}>`, 4 * count, tile.space === "register");
      return;
    }
    // A line per row.
    const elements = Array.from({ length: count }, (_, i) => scalarName(name, tile.dims, i));
    this.names.reserve(elements);
    for (const element of elements) this.variables.add(element);
    const first = this.lines.length;
    for (const element of elements) this.line(`var ${element}: ${type};`);
    this.joinLines(first, tile.dims.at(-1) ?? 1);
  }

  /** Elements lie as in a buffer: narrow ones in words, and four by four where all are read and written so. */
  #share(tile: Tile, type: ScalarType, count: number): void {
    const { dtype, dims } = tile;
    const name = this.names.unique(tile.name);
    this.variables.add(name);
    const memory: Memory = {
      kind: "array",
      name,
      type,
      strides: stridesOf(dims.map((d) => constant("i32", d))),
      vectors: this.#inVectors(dtype, dims.at(-1) ?? 1, tile.name),
      ...(isPacked(dtype) ? { packed: dtype } : {}),
      source: tile.name,
      tile,
    };
    this.shared.push({ memory, count });
    this.define(tile.name, memory);
  }

  #inVectors(dtype: ElementType, last: number, source: string): boolean {
    return (dtype === "f32" || isHalf(dtype)) && last % 4 === 0 && !this.assumptions.byElement.has(source);
  }

  /** How the elements of a shared tile are declared, and their type as it is declared. */
  elementsOf(memory: Memory): { readonly type: string; readonly perElement: number } {
    if (memory.vectors && this.byVector.has(memory.source)) return { type: this.vectorType(memory), perElement: 4 };
    if (memory.packed) return { type: "u32", perElement: 1 << wordShift[memory.packed] };
    return { type: memory.type, perElement: 1 };
  }

  /** Declares a table of whole numbers, and gives how positions in it, as text, are looked up: one, or a vector of them. */
  table(hint: string, values: readonly number[]): (positions: string, width: number) => string {
    const list = `array<i32, ${values.length}>(${values.join(", ")})`;
    const known = this.#tables.get(list);
    const name = known ?? this.names.unique(hint);
    if (known === undefined) {
      this.#tables.set(list, name);
      this.declarations.push(`const ${name} = ${list};`);
    }
    return (positions, width) => {
      if (width === 1) return `${name}[${positions}]`;
      const held = print(this.hold("codes", expression("i32", positions, "or")));
      const parts = Array.from({ length: width }, (_, i) => `${name}[${held}.${"xyzw"[i]}]`);
      return `vec${width}(${parts.join(", ")})`;
    };
  }

  /** At module level, where WGSL guarantees as much memory as within a function, while there is room. */
  #declareArray(name: string, type: string, bytes: number, isLocal: boolean): void {
    // What is at module level may differ from lane to lane, by the rules of WGSL, and decide nothing before a barrier.
    const within = this.#isShared && this.functionBytes + bytes <= guaranteedBytes;
    if (isLocal || within || this.privateBytes + bytes > guaranteedBytes) {
      this.functionBytes += bytes;
      this.line(`var ${name}: ${type};`);
    } else {
      this.privateBytes += bytes;
      this.declarations.push(`var<private> ${name}: ${type};`);
    }
  }

  read(memory: Memory, index: readonly Code[]): Code {
    return this.readAt(memory, linear(memory, index));
  }

  /** The element at a linear position. */
  readAt(memory: Memory, at: Code): Code {
    if (memory.vectors) this.#strike(this.assumptions.byElement, memory.source);
    if (memory.packed) return primary(memory.type, `read_${memory.packed}(${this.#word(memory, at)}, ${print(at)})`);
    return primary(memory.type, this.#place(memory, at));
  }

  write(memory: Memory, index: readonly Code[], value: Code): void {
    this.writeAt(memory, linear(memory, index), value);
  }

  writeAt(memory: Memory, at: Code, value: Code): void {
    if (memory.vectors) this.#strike(this.assumptions.byElement, memory.source);
    if (memory.packed) {
      // Only what one invocation writes shares a word.
      const place = this.#word(memory, at);
      const word = print(convert(value, memory.type, this.language));
      this.line(`${place} = write_${memory.packed}(${place}, ${print(at)}, ${word});`);
      this.forget(memory.name);
      return;
    }
    const place = this.#place(memory, at);
    this.line(`${place} = ${print(convert(value, memory.type, this.language))};`);
    this.forget(memory.kind === "scalars" ? place : memory.name);
  }

  /** Four neighbours as a vec4<f32>, where the position allows; else undefined. */
  vectorAt(memory: Memory, at: Code): string | undefined {
    if (!memory.vectors || at.multiple % 4 !== 0) return undefined;
    const four = this.fourAt(memory, at) ?? "";
    if (!memory.packed) return four;
    if (!this.#readsF16(memory)) return `vector_${memory.packed}(${four})`;
    this.features.add("shader-f16");
    return `vec4<f32>(${four})`;
  }

  /** Where four neighbours lie as they are stored, in one element of what is declared; undefined where they do not. */
  fourAt(memory: Memory, at: Code): string | undefined {
    if (at.multiple % 4 !== 0) return undefined;
    if (memory.packed === "u8" || memory.packed === "i8") return this.#word(memory, at);
    if (!memory.vectors) return undefined;
    this.byVector.add(memory.source);
    return `${memory.name}[${print(quarter(at))}]`;
  }

  /** Stores four neighbours, given as they lie in memory of the same type. */
  writeFourAt(memory: Memory, at: Code, four: string): void {
    this.line(`${this.fourAt(memory, at) ?? memory.name} = ${four};`);
    this.forget(memory.name);
  }

  /** The type of four neighbours, as a buffer that is read by vectors holds them. */
  vectorType(memory: Memory): string {
    return memory.packed === undefined ? "vec4<f32>" : this.#readsF16(memory) ? "vec4<f16>" : "vec2<u32>";
  }

  #readsF16({ packed }: Memory): boolean {
    return packed === "f16" && this.mayUse("shader-f16");
  }

  /** Whether the module may use a feature. What uses it enters it in `features`. */
  mayUse(feature: WgslFeature): boolean {
    return this.language.features?.includes(feature) === true;
  }

  /** The word of four neighbours of one byte each, where they lie in one; else undefined. */
  wordAt(memory: Memory, at: Code): string | undefined {
    if ((memory.packed !== "u8" && memory.packed !== "i8") || at.multiple % 4 !== 0) return undefined;
    return this.#word(memory, at);
  }

  /** Four neighbours of one byte each as a vec4<i32>, where they lie in one word; else undefined. */
  bytesAt(memory: Memory, at: Code): string | undefined {
    const word = this.wordAt(memory, at);
    return word && `bytes_${memory.packed}(${word})`;
  }

  /** The word of an element that is narrower. */
  #word({ name, packed = "u8" }: Memory, at: Code): string {
    return `${name}[${print(at, "primary")} >> ${wordShift[packed]}u]`;
  }

  #place(memory: Memory, at: Code): string {
    if (memory.kind !== "scalars") return `${memory.name}[${print(at)}]`;
    if (at.constant !== undefined) return scalarName(memory.name, memory.tile?.dims ?? [], at.constant);
    if (memory.tile) this.#strike(this.assumptions.indexed, memory.tile);
    return memory.name;
  }

  #strike<T>(set: Set<T>, value: T): void {
    set.add(value);
    this.assumptions.broken = true;
  }
}
