import { IrError } from "../../../ir/core/diagnostic.ts";
import { Dim } from "../../../ir/core/dim.ts";
import type { ScalarExpr } from "../../../ir/core/scalar.ts";
import { dtypeBytes, type ElementType } from "../../../ir/core/types.ts";
import type { View } from "../../tile/types.ts";
import { Offset } from "../c-family/offset.ts";
import type { AscendTable } from "./isa.ts";
import type { Exchange } from "./mix.ts";
import { type Access, type LocalVariable, line, type Node, type Pipe } from "./nodes.ts";
import { type Binding, gcd, rowMajor, type Scope } from "./scope.ts";

/** A dimension that a view keeps. */
export interface KeptDim {
  readonly extent: number;
  readonly stride: Dim;
  readonly start: Offset;
  readonly positions: string | undefined;
  /** Dimension of the base. */
  readonly dim: number;
}

/** A view with its place resolved. */
export interface Place {
  readonly view: View;
  readonly binding: Exclude<Binding, { kind: "scalar" }>;
  readonly dtype: ElementType;
  /** Offset of the indices that the view drops. */
  readonly fixed: Offset;
  readonly kept: readonly KeptDim[];
  /** Whether the last kept dimension is a row of neighbours. */
  readonly contiguous: boolean;
  /** A number of elements that divides the offset of every row. */
  readonly divisor: number;
}

/** Collects the nodes of a kernel's body. */
export class Lowering {
  readonly table: AscendTable;
  /** Of a part of a MIX kernel: how its cores hand over tiles. */
  readonly exchange: Exchange | undefined;
  scope: Scope;
  #list: Node[] = [];

  constructor(table: AscendTable, scope: Scope, exchange?: Exchange) {
    this.table = table;
    this.exchange = exchange;
    this.scope = scope;
  }

  emit(text: string, accesses: readonly Access[] = []): void {
    this.#list.push(line(text, accesses));
  }

  /** What `body` emits, with a scope of its own. */
  collect(body: () => void): Node[] {
    const [list, scope] = [this.#list, this.scope];
    const inner: Node[] = [];
    this.#list = inner;
    this.scope = scope.inner();
    body();
    this.#list = list;
    this.scope = scope;
    return inner;
  }

  /** Adds a node. What happens under the condition of the node before it joins that one. */
  push(node: Node): void {
    const before = this.#list.at(-1);
    // Scalars never change; elements may.
    const joins = before?.kind === "if" && node.kind === "if" && before.condition === node.condition;
    if (joins && !node.condition.includes("GetValue") && before.otherwise.length + node.otherwise.length === 0) {
      const then = [...before.then, ...node.then];
      this.#list[this.#list.length - 1] = { ...before, then };
    } else this.#list.push(node);
  }

  /**
   * A loop from 0, or its body alone where that runs once; with `accesses`, given or found in its body, one whose iterations are
   * parts of one instruction.
   */
  loop(hint: string, extent: string, body: (counter: string) => void, given?: readonly Access[] | AccessesOf): void {
    if (extent === "1") {
      body("0");
      return;
    }
    const counter = this.scope.names.unique(hint);
    const inner = this.collect(() => body(counter));
    const head = `for (int64_t ${counter} = 0; ${counter} < ${extent}; ${counter}++)`;
    const accesses = typeof given === "function" ? given(inner) : given;
    const runs = Number(extent) > 0;
    this.push({ kind: "loop", head, body: inner, runs, ...(accesses === undefined ? {} : { accesses }) });
  }

  /**
   * Loops within each other, from 0 to each extent; `body` gets their counters, outermost first.
   * @param accesses as of `loop`
   */
  nest(
    hint: string,
    extents: readonly string[],
    body: (counters: readonly string[]) => void,
    accesses?: AccessesOf,
    counters: readonly string[] = [],
  ): void {
    const [extent, ...inner] = extents;
    if (extent === undefined) body(counters);
    else this.loop(hint, extent, (c) => this.nest(hint, inner, body, accesses, [...counters, c]), accesses);
  }

  /**
   * Loops over rows of tiles, which are parts of one instruction where a row is one, and none touches what another writes.
   * @param apart whether rows that are read and written are the same ones; else what is written must not be read at all
   */
  rows(extents: readonly number[], body: (counters: readonly string[]) => void, apart = false): void {
    this.nest("row", extents.map(String), body, (list) => accessesOfOne(list, apart));
  }

  /** C++ text of a scalar, after a line that stands for what it reads. */
  scalar(expr: ScalarExpr): string {
    const reads: Access[] = [];
    const text = this.scope.scalar(expr, reads);
    this.touch(reads);
    return text;
  }

  touch(accesses: readonly Access[]): void {
    if (accesses.length > 0) this.emit("", accesses);
  }

  /** A temporary in UB that lives until it is released. */
  temporary(hint: string, dtype: ElementType, elements: number): LocalVariable {
    const bytes = Math.ceil((elements * dtypeBytes[dtype]) / 32) * 32;
    const variable: LocalVariable = { name: this.scope.names.unique(hint), dtype, bytes, space: "ub" };
    this.push({ kind: "local", variable });
    return variable;
  }

  release(variable: LocalVariable): void {
    this.push({ kind: "release", variable });
  }

  /** A line for an instruction of the vector unit. */
  vector(
    op: string,
    operands: Readonly<Record<string, string>>,
    writes: readonly string[],
    reads: readonly string[],
  ): void {
    this.emit(this.table.text(op, operands), [
      ...reads.map((resource) => access("V", resource, false)),
      ...writes.map((resource) => access("V", resource, true)),
    ]);
  }

  place(view: View): Place {
    const binding = this.scope.lookup(view.base);
    if (binding.kind === "scalar") throw new IrError(`${view.base} is a scalar, not a buffer or tile`, "View a tile.");
    const dtype = binding.kind === "global" ? binding.dtype : binding.tile.dtype;
    const strides = binding.kind === "global" ? rowMajor(binding.dims) : binding.strides.map((s) => Dim.of(s));
    const reads: Access[] = [];
    let fixed = Offset.zero;
    let divisor = 0;
    const kept: KeptDim[] = [];
    view.index.forEach((index, d) => {
      const stride = strides[d] ?? Dim.of(1);
      const step = stride.constant ?? 1;
      if (index.kind === "at") {
        fixed = fixed.plus(this.scope.index(index.at, reads).times(stride));
        divisor = gcd(divisor, step * this.scope.divisor(index.at));
        return;
      }
      const start = index.kind === "range" ? this.scope.index(index.start, reads) : Offset.zero;
      divisor = gcd(divisor, index.kind === "range" ? step * this.scope.divisor(index.start) : step);
      const positions = index.kind === "gather" ? index.positions : undefined;
      kept.push({ extent: index.extent, stride, start, positions, dim: d });
    });
    // Rows along the leading kept dimensions.
    for (const k of kept.slice(0, -1)) divisor = gcd(divisor, k.stride.constant ?? 1);
    this.touch(reads);
    const last = kept.at(-1);
    const contiguous =
      last === undefined || (last.positions === undefined && (last.stride.constant === 1 || last.extent === 1));
    return { view, binding, dtype, fixed, kept, contiguous, divisor };
  }

  /** Offset of element `index` of a view, one text per kept dimension (missing ones are 0). */
  offset(place: Place, index: readonly string[]): Offset {
    let offset = place.fixed;
    place.kept.forEach((k, d) => {
      const at = (index[d] ?? "0") === "0" ? Offset.zero : Offset.text(index[d] ?? "0");
      if (k.positions === undefined) {
        offset = offset.plus(k.start.plus(at).times(k.stride));
        return;
      }
      const { name } = this.scope.local(k.positions);
      this.touch([access("S", name, false)]);
      offset = offset.plus(Offset.text(`${name}.GetValue(${index[d] ?? 0})`).times(k.stride));
    });
    return offset;
  }

  /** A tensor from an offset on, as text. */
  tensor(place: Place, index: readonly string[] = []): string {
    const offset = this.offset(place, index).toString();
    return offset === "" || offset === "0" ? place.binding.name : `${place.binding.name}[${offset}]`;
  }

  /** A view in UB whose rows the vector unit can take; throws IrError otherwise. */
  vectorPlace(view: View): Place {
    const place = this.place(view);
    const { binding } = place;
    if (binding.kind !== "local" || binding.tile.space !== "ub")
      throw new IrError(
        `the vector unit computes in UB, and ${view.base} lies in ${binding.kind === "local" ? binding.tile.space : "global memory"}`,
        "Allocate the tile in the space ub.",
      );
    if (!place.contiguous)
      throw new IrError(
        `the vector unit takes neighbouring elements, and a view of ${view.base} has a stride`,
        "View along the last dimension of the tile.",
      );
    if ((place.divisor * dtypeBytes[place.dtype]) % 32 !== 0)
      throw new IrError(
        `the vector unit takes tensors that begin at multiples of 32 bytes, and a view of ${view.base} may begin elsewhere`,
        "Begin the view at a multiple of 32 bytes, or copy that part to a tile of its own.",
      );
    return place;
  }
}

export const access = (pipe: Pipe, resource: string, write: boolean): Access => ({ pipe, resource, write });

/** What the iterations of a loop touch, where they are parts of one instruction; else undefined. */
type AccessesOf = (body: readonly Node[]) => readonly Access[] | undefined;

/** What iterations touch that are one instruction each, of which none reads what another writes; else undefined. */
function accessesOfOne([only, ...others]: readonly Node[], apart: boolean): readonly Access[] | undefined {
  if (others.length > 0 || (only?.kind !== "line" && only?.kind !== "loop")) return undefined;
  const { accesses } = only;
  const written = new Set(accesses?.filter((a) => a.write).map((a) => a.resource));
  return apart || accesses?.every((a) => a.write || !written.has(a.resource)) ? accesses : undefined;
}
