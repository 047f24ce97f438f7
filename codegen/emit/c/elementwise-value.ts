import { apply, type ScalarExpr, type ScalarType, variable } from "../../../ir/core/scalar.ts";
import { Names, plainName } from "../c-family/names.ts";
import { Offset } from "../c-family/offset.ts";
import type { InstructionTable } from "./isa.ts";
import type { LaneParameter } from "./lanes.ts";
import type { ResolvedView, Scope } from "./scope.ts";

/** fill, copy and map in one form: every element of dst becomes a function of the elements of the inputs at its place. */
export interface Elementwise {
  readonly dst: ResolvedView;
  readonly inputs: readonly { readonly name: string; readonly type: ScalarType; readonly view: ResolvedView }[];
  readonly value: ScalarExpr;
  /** Per dimension of dst: C text of the number of elements that exist in global memory. */
  readonly valid: readonly Offset[] | undefined;
  readonly shape: readonly number[];
}

/** A count that is used in several places gets a name, unless it is a constant. */
export function hoistIndex(scope: Scope, expr: ScalarExpr): Offset {
  const offset = scope.index(expr);
  if (offset.known !== undefined) return offset;
  if (/^\w+$/.test(offset.toString())) return offset;
  const name = scope.names.unique("valid");
  scope.out.line(`const int64_t ${name} = ${offset.alone};`);
  return Offset.text(name);
}

/** Whether a view has one element along the last dimension where dst has more. */
export const isRepeated = (view: ResolvedView, width: number): boolean =>
  view.kept.length === 0 || (width > 1 && view.kept.at(-1)?.extent === 1);

/** The index of an operand's element for dst's index: aligned at the end, 0 where the operand repeats. */
export const indexOf = (view: ResolvedView, index: readonly Offset[]): Offset[] =>
  view.kept.map((d, i) => (d.extent === 1 ? Offset.zero : (index[index.length - view.kept.length + i] ?? Offset.zero)));

export const isGlobal = (view: ResolvedView): boolean => view.binding.kind === "memory" && view.binding.global;

/** The function that computes the value: scalars that no input enters are parameters, computed once. */
export function prepareValue(
  scope: Scope,
  e: Elementwise,
  table: InstructionTable,
): (args: readonly string[]) => string {
  const inputNames = new Map(e.inputs.map((i) => [i.name, i]));
  const usesInput = (x: ScalarExpr): boolean =>
    x.kind === "var" ? inputNames.has(x.name) : x.kind === "apply" ? x.args.some(usesInput) : false;
  const uniform: { readonly param: LaneParameter; readonly text: string }[] = [];
  const parameters = new Names();
  const renamed = new Map(e.inputs.map((i) => [i.name, parameters.unique(plainName(i.name))]));
  const split = (x: ScalarExpr): ScalarExpr => {
    if (x.kind === "const") return x;
    if (x.kind === "var" && inputNames.has(x.name)) return variable(renamed.get(x.name) ?? x.name, x.type);
    if (x.kind === "apply" && usesInput(x)) return apply(x.op, ...x.args.map(split));
    const text = scope.scalar(x);
    const known = uniform.find((u) => u.text === text && u.param.type === x.type);
    if (known) return variable(known.param.name, x.type);
    const name = parameters.unique(x.kind === "var" ? plainName(x.name) : "scalar");
    const param = { name, type: x.type, uniform: true };
    uniform.push({ param, text });
    return variable(param.name, x.type);
  };
  const expr = split(e.value);
  if (expr.kind === "const") {
    const text = table.text(`broadcast.${expr.type}`, { a: scope.scalar(expr) });
    return () => text;
  }
  if (expr.kind === "var" && e.inputs.length > 0 && uniform.length === 0) {
    const at = e.inputs.findIndex((i) => renamed.get(i.name) === expr.name);
    return (args) => args[at] ?? "";
  }
  const scalars = uniform.map(({ param, text }) => {
    if (/^-?[\w.]+$/.test(text)) return text;
    const name = scope.names.unique("scalar");
    scope.out.line(`const ${scalarTypes[param.type]} ${name} = ${text};`);
    return name;
  });
  if (expr.kind === "var") {
    const [text = ""] = scalars;
    const value = table.text(`broadcast.${expr.type}`, { a: text });
    return () => value;
  }
  const params = [
    ...e.inputs.map((i) => ({ name: renamed.get(i.name) ?? i.name, type: i.type, uniform: false })),
    ...uniform.map((u) => u.param),
  ];
  const isSingle = expr.kind === "apply" && expr.args.every((a) => a.kind === "var") && uniform.length === 0;
  const { functions } = scope.file;
  if (isSingle && expr.kind === "apply") {
    const op = `${expr.op}.${expr.args[expr.op === "select" ? 1 : 0]?.type}`;
    if (table.has(op)) {
      const places = expr.args.map((a) => (a.kind === "var" ? params.findIndex((p) => p.name === a.name) : -1));
      return (args) => {
        const [a = "", b = "", c = ""] = places.map((at) => args[at] ?? "");
        return table.text(op, { a, b, c });
      };
    }
  }
  const name = functions.define(`${scope.kernel}_value`, expr, params, table);
  return (args) => `${name}(${[...args, ...scalars].join(", ")})`;
}

const scalarTypes: Readonly<Record<ScalarType, string>> = { f32: "float", i32: "int64_t", bool: "bool" };
