import { IrError } from "../../../ir/core/diagnostic.ts";
import { Dim } from "../../../ir/core/dim.ts";
import type { ScalarExpr, ScalarType } from "../../../ir/core/scalar.ts";
import { dtypeBytes, type ElementType } from "../../../ir/core/types.ts";
import type { Tile } from "../../tile/types.ts";
import { Names } from "../c-family/names.ts";
import { Offset } from "../c-family/offset.ts";
import { atom, operand } from "../c-family/parentheses.ts";
import type { Access, LocalVariable } from "./nodes.ts";

/** What a name of tile IR stands for in C++. */
export type Binding =
  | { readonly kind: "global"; readonly name: string; readonly dtype: ElementType; readonly dims: readonly Dim[] }
  | LocalBinding
  | {
      readonly kind: "scalar";
      readonly name: string;
      readonly type: ScalarType;
      /** A number that divides the value, for alignment. */
      readonly divisor: number;
      /** A number that the value never exceeds, where known. */
      readonly most: number | undefined;
      /** Of an integer that is named: what it stands for. */
      readonly value?: ScalarExpr;
      /** Of a loop's counter: what it stays below. */
      readonly below?: ScalarExpr;
    };

export interface LocalBinding {
  readonly kind: "local";
  readonly name: string;
  readonly tile: Tile;
  readonly variable: LocalVariable;
  /** Elements between neighbours along each dimension. Rows of a tile in UB begin at multiples of 32 bytes. */
  readonly strides: readonly number[];
  /** What the tile is known to hold, per dimension; elements beyond are zero by definition and are not stored. */
  valid: readonly ScalarExpr[] | undefined;
  /** Of a matrix in L1: the fractals that its rows take, as text. */
  fractals?: string;
}

/** C++ types of elements. */
export const elementTypes: Readonly<Partial<Record<ElementType, string>>> = {
  f32: "float",
  bf16: "bfloat16_t",
  f16: "half",
  i32: "int32_t",
  i8: "int8_t",
};

export function elementType(dtype: ElementType, what: string): string {
  const type = elementTypes[dtype];
  if (type === undefined)
    throw new IrError(
      `${what} has elements of type ${dtype}, which the Ascend target does not compute with`,
      "Use f32, bf16, f16, i32 or i8.",
    );
  return type;
}

const cppWords = `alignas alignof and and_eq asm bitand bitor catch class compl concept const_cast constexpr decltype delete
  dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq nullptr operator or or_eq private
  protected public reinterpret_cast static_assert static_cast template this thread_local throw try typeid typename using virtual
  wchar_t xor xor_eq half bfloat16_t tiling pipe block blocks sizes std AscendC Add Sub Mul Div Max Min Adds Muls Maxs Mins Exp Ln
  Sqrt Abs Cast Duplicate Select Compare CompareScalar Axpy MulAddDst ReduceSum ReduceMax DataCopy DataCopyPad LoadData Mmad
  Fixpipe TPipe TQue TBuf GlobalTensor LocalTensor SetFlag WaitFlag PipeBarrier HardEvent TPosition RoundMode CMPMODE SELMODE
  CrossCoreSetFlag CrossCoreWaitFlag GetBlockIdx GetBlockNum GetSubBlockIdx GetSubBlockNum GetTaskRation
  WaitFor CleanCache ZeroPad FloorDiv FloorMod Smaller Larger Magnitude FloatFromBits RoundUp`;

export const kernelNames = (): Names => new Names(cppWords.split(/\s+/));

/** Names in scope in a statement list. */
export class Scope {
  readonly names: Names;
  readonly #bindings: Map<string, Binding>;

  constructor(names: Names, bindings: ReadonlyMap<string, Binding> = new Map()) {
    this.names = names;
    this.#bindings = new Map(bindings);
  }

  inner(): Scope {
    return new Scope(this.names, this.#bindings);
  }

  /** The same bindings, with names of its own from here on. */
  part(): Scope {
    return new Scope(new Names([], this.names), this.#bindings);
  }

  bind(name: string, binding: Binding): void {
    this.#bindings.set(name, binding);
  }

  lookup(name: string): Binding {
    const binding = this.#bindings.get(name);
    if (!binding) throw new IrError(`${name} is not in scope`, "Define it before its use.");
    return binding;
  }

  isGlobal(name: string): boolean {
    return this.lookup(name).kind === "global";
  }

  local(name: string): LocalBinding {
    const binding = this.lookup(name);
    if (binding.kind !== "local") throw new IrError(`${name} is not a tile`, "Allocate a tile and copy to it.");
    return binding;
  }

  /** C++ text of an index as a sum, with what it reads added to `reads`. */
  index(expr: ScalarExpr, reads: Access[]): Offset {
    return Offset.of(expr, (e) => this.scalar(e, reads));
  }

  /** C++ text of a scalar expression; i32 is computed in int64_t. What it reads is added to `reads`. */
  scalar(expr: ScalarExpr, reads: Access[]): string {
    switch (expr.kind) {
      case "const":
        return literal(expr.type, expr.value);
      case "var": {
        const binding = this.lookup(expr.name);
        if (binding.kind !== "scalar") throw new IrError(`${expr.name} is not a scalar`, "Read one of its elements.");
        return binding.name;
      }
      case "element":
        return this.#element(expr.base, expr.index, reads);
      case "apply": {
        const args = expr.args.map((a) => this.scalar(a, reads));
        const text = scalarTexts[expr.op]?.(...args);
        if (text === undefined)
          throw new IrError(
            `the scalar unit of an Ascend core has no ${expr.op}`,
            "Compute it with map on a tile, and read the element.",
          );
        return text;
      }
    }
  }

  #element(base: string, index: readonly ScalarExpr[], reads: Access[]): string {
    const { name, offset, dtype } = this.elementOf(base, index, reads);
    reads.push({ pipe: "S", resource: name, write: false });
    const value = `${name}.GetValue(${offset.alone})`;
    if (dtype === "f32") return value;
    if (dtype === "i32") return `static_cast<int64_t>(${value})`;
    if (dtype === "bf16") return `ToFloat(${value})`;
    if (dtype === "f16") return `static_cast<float>(${value})`;
    throw new IrError(
      `an element of ${base} cannot be read as a scalar, because it is ${dtype}`,
      "Use f32, bf16, f16 or i32.",
    );
  }

  /** Where one element lies. */
  elementOf(
    base: string,
    index: readonly ScalarExpr[],
    reads: Access[],
  ): { readonly name: string; readonly offset: Offset; readonly dtype: ElementType } {
    const binding = this.lookup(base);
    if (binding.kind === "scalar") throw new IrError(`${base} is a scalar`, "Use its name.");
    const strides = binding.kind === "global" ? rowMajor(binding.dims) : binding.strides.map((s) => dimOf(s));
    const offset = index.reduce(
      (sum, e, d) => sum.plus(this.index(e, reads).times(strides[d] ?? dimOf(1))),
      Offset.zero,
    );
    return { name: binding.name, offset, dtype: binding.kind === "global" ? binding.dtype : binding.tile.dtype };
  }

  /** A number that certainly divides an i32 expression (0 for zero). */
  divisor(expr: ScalarExpr): number {
    if (expr.kind === "const") return Math.abs(expr.value);
    if (expr.kind === "var") {
      const binding = this.#bindings.get(expr.name);
      return binding?.kind === "scalar" ? binding.divisor : 1;
    }
    if (expr.kind === "apply") {
      const [a, b] = expr.args;
      if (a && b && (expr.op === "add" || expr.op === "sub" || expr.op === "min" || expr.op === "max"))
        return gcd(this.divisor(a), this.divisor(b));
      if (a && b && expr.op === "mul") return this.divisor(a) * this.divisor(b);
    }
    return 1;
  }

  /** A number that an i32 expression never exceeds, where known. */
  most(expr: ScalarExpr): number | undefined {
    if (expr.kind === "const") return expr.value;
    if (expr.kind === "var") {
      const binding = this.#bindings.get(expr.name);
      return binding?.kind === "scalar" ? binding.most : undefined;
    }
    if (expr.kind !== "apply") return undefined;
    const most = expr.args.map((a) => this.most(a));
    if (expr.op === "min") {
      const known = most.filter((m) => m !== undefined);
      return known.length > 0 ? Math.min(...known) : undefined;
    }
    const factor = expr.args.find((a) => a.kind === "const" && a.value >= 0);
    if (expr.op !== "mul" || factor === undefined) return undefined;
    return most[0] === undefined || most[1] === undefined ? undefined : most[0] * most[1];
  }

  /** Whether an i32 expression is certainly above 0: what a loop has left to do in one of its iterations is. */
  isPositive(expr: ScalarExpr): boolean {
    if (expr.kind === "const") return expr.value > 0;
    if (expr.kind === "var") {
      const binding = this.#bindings.get(expr.name);
      return binding?.kind === "scalar" && binding.value !== undefined && this.isPositive(binding.value);
    }
    if (expr.kind !== "apply") return false;
    const [a, b] = expr.args;
    if (expr.op === "min") return expr.args.every((x) => this.isPositive(x));
    if (expr.op === "max") return expr.args.some((x) => this.isPositive(x));
    return expr.op === "sub" && a !== undefined && b !== undefined && this.#isBelow(b, a);
  }

  /** Whether an i32 expression is certainly below another. */
  #isBelow(expr: ScalarExpr, limit: ScalarExpr): boolean {
    const counter = expr.kind === "var" ? this.#bindings.get(expr.name) : undefined;
    if (counter?.kind === "scalar" && counter.below !== undefined && isSame(counter.below, limit)) return true;
    if (limit.kind === "const") {
      const most = this.most(expr);
      return most !== undefined && most < limit.value;
    }
    if (limit.kind === "var") {
      const binding = this.#bindings.get(limit.name);
      return binding?.kind === "scalar" && binding.value !== undefined && this.#isBelow(expr, binding.value);
    }
    if (limit.kind !== "apply") return false;
    if (limit.op === "min") return limit.args.every((arm) => this.#isBelow(expr, arm));
    const more = limit.op === "add" ? limit.args.find((arm) => !isSame(arm, expr)) : undefined;
    return more !== undefined && limit.args.some((arm) => isSame(arm, expr)) && this.isPositive(more);
  }
}

const isSame = (a: ScalarExpr, b: ScalarExpr): boolean => JSON.stringify(a) === JSON.stringify(b);

export const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

const dimOf = (n: number): Dim => Dim.of(n);

export function rowMajor(dims: readonly Dim[]): Dim[] {
  const strides: Dim[] = [];
  let stride = dimOf(1);
  for (const dim of dims.toReversed()) {
    strides.unshift(stride);
    stride = stride.times(dim);
  }
  return strides;
}

/** Elements between neighbours of a tile. Rows in UB are rounded up to 32 bytes. */
export function tileStrides(tile: Tile): { readonly strides: readonly number[]; readonly elements: number } {
  const unit = tile.space === "ub" ? 32 / dtypeBytes[tile.dtype] : 1;
  const strides: number[] = [];
  let stride = 1;
  tile.dims.toReversed().forEach((extent, i) => {
    strides.unshift(stride);
    stride *= i === 0 ? Math.ceil(extent / unit) * unit : extent;
  });
  return { strides, elements: stride };
}

const call =
  (name: string) =>
  (...args: string[]): string =>
    `${name}(${args.join(", ")})`;
const infix =
  (sign: string) =>
  (a: string, b: string): string =>
    `${operand(a, undefined, sign)} ${sign} ${operand(b, sign)}`;

/** Scalar operations that the scalar unit does. exp, log and sqrt are the vector unit's. */
const scalarTexts: Readonly<Record<string, (...args: string[]) => string>> = {
  add: infix("+"),
  floor: call("Floor"),
  sub: infix("-"),
  mul: infix("*"),
  div: infix("/"),
  neg: (a) => `-${atom(a)}`,
  abs: call("Magnitude"),
  min: call("Smaller"),
  max: call("Larger"),
  floorDiv: call("FloorDiv"),
  mod: call("FloorMod"),
  lt: infix("<"),
  le: infix("<="),
  eq: infix("=="),
  and: infix("&&"),
  or: infix("||"),
  not: (a) => `!${atom(a)}`,
  select: (c, a, b) => `${operand(c, undefined, "?")} ? ${operand(a, "?", ":")} : ${operand(b, ":")}`,
  toFloat: (a) => `static_cast<float>(${a})`,
  toInt: (a) => `static_cast<int64_t>(${a})`,
};

/** Whether an expression can be computed by the scalar unit. */
export const isScalarUnit = (expr: ScalarExpr): boolean =>
  expr.kind !== "apply" || (Object.hasOwn(scalarTexts, expr.op) && expr.args.every(isScalarUnit));

/** A literal of C++. */
export function literal(type: ScalarType, value: number): string {
  if (type === "bool") return value !== 0 ? "true" : "false";
  if (type === "i32") return String(value);
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded)) {
    const bits = Number.isNaN(rounded) ? "0x7fc00000" : rounded > 0 ? "0x7f800000" : "0xff800000";
    return `FloatFromBits(${bits})`;
  }
  const text = String(value);
  return /[.e]/.test(text) ? `${text}f` : Object.is(value, -0) ? "-0.0f" : `${text}.0f`;
}
