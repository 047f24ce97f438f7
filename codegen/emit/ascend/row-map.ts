import { IrError } from "../../../ir/core/diagnostic.ts";
import { formatScalar, type ScalarExpr, type ScalarType } from "../../../ir/core/scalar.ts";
import { sameView, subexpressions } from "../../tile/shape.ts";
import type { Statement } from "../../tile/types.ts";
import { atom } from "../c-family/parentheses.ts";
import { access, type Lowering, type Place } from "./lowering.ts";
import type { LocalVariable } from "./nodes.ts";
import { isScalarUnit } from "./scope.ts";

type MapStatement = Extract<Statement, { kind: "map" }>;

/** A value while a map is computed: a scalar, or a row of elements in UB. */
type Value =
  | { readonly kind: "scalar"; readonly text: string; readonly type: ScalarType }
  | {
      readonly kind: "row";
      /** The tensor as text. */
      readonly text: string;
      readonly resource: string;
      readonly type: "f32" | "i32";
      readonly temporary: LocalVariable | undefined;
    };
type Row = Extract<Value, { kind: "row" }>;

/** Elements that a comparison takes at least, and a multiple of which: 256 bytes. */
const compareUnit = 64;

/** One row of a map: the instructions that compute an expression. */
export class RowMap {
  readonly #to: Lowering;
  readonly #count: number;
  /** The count that comparisons take: a multiple of 256 bytes. */
  readonly #rounded: number;
  readonly #values = new Map<string, Value>();
  /** Inputs in f32, freed when the row is done. */
  readonly #held: Row[] = [];
  readonly #bound = new Set<string>();

  constructor(to: Lowering, count: number) {
    this.#to = to;
    this.#count = count;
    this.#rounded = Math.ceil(count / compareUnit) * compareUnit;
  }

  bindElement(name: string, place: Place, index: readonly string[]): void {
    const offset = this.#to.offset(place, index).alone;
    const element = `${place.binding.name}.GetValue(${offset})`;
    const integer = place.dtype === "i32";
    const variable = this.#to.scope.names.unique(name);
    const text = place.dtype === "bf16" ? `ToFloat(${element})` : element;
    this.#to.emit(`const ${integer ? "int64_t" : "float"} ${variable} = ${text};`, [
      access("S", place.binding.name, false),
    ]);
    this.#values.set(name, { kind: "scalar", text: variable, type: integer ? "i32" : "f32" });
  }

  bindRow(name: string, place: Place, index: readonly string[]): void {
    const checked = this.#to.vectorPlace(place.view);
    const text = this.#to.tensor(checked, index);
    const resource = place.binding.name;
    if (place.dtype === "f32" || place.dtype === "i32") {
      this.#values.set(name, { kind: "row", text, resource, type: place.dtype, temporary: undefined });
      return;
    }
    const wide = this.#temporary("wide", "f32");
    this.#op(`cast.${place.dtype}.f32`, wide, { a: text }, [resource]);
    // Inputs may be read several times: they stay to the end of the row.
    this.#values.set(name, { ...wide, temporary: undefined });
    this.#held.push(wide);
  }

  /** Computes the statement's value into the row of dst. */
  into(s: MapStatement, dst: Place, index: readonly string[]): void {
    const text = this.#to.tensor(dst, index);
    const resource = dst.binding.name;
    if (dst.dtype === "f32" || dst.dtype === "i32") {
      const row: Row = { kind: "row", text, resource, type: dst.dtype, temporary: undefined };
      if (!this.#accumulates(s, row)) this.#free(this.#compute(s.value, row));
    } else {
      const value = this.#asRow(this.#compute(s.value), "f32");
      this.#to.vector(
        `cast.f32.${dst.dtype}`,
        { d: text, a: value.text, n: String(this.#count) },
        [resource],
        [value.resource],
      );
      this.#free(value);
    }
    for (const row of this.#held) this.#free(row);
  }

  /** dst = dst + a·b in one instruction, where dst is an operand as it is. */
  #accumulates(s: MapStatement, dst: Row): boolean {
    const { value } = s;
    if (dst.type !== "f32" || value.kind !== "apply" || value.op !== "add") return false;
    const [sum, product] = value.args;
    if (sum?.kind !== "var" || product?.kind !== "apply" || product.op !== "mul") return false;
    const input = s.inputs.find((i) => i.name === sum.name);
    if (!input || !sameView(input.view, s.dst)) return false;
    // The factors must not read the sum after it changed; they are complete before.
    const [a, b] = product.args.map((e) => this.#compute(e));
    if (!a || !b) return false;
    const n = String(this.#count);
    if (a.kind === "row" && b.kind === "row") {
      this.#to.vector(
        "fma.f32",
        { d: dst.text, a: a.text, b: b.text, n },
        [dst.resource],
        [dst.resource, a.resource, b.resource],
      );
    } else {
      const [row, scalar] = a.kind === "row" ? [a, b] : [this.#asRow(b, "f32"), a];
      if (scalar.kind !== "scalar") return false;
      this.#to.vector(
        "axpy.f32",
        { d: dst.text, a: row.text, s: scalar.text, n },
        [dst.resource],
        [dst.resource, row.resource],
      );
      this.#free(row);
    }
    this.#free(a);
    this.#free(b);
    return true;
  }

  #temporary(hint: string, type: "f32" | "i32"): Row {
    const variable = this.#to.temporary(hint, type, this.#rounded);
    return { kind: "row", text: variable.name, resource: variable.name, type, temporary: variable };
  }

  #free(value: Value): void {
    if (value.kind === "row" && value.temporary) this.#to.release(value.temporary);
  }

  #op(op: string, dst: Row, operands: Readonly<Record<string, string>>, reads: readonly string[]): void {
    this.#to.vector(op, { d: dst.text, n: String(this.#count), ...operands }, [dst.resource], reads);
  }

  /** A result: `want` where the caller has a place for it, else a temporary, one of the operands where it is one. */
  #result(type: "f32" | "i32", want: Row | undefined, operands: readonly Value[]): Row {
    if (want) return want;
    const own = operands.find((o): o is Row => o.kind === "row" && o.temporary !== undefined && o.type === type);
    return own ?? this.#temporary("value", type);
  }

  #freeOthers(result: Row, operands: readonly Value[]): void {
    for (const o of new Set(operands))
      if (o.kind === "row" && o.temporary && o.temporary !== result.temporary) this.#free(o);
  }

  #asRow(value: Value, type: "f32" | "i32", want?: Row): Row {
    if (value.kind === "row" && want === undefined) return value;
    const row = want ?? this.#temporary("value", type);
    if (value.kind === "row") {
      const [d, a] = type === "f32" ? [asInts(row), asInts(value)] : [row.text, value.text];
      this.#op("adds.i32", row, { d, a, s: "0" }, [value.resource]);
      this.#free(value);
      return row;
    }
    this.#op(`fill.${type}`, row, { s: this.#scalarOf(value, type) }, []);
    return row;
  }

  #scalarOf(value: Extract<Value, { kind: "scalar" }>, type: "f32" | "i32"): string {
    return type === "i32" ? `static_cast<int32_t>(${value.text})` : value.text;
  }

  #isScalar(expr: ScalarExpr): boolean {
    if (!isScalarUnit(expr)) return false;
    for (const part of subexpressions(expr))
      if (part.kind === "var" && this.#values.get(part.name)?.kind === "row") return false;
    return true;
  }

  #scalarText(expr: ScalarExpr): string {
    const replaced = (e: ScalarExpr): ScalarExpr => {
      if (e.kind === "apply") return { ...e, args: e.args.map(replaced) };
      if (e.kind !== "var") return e;
      const value = this.#values.get(e.name);
      if (value?.kind !== "scalar") return e;
      if (!this.#bound.has(value.text)) {
        this.#bound.add(value.text);
        this.#to.scope.bind(value.text, {
          kind: "scalar",
          name: value.text,
          type: value.type,
          divisor: 1,
          most: undefined,
        });
      }
      return { ...e, name: value.text };
    };
    return this.#to.scalar(replaced(expr));
  }

  /** The value of an expression; in `want` where that is given and it is a row. */
  #compute(expr: ScalarExpr, want?: Row): Value {
    if (this.#isScalar(expr)) {
      const value: Value = { kind: "scalar", text: this.#scalarText(expr), type: expr.type };
      return want ? this.#asRow(value, want.type, want) : value;
    }
    if (expr.kind === "var") {
      const value = this.#values.get(expr.name);
      if (!value) throw new IrError(`${expr.name} is not in scope`, "Bind it as an input.");
      return want ? this.#asRow(value, want.type, want) : value;
    }
    if (expr.kind !== "apply")
      throw new IrError(`${formatScalar(expr)} cannot be computed on a tile`, "Name it with let.");
    switch (expr.op) {
      case "lt":
      case "le":
      case "eq":
      case "and":
      case "or":
      case "not":
        return this.#truth(expr, want);
      case "select":
        return this.#select(expr.args, want, expr.type === "i32" ? "i32" : "f32");
      case "toFloat":
        return this.#unary("cast.i32.f32", "f32", expr.args, want);
      case "toInt":
        return this.#unary("cast.f32.i32", "i32", expr.args, want);
      default:
        return this.#arithmetic(expr, want);
    }
  }

  #unary(op: string, type: "f32" | "i32", args: readonly ScalarExpr[], want: Row | undefined): Row {
    const [arg] = args;
    if (!arg) throw new IrError(`${op} needs an operand`, "Give one.");
    const a = this.#asRow(this.#compute(arg), arg.type === "i32" ? "i32" : "f32");
    const result = this.#result(type, want, [a]);
    this.#op(op, result, { a: a.text }, [a.resource]);
    this.#freeOthers(result, [a]);
    return result;
  }

  #arithmetic(expr: Extract<ScalarExpr, { kind: "apply" }>, want: Row | undefined): Row {
    const { op } = expr;
    const type = expr.type === "i32" ? "i32" : "f32";
    const [first, second] = expr.args;
    if (first === undefined) throw new IrError(`${op} needs operands`, "Give them.");
    if (second === undefined) {
      if (op !== "neg") return this.#unary(`${op}.${type}`, type, expr.args, want);
      const a = this.#asRow(this.#compute(first), type);
      return this.#withScalar("muls", a, type === "f32" ? "-1.0f" : "-1", type, want);
    }
    const a = this.#compute(first);
    const b = this.#compute(second);
    const withScalar = { add: "adds", mul: "muls", max: "maxs", min: "mins" }[op as string];
    if (withScalar !== undefined) {
      if (a.kind === "row" && b.kind === "scalar")
        return this.#withScalar(withScalar, a, this.#scalarOf(b, type), type, want);
      if (a.kind === "scalar" && b.kind === "row")
        return this.#withScalar(withScalar, b, this.#scalarOf(a, type), type, want);
    }
    if (op === "sub" && b.kind === "scalar" && a.kind === "row")
      return this.#withScalar("adds", a, negated(this.#scalarOf(b, type)), type, want);
    if (op === "sub" && a.kind === "scalar" && b.kind === "row") {
      const negative = this.#withScalar("muls", b, type === "f32" ? "-1.0f" : "-1", type, undefined);
      return this.#withScalar("adds", negative, this.#scalarOf(a, type), type, want);
    }
    const [left, right] = [this.#asRow(a, type), this.#asRow(b, type)];
    const result = this.#result(type, want, [left, right]);
    this.#op(`${op}.${type}`, result, { a: left.text, b: right.text }, [left.resource, right.resource]);
    this.#freeOthers(result, [left, right]);
    return result;
  }

  #withScalar(op: string, a: Row, s: string, type: "f32" | "i32", want: Row | undefined): Row {
    const result = this.#result(type, want, [a]);
    this.#op(`${op}.${type}`, result, { a: a.text, s }, [a.resource]);
    this.#freeOthers(result, [a]);
    return result;
  }

  /** A truth value as a row of 1.0 and 0.0. */
  #truth(expr: Extract<ScalarExpr, { kind: "apply" }>, want: Row | undefined): Row {
    const [a, b] = expr.args;
    if (!a) throw new IrError(`${expr.op} needs operands`, "Give them.");
    if (expr.op === "not") {
      const value = this.#asTruth(a);
      const negative = this.#withScalar("muls", value, "-1.0f", "f32", undefined);
      return this.#withScalar("adds", negative, "1.0f", "f32", want);
    }
    if (expr.op === "and" || expr.op === "or") {
      const [left, right] = [this.#asTruth(a), this.#asTruth(b ?? a)];
      const result = this.#result("f32", want, [left, right]);
      const op = expr.op === "and" ? "min.f32" : "max.f32";
      this.#op(op, result, { a: left.text, b: right.text }, [left.resource, right.resource]);
      this.#freeOthers(result, [left, right]);
      return result;
    }
    const { mask, inverted } = this.#compare(expr);
    const [yes, no] = inverted ? ["0.0f", "1.0f"] : ["1.0f", "0.0f"];
    const constant = this.#temporary("value", "f32");
    this.#op("fill.f32", constant, { s: yes }, []);
    const result = want ?? constant;
    this.#op("selects.f32", result, { m: mask.name, a: constant.text, s: no }, [mask.name, constant.resource]);
    this.#to.release(mask);
    if (want) this.#free(constant);
    return result;
  }

  #asTruth(expr: ScalarExpr): Row {
    const value = this.#compute(expr);
    if (value.kind === "row") return value;
    return this.#asRow({ kind: "scalar", text: `${atom(value.text)} ? 1.0f : 0.0f`, type: "f32" }, "f32");
  }

  /** Bits, one per element, lowest of a byte first; they say the opposite where `inverted`. */
  #compare(expr: Extract<ScalarExpr, { kind: "apply" }>): { readonly mask: LocalVariable; readonly inverted: boolean } {
    const [first, second] = expr.args;
    if (!first || !second) throw new IrError(`${expr.op} needs two operands`, "Give both.");
    const integers = first.type === "i32";
    const type = integers ? "i32" : "f32";
    const [a, b] = [this.#whole(this.#compute(first), type), this.#whole(this.#compute(second), type)];
    const n = String(this.#rounded);
    const mask = this.#to.temporary("mask", "u8", Math.max(32, this.#rounded / 8));
    if (integers && expr.op !== "eq") {
      // Integers compare for equality only: a <= b is min(a, b) == a, and a < b is not min(a, b) == b.
      const least = this.#temporary("value", "i32");
      this.#op("min.i32", least, { a: a.text, b: b.text, n }, [a.resource, b.resource]);
      const other = expr.op === "lt" ? b : a;
      this.#op("eq.i32", maskRow(mask), { a: least.text, b: other.text, n }, [least.resource, other.resource]);
      this.#free(least);
    } else {
      this.#op(`${expr.op}.${type}`, maskRow(mask), { a: a.text, b: b.text, n }, [a.resource, b.resource]);
    }
    this.#free(a);
    this.#free(b);
    return { mask, inverted: integers && expr.op === "lt" };
  }

  /** A row that has values up to a multiple of what comparisons take. */
  #whole(value: Value, type: "f32" | "i32"): Row {
    const rounded = this.#rounded;
    if (value.kind === "scalar") {
      const row = this.#temporary("value", type);
      this.#op(`fill.${type}`, row, { s: this.#scalarOf(value, type), n: String(rounded) }, []);
      return row;
    }
    if (rounded === this.#count) return value;
    const row = this.#temporary("value", type);
    this.#op(`fill.${type}`, row, { s: type === "f32" ? "0.0f" : "static_cast<int32_t>(0)", n: String(rounded) }, []);
    return this.#asRow(value, type, row);
  }

  #select(args: readonly ScalarExpr[], want: Row | undefined, type: "f32" | "i32"): Row {
    const [condition, yes, no] = args;
    if (!condition || !yes || !no) throw new IrError("select needs three operands", "Give all.");
    const direct = condition.kind === "apply" && /^(lt|le|eq)$/.test(condition.op) && !this.#isScalar(condition);
    const { mask, inverted } = direct ? this.#compare(condition) : this.#isTrue(this.#asTruth(condition));
    const [set, unset] = inverted ? [no, yes] : [yes, no];
    const [a, b] = [this.#asRow(this.#compute(set), type), this.#asRow(this.#compute(unset), type)];
    const result = this.#result(type, want, [a, b]);
    const as = (row: Row): string => (type === "i32" ? `${row.text}.ReinterpretCast<float>()` : row.text);
    this.#op("select.f32", result, { d: as(result), m: mask.name, a: as(a), b: as(b) }, [
      mask.name,
      a.resource,
      b.resource,
    ]);
    this.#to.release(mask);
    this.#freeOthers(result, [a, b]);
    return result;
  }

  /** The bits of a row of 1.0 and 0.0. */
  #isTrue(row: Row): { readonly mask: LocalVariable; readonly inverted: boolean } {
    const truth = this.#whole(row, "f32");
    const half = this.#whole({ kind: "scalar", text: "0.5f", type: "f32" }, "f32");
    const mask = this.#to.temporary("mask", "u8", Math.max(32, this.#rounded / 8));
    const n = String(this.#rounded);
    this.#op("lt.f32", maskRow(mask), { a: half.text, b: truth.text, n }, [half.resource, truth.resource]);
    this.#free(truth);
    this.#free(half);
    return { mask, inverted: false };
  }
}

const maskRow = (mask: LocalVariable): Row => ({
  kind: "row",
  text: mask.name,
  resource: mask.name,
  type: "i32",
  temporary: undefined,
});

const asInts = (row: Row): string => `${row.text}.ReinterpretCast<int32_t>()`;

const negated = (text: string): string =>
  /^-?[\d.]+f?$/.test(text) ? (text.startsWith("-") ? text.slice(1) : `-${text}`) : `-${atom(text)}`;
