import { IrError } from "../../../ir/core/diagnostic.ts";
import { Dim } from "../../../ir/core/dim.ts";
import type { ScalarExpr, ScalarType } from "../../../ir/core/scalar.ts";
import type { ElementType } from "../../../ir/core/types.ts";
import type { View } from "../../tile/types.ts";
import type { Names } from "../c-family/names.ts";
import { Offset } from "../c-family/offset.ts";
import type { CodeWriter } from "../c-family/writer.ts";
import { type Address, type InstructionTable, instructionFor, literal } from "./isa.ts";
import type { LaneFunctions } from "./lanes.ts";

/** What a name of tile IR stands for in C. */
export type Binding =
  /** A pointer to a buffer, or a local array. */
  | {
      readonly kind: "memory";
      readonly name: string;
      readonly dtype: ElementType;
      readonly dims: readonly Dim[];
      readonly global: boolean;
    }
  /** Vector variables: NAME_row_vector. */
  | {
      readonly kind: "vectors";
      readonly name: string;
      readonly dtype: "f32" | "i32";
      readonly dims: readonly number[];
      /** Variables that are declared where they are first written. */
      readonly undeclared: Set<string>;
    }
  | { readonly kind: "scalar"; readonly name: string; readonly type: ScalarType };

export type MemoryBinding = Extract<Binding, { kind: "memory" }>;

/** C types of elements in memory. */
export const elementTypes: Readonly<Partial<Record<ElementType, string>>> = {
  f32: "float",
  f16: "uint16_t",
  bf16: "uint16_t",
  f8: "uint8_t",
  i32: "int32_t",
  i8: "int8_t",
  u8: "uint8_t",
};

/** What all statements of one source file share. */
export interface FileContext {
  readonly table: InstructionTable;
  /** One lane: for indices, conditions, and where lanes do not lie side by side. */
  readonly scalars: InstructionTable;
  readonly functions: LaneFunctions;
}

/** The state while a kernel is printed: names in scope, and row pointers that a loop has computed already. */
export class Scope {
  readonly file: FileContext;
  readonly out: CodeWriter;
  readonly names: Names;
  /** The C name of the kernel, for the names of what belongs to it. */
  readonly kernel: string;
  readonly #bindings: Map<string, Binding>;
  /** Row pointers, by base, positions tile and row. */
  readonly rowPointers: Map<string, string>;

  constructor(
    file: FileContext,
    out: CodeWriter,
    names: Names,
    kernel: string,
    bindings: ReadonlyMap<string, Binding> = new Map(),
    rowPointers: ReadonlyMap<string, string> = new Map(),
  ) {
    this.file = file;
    this.out = out;
    this.names = names;
    this.kernel = kernel;
    this.#bindings = new Map(bindings);
    this.rowPointers = new Map(rowPointers);
  }

  /** A scope for an inner statement list. */
  inner(): Scope {
    return new Scope(this.file, this.out, this.names, this.kernel, this.#bindings, this.rowPointers);
  }

  bind(name: string, binding: Binding): void {
    this.#bindings.set(name, binding);
    for (const key of this.rowPointers.keys()) {
      if (key.split(" ").includes(name)) this.rowPointers.delete(key);
    }
  }

  lookup(name: string): Binding {
    const binding = this.#bindings.get(name);
    if (!binding) throw new IrError(`${name} is not in scope in kernel ${this.kernel}`, "Define it before its use.");
    return binding;
  }

  memory(name: string, use: string): MemoryBinding {
    const binding = this.lookup(name);
    if (binding.kind === "memory") return binding;
    throw new IrError(
      `${use} needs ${name} in memory, but it is ${binding.kind === "scalar" ? "a scalar" : "in registers"}`,
      `Allocate ${name} in the scratch space.`,
    );
  }

  /** C text of an index: i32 expressions are computed in int64_t. */
  readonly index = (expr: ScalarExpr): Offset => Offset.of(expr, this.scalar);

  /** C text of a scalar expression. */
  readonly scalar = (expr: ScalarExpr): string => {
    switch (expr.kind) {
      case "const":
        return literal(expr.type, expr.value);
      case "var": {
        const binding = this.lookup(expr.name);
        if (binding.kind !== "scalar") throw new IrError(`${expr.name} is not a scalar`, "Read one of its elements.");
        return binding.name;
      }
      case "apply": {
        const op = instructionFor(expr.op, expr.args);
        const [a = "", b = "", c = ""] = expr.args.map(this.scalar);
        if (this.file.scalars.has(op)) return this.file.scalars.text(op, { a, b, c });
        return `${this.file.functions.expansion(expr.op, this.file.scalars)}(${a})`;
      }
      case "element":
        return this.loadScalar(this.elementAddress(expr.base, expr.index), this.memory(expr.base, "an element").dtype);
    }
  };

  /** The address of one element. */
  elementAddress(base: string, index: readonly ScalarExpr[]): Address {
    const binding = this.memory(base, "an element");
    const strides = rowMajor(binding.dims);
    const offset = index.reduce((sum, e, d) => sum.plus(this.index(e).times(strides[d] ?? Dim.of(1))), Offset.zero);
    return { base: binding.name, offset: offset.toString() };
  }

  loadScalar(address: Address, dtype: ElementType): string {
    return this.file.scalars.text(`load.${dtype}`, { p: address });
  }

  storeScalar(address: Address, dtype: ElementType, value: string): string {
    return `${this.file.scalars.text(`store.${dtype}`, { p: address, a: value })};`;
  }
}

export function rowMajor(dims: readonly Dim[]): Dim[] {
  const strides: Dim[] = [];
  let stride = Dim.of(1);
  for (const dim of dims.toReversed()) {
    strides.unshift(stride);
    stride = stride.times(dim);
  }
  return strides;
}

/** One dimension that a view keeps. */
export interface KeptDim {
  readonly extent: number;
  readonly stride: Dim;
  readonly start: Offset;
  /** The i32 tile of positions of a gather. */
  readonly positions: string | undefined;
}

/** A view with its base resolved: where its element [i, j, …] lies. */
export interface ResolvedView {
  readonly view: View;
  readonly binding: Exclude<Binding, { kind: "scalar" }>;
  readonly kept: readonly KeptDim[];
  /** Offset of the indices that the view drops. */
  readonly fixed: Offset;
  /** Whether neighbours along the last kept dimension are neighbours in memory. */
  readonly contiguous: boolean;
}

export function resolveView(scope: Scope, view: View): ResolvedView {
  const binding = scope.lookup(view.base);
  if (binding.kind === "scalar") throw new IrError(`${view.base} is a scalar, not a buffer or tile`, "View a tile.");
  const dims = binding.dims.map((d) => Dim.of(d));
  if (dims.length !== view.index.length) {
    throw new IrError(
      `a view of ${view.base} has ${view.index.length} indices for ${dims.length} dimensions`,
      "Give one index per dimension.",
    );
  }
  const strides = rowMajor(dims);
  let fixed = Offset.zero;
  const kept: KeptDim[] = [];
  for (const [d, index] of view.index.entries()) {
    const stride = strides[d] ?? Dim.of(1);
    if (index.kind === "at") fixed = fixed.plus(scope.index(index.at).times(stride));
    else if (index.kind === "range") {
      kept.push({ extent: index.extent, stride, start: scope.index(index.start), positions: undefined });
    } else kept.push({ extent: index.extent, stride, start: Offset.zero, positions: index.positions });
  }
  const last = kept.at(-1);
  const contiguous =
    last !== undefined && last.positions === undefined && (last.stride.constant === 1 || last.extent === 1);
  return { view, binding, kept, fixed, contiguous };
}

/** The key under which a gathered row's pointer is kept. */
export const rowPointerKey = (base: string, positions: string, row: number): string => `${base} ${positions} ${row}`;

/** The address of a memory view's element; one index per kept dimension. */
export function viewAddress(scope: Scope, view: ResolvedView, index: readonly Offset[]): Address {
  if (view.binding.kind !== "memory") throw new IrError(`${view.view.base} has no address`, "Allocate it in scratch.");
  let base = view.binding.name;
  let offset = view.fixed;
  for (const [d, dim] of view.kept.entries()) {
    const at = index[d] ?? Offset.zero;
    if (dim.positions === undefined) {
      offset = offset.plus(dim.start.plus(at).times(dim.stride));
      continue;
    }
    const row = at.known;
    const pointer =
      row === undefined ? undefined : scope.rowPointers.get(rowPointerKey(view.view.base, dim.positions, row));
    if (pointer === undefined) {
      const positions = scope.memory(dim.positions, "a gather").name;
      offset = offset.plus(Offset.text(`(int64_t)${positions}[${at.alone}]`).times(dim.stride));
    } else base = pointer;
  }
  return { base, offset: offset.toString() };
}

/** The variable of a register tile that holds the lanes from a constant element on. Leading indices are constant too. */
export function vectorVariable(view: ResolvedView, index: readonly Offset[], lanes: number): string {
  if (view.binding.kind !== "vectors") throw new IrError(`${view.view.base} is not in registers`, "Allocate it there.");
  const strides = rowMajor(view.binding.dims.map((d) => Dim.of(d)));
  const flat = view.kept.reduce(
    (sum, d, i) => sum.plus(d.start.plus(index[i] ?? Offset.zero).times(d.stride)),
    view.fixed,
  );
  let rest = flat.known;
  if (rest === undefined)
    throw new IrError(`${view.view.base} is indexed by a variable`, "Index registers by constants.");
  const parts = strides.map((s) => {
    const stride = s.constant ?? 1;
    const at = Math.floor((rest ?? 0) / stride);
    rest = (rest ?? 0) % stride;
    return at;
  });
  const last = parts.pop() ?? 0;
  return [view.binding.name, ...parts, Math.floor(last / lanes)].join("_");
}

/** The left side of an assignment to a vector variable: with its type where this declares it. */
export function vectorTarget(scope: Scope, view: ResolvedView, index: readonly Offset[]): string {
  const { isa } = scope.file.table;
  const name = vectorVariable(view, index, isa.lanes);
  if (view.binding.kind !== "vectors" || !view.binding.undeclared.delete(name)) return name;
  return `${isa.types[view.binding.dtype]} ${name}`;
}

/** A value that must not be negative and not above a constant, as C text. */
export const clamp = (value: string, limit: number | string): string =>
  /^-?\d+$/.test(value) && typeof limit === "number"
    ? String(Math.max(0, Math.min(Number(value), limit)))
    : `unmoor_clamp(${value}, ${limit})`;
