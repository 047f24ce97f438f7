import type { ScalarExpr } from "../../../ir/core/scalar.ts";
import type { ElementType } from "../../../ir/core/types.ts";
import { sameView, viewShape } from "../../tile/shape.ts";
import type { Statement } from "../../tile/types.ts";
import { access, type Lowering, type Place } from "./lowering.ts";
import type { Access } from "./nodes.ts";
import { RowMap } from "./row-map.ts";
import { elementType, isScalarUnit } from "./scope.ts";

type MapStatement = Extract<Statement, { kind: "map" }>;

/** A map over tiles in UB as instructions of the vector unit, row by row where rows do not lie side by side. */
export function lowerMap(to: Lowering, s: MapStatement): void {
  const shape = viewShape(s.dst);
  if (shape.length === 0 && isScalarUnit(s.value) && !s.inputs.some((i) => viewShape(i.view).length > 0)) {
    const value = replaceElements(s);
    setElement(
      to,
      s.dst.base,
      s.dst.index.map((i) => (i.kind === "at" ? i.at : zero)),
      value,
    );
    return;
  }
  const dst = to.vectorPlace(s.dst);
  const columns = shape.at(-1) ?? 1;
  const inputs = s.inputs.map(({ name, view }) => ({ name, place: to.place(view), shape: viewShape(view) }));
  const flat = shape.length > 1 && [dst, ...inputs.map((i) => i.place)].every((p) => isDense(p, shape));
  const count = flat ? shape.reduce((a, b) => a * b, 1) : columns;
  const leading = flat ? [] : shape.slice(0, -1);
  to.rows(
    leading,
    (counters) => {
      const row = new RowMap(to, count);
      for (const { name, place, shape: own } of inputs) {
        const index = flat ? [] : indexOf(own, counters, leading.length);
        if (!flat && columns > 1 && (own.at(-1) ?? 1) === 1) row.bindElement(name, place, index);
        else row.bindRow(name, place, index);
      }
      row.into(s, dst, flat ? [] : counters);
    },
    s.inputs.every(({ view }) => view.base !== s.dst.base || sameView(view, s.dst)),
  );
}

const zero: ScalarExpr = { kind: "const", type: "i32", value: 0 };

/** The row counters of an input, which may have fewer dimensions, or 1 where the result has more. */
function indexOf(own: readonly number[], counters: readonly string[], leading: number): string[] {
  const skipped = leading + 1 - own.length;
  return own.slice(0, -1).map((extent, d) => (extent === 1 ? "0" : (counters[d + skipped] ?? "0")));
}

/** Whether a view is a whole tile without gaps between rows. */
function isDense(place: Place, shape: readonly number[]): boolean {
  if (place.kept.length !== shape.length || place.view.index.length !== shape.length) return false;
  let stride = 1;
  return place.kept.toReversed().every((k, i) => {
    const extent = shape[shape.length - 1 - i] ?? 1;
    const fits =
      k.extent === extent && k.positions === undefined && k.stride.constant === stride && k.start.toString() === "";
    stride *= extent;
    return fits;
  });
}

function replaceElements(s: MapStatement): ScalarExpr {
  const values = new Map(s.inputs.map((i) => [i.name, i.view]));
  const replace = (e: ScalarExpr): ScalarExpr => {
    if (e.kind === "apply") return { ...e, args: e.args.map(replace) };
    const view = e.kind === "var" ? values.get(e.name) : undefined;
    if (!view) return e;
    return {
      kind: "element",
      type: e.type,
      base: view.base,
      index: view.index.map((i) => (i.kind === "at" ? i.at : zero)),
    };
  };
  return replace(s.value);
}

/** base[index] = value by the scalar unit. */
export function setElement(to: Lowering, base: string, index: readonly ScalarExpr[], value: ScalarExpr): void {
  const reads: Access[] = [];
  const { name, offset, dtype } = to.scope.elementOf(base, index, reads);
  const text = to.scope.scalar(value, reads);
  const stored =
    dtype === "f32"
      ? text
      : dtype === "i32"
        ? value.kind === "const"
          ? text
          : `static_cast<int32_t>(${text})`
        : dtype === "bf16"
          ? `ToBfloat16(${text})`
          : `static_cast<${elementType(dtype, base)}>(${text})`;
  to.emit(`${name}.SetValue(${offset.alone}, ${stored});`, [...reads, access("S", name, true)]);
}

/** dst = src between tiles in UB of dtypes that may differ, row by row. */
export function lowerLocalCopy(to: Lowering, dst: Place, src: Place, shape: readonly number[]): void {
  const columns = shape.at(-1) ?? 1;
  const [d, s] = [to.vectorPlace(dst.view), to.vectorPlace(src.view)];
  const flat = isDense(d, shape) && isDense(s, shape);
  const count = flat ? shape.reduce((a, b) => a * b, 1) : columns;
  const leading = flat ? [] : shape.slice(0, -1);
  to.rows(leading, (counters) => {
    const [into, from] = [to.tensor(d, counters), to.tensor(s, counters)];
    convertRow(
      to,
      { text: into, dtype: d.dtype, resource: d.binding.name },
      { text: from, dtype: s.dtype, resource: s.binding.name },
      count,
    );
  });
}

interface RowOperand {
  readonly text: string;
  readonly dtype: ElementType;
  readonly resource: string;
}

function convertRow(to: Lowering, dst: RowOperand, src: RowOperand, count: number): void {
  const n = String(count);
  if (dst.dtype === src.dtype && dst.dtype !== "i8") {
    // As integers, which keep every bit; adding 0.0 would turn -0.0.
    const int = dst.dtype === "bf16" || dst.dtype === "f16" ? "i16" : "i32";
    const cast = dst.dtype === "i32" ? "" : `.ReinterpretCast<${int === "i16" ? "int16_t" : "int32_t"}>()`;
    const zeroText = int === "i16" ? "static_cast<int16_t>(0)" : "0";
    to.vector(
      `adds.${int}`,
      { d: `${dst.text}${cast}`, a: `${src.text}${cast}`, s: zeroText, n },
      [dst.resource],
      [src.resource],
    );
    return;
  }
  const direct = `cast.${src.dtype}.${dst.dtype}`;
  if (to.table.has(direct)) {
    to.vector(direct, { d: dst.text, a: src.text, n }, [dst.resource], [src.resource]);
    return;
  }
  if (dst.dtype === "i8" && src.dtype !== "f16") {
    // Only halves become bytes; whole numbers of a byte are halves too.
    const half = to.temporary("half_wide", "f16", count);
    convertRow(to, { text: half.name, dtype: "f16", resource: half.name }, src, count);
    to.vector("cast.f16.i8", { d: dst.text, a: half.name, n }, [dst.resource], [half.name]);
    to.release(half);
    return;
  }
  const wide = to.temporary("wide", "f32", count);
  to.vector(`cast.${src.dtype}.f32`, { d: wide.name, a: src.text, n }, [wide.name], [src.resource]);
  to.vector(`cast.f32.${dst.dtype}`, { d: dst.text, a: wide.name, n }, [dst.resource], [wide.name]);
  to.release(wide);
}
