import { IrError } from "../../../ir/core/diagnostic.ts";
import { apply, type ScalarExpr, type ScalarType, variable } from "../../../ir/core/scalar.ts";
import { type ElementType, isFloatElement } from "../../../ir/core/types.ts";
import type { Statement, View } from "../../tile/types.ts";
import { emitMove, emitScalars, emitVectors } from "./elementwise-loops.ts";
import { emitUnrolled } from "./elementwise-unrolled.ts";
import { type Elementwise, hoistIndex, isRepeated } from "./elementwise-value.ts";
import { missingInstruction } from "./lanes.ts";
import { resolveView, type Scope } from "./scope.ts";

const laneType = (dtype: ElementType): ScalarType => (isFloatElement(dtype) ? "f32" : "i32");

export function emitFill(scope: Scope, s: Extract<Statement, { kind: "fill" }>): void {
  emit(scope, s.dst, [], s.value, undefined);
}

export function emitMap(scope: Scope, s: Extract<Statement, { kind: "map" }>): void {
  emit(scope, s.dst, s.inputs, s.value, s.valid);
}

export function emitCopy(scope: Scope, s: Extract<Statement, { kind: "copy" }>): void {
  const from = laneType(elementType(scope, s.src));
  const to = laneType(elementType(scope, s.dst));
  const read = variable("value", from);
  const src = resolveView(scope, s.src);
  const dst = resolveView(scope, s.dst);
  if (src.binding.kind === "memory" && dst.binding.kind === "memory" && src.binding.dtype === dst.binding.dtype) {
    emitMove(scope, dst, src, s.valid);
    return;
  }
  const value = from === to ? read : apply(from === "i32" ? "toFloat" : "toInt", read);
  emit(scope, s.dst, [{ name: "value", view: s.src }], value, s.valid);
}

function elementType(scope: Scope, view: View): ElementType {
  const binding = scope.lookup(view.base);
  if (binding.kind === "scalar") throw new IrError(`${view.base} is a scalar, not a buffer or tile`, "View a tile.");
  return binding.dtype;
}

function emit(
  scope: Scope,
  dstView: View,
  inputViews: readonly { readonly name: string; readonly view: View }[],
  value: ScalarExpr,
  valid: readonly ScalarExpr[] | undefined,
): void {
  const dst = resolveView(scope, dstView);
  const inputs = inputViews.map(({ name, view }) => {
    const resolved = resolveView(scope, view);
    return { name, view: resolved, type: laneType(resolved.binding.dtype) };
  });
  if (value.type !== laneType(dst.binding.dtype)) {
    throw new IrError(
      `a ${value.type} value is written to ${dstView.base}, whose elements are ${dst.binding.dtype}`,
      "Convert the value with toFloat or toInt.",
    );
  }
  const e: Elementwise = {
    dst,
    inputs,
    value,
    valid: valid?.map((v) => hoistIndex(scope, v)),
    shape: dst.kept.length === 0 ? [1] : dst.kept.map((d) => d.extent),
  };
  const { table } = scope.file;
  const views = [dst, ...inputs.map((i) => i.view)];
  const missing = missingInstruction(value, table);
  if (views.some((v) => v.binding.kind === "vectors")) {
    if (missing !== undefined) table.text(missing, {}); // throws, naming the operation
    emitUnrolled(scope, e);
    return;
  }
  const width = e.shape.at(-1) ?? 1;
  const sideBySide = views.every((v) => v.contiguous || (v !== dst && isRepeated(v, width)));
  if (table.isa.lanes > 1 && width >= table.isa.lanes && sideBySide && missing === undefined) emitVectors(scope, e);
  else {
    if (missing !== undefined) scope.out.line(`/* one by one: ${table.isa.name} has no instruction for ${missing} */`);
    emitScalars(scope, e);
  }
}
