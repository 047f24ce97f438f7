import { IrError } from "../../../ir/core/diagnostic.ts";
import { apply, type ScalarExpr, type ScalarType, variable } from "../../../ir/core/scalar.ts";
import { type DType, dtypeBytes } from "../../../ir/core/types.ts";
import type { Statement, View } from "../../tile/types.ts";
import type { InstructionTable } from "./isa.ts";
import { type LaneParameter, missingInstruction } from "./lanes.ts";
import { identifier, Names, plainName } from "./names.ts";
import { Offset } from "./offset.ts";
import { clamp, elementTypes, type ResolvedView, resolveView, type Scope, vectorTarget, vectorVariable, viewAddress } from "./scope.ts";

/** fill, copy and map in one form: every element of dst becomes a function of the elements of the inputs at its place. */
interface Elementwise {
  readonly dst: ResolvedView;
  readonly inputs: readonly { readonly name: string; readonly type: ScalarType; readonly view: ResolvedView }[];
  readonly value: ScalarExpr;
  /** Per dimension of dst: C text of the number of elements that exist in global memory. */
  readonly valid: readonly Offset[] | undefined;
  readonly shape: readonly number[];
}

const laneType = (dtype: DType): ScalarType => (dtype === "i32" ? "i32" : "f32");

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

function elementType(scope: Scope, view: View): DType {
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

/** A count that is used in several places gets a name, unless it is a constant. */
function hoistIndex(scope: Scope, expr: ScalarExpr): Offset {
  const offset = scope.index(expr);
  if (offset.known !== undefined) return offset;
  if (/^\w+$/.test(offset.toString())) return offset;
  const name = scope.names.unique("valid");
  scope.out.line(`const int64_t ${name} = ${offset};`);
  return Offset.text(name);
}

/** Whether a view has one element along the last dimension where dst has more. */
const isRepeated = (view: ResolvedView, width: number): boolean =>
  view.kept.length === 0 || (width > 1 && view.kept.at(-1)?.extent === 1);

/** The index of an operand's element for dst's index: aligned at the end, 0 where the operand repeats. */
const indexOf = (view: ResolvedView, index: readonly Offset[]): Offset[] =>
  view.kept.map((d, i) => (d.extent === 1 ? Offset.zero : (index[index.length - view.kept.length + i] ?? Offset.zero)));

/** The function that computes the value: scalars that no input enters are parameters, computed once. */
function prepareValue(scope: Scope, e: Elementwise, table: InstructionTable): (args: readonly string[]) => string {
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

/** Register tiles: every vector by itself, indices known. */
function emitUnrolled(scope: Scope, e: Elementwise): void {
  const { table } = scope.file;
  const { lanes } = table.isa;
  const compute = prepareValue(scope, e, table);
  const width = e.shape.at(-1) ?? 1;
  const rows = e.shape.slice(0, -1);
  for (const view of [e.dst, ...e.inputs.map((i) => i.view)]) {
    if (view.binding.kind === "memory" && !view.contiguous && !isRepeated(view, width)) {
      throw new IrError(
        `elements of ${view.view.base} do not lie side by side, but a register tile is computed with them`,
        `Copy ${view.view.base} into a tile whose last dimension they are.`,
      );
    }
  }
  for (const row of tuples(rows)) {
    const outer = row.map((r) => Offset.constant(r));
    const guards = row.flatMap((r, d) => {
      const count = e.valid?.[d];
      if (count === undefined || (rows[d] ?? 1) <= (count.known ?? 0)) return [];
      return [`${r} < ${count}`];
    });
    const guarded = guards.join(" && ");
    const body = (): void => {
      for (let c = 0; c < width; c += lanes) {
        const index = [...outer, Offset.constant(c)];
        const total = e.valid?.at(-1);
        const full = total === undefined || (total.known ?? 0) >= Math.min(width, c + lanes);
        if (isGlobal(e.dst) && total?.known !== undefined && total.known <= c) break;
        const rest = full ? "" : clamp(total.plus(Offset.constant(-c)).toString() || "0", lanes);
        const inMemory = (global: boolean): string | undefined => {
          if (!global) return undefined;
          if (e.dst.binding.kind === "memory" && e.dst.binding.global) return full ? undefined : rest;
          if (guarded === "") return full ? undefined : rest;
          return `${guarded} ? ${full ? lanes : rest} : 0`;
        };
        const args = e.inputs.map(({ view, type }) => {
          if (view.binding.kind === "vectors" && (lanes === 1 || !isRepeated(view, width))) return vectorVariable(view, indexOf(view, index), lanes);
          if (view.binding.kind === "vectors") {
            throw new IrError(`${view.view.base} is repeated along lanes but is a vector`, "Allocate it in scratch.");
          }
          const p = viewAddress(scope, view, indexOf(view, index));
          const n = inMemory(view.binding.global);
          const { dtype } = view.binding;
          if (isRepeated(view, width)) {
            const one = scope.loadScalar(p, dtype);
            const text = n === undefined ? one : `${guarded || "true"} ? ${one} : 0`;
            return table.text(`broadcast.${type}`, { a: text });
          }
          return n === undefined ? table.text(`load.${dtype}`, { p }) : table.text(`load_partial.${dtype}`, { p, n });
        });
        const value = compute(args);
        if (e.dst.binding.kind === "vectors") scope.out.line(`${vectorTarget(scope, e.dst, indexOf(e.dst, index))} = ${value};`);
        else {
          const p = viewAddress(scope, e.dst, indexOf(e.dst, index));
          const { dtype, global } = e.dst.binding;
          const n = inMemory(global);
          const store = n === undefined ? table.text(`store.${dtype}`, { p, a: value }) : table.text(`store_partial.${dtype}`, { p, n, a: value });
          scope.out.line(`${store};`);
        }
      }
    };
    const skips = guarded !== "" && e.dst.binding.kind === "memory" && e.dst.binding.global;
    if (skips) scope.out.block(`if (${guarded})`, body);
    else body();
  }
}

/** Memory: loops over the leading dimensions, vectors along the last, the remainder with partial loads and stores. */
function emitVectors(scope: Scope, e: Elementwise): void {
  const { table } = scope.file;
  const { lanes } = table.isa;
  const { out, names } = scope;
  const width = e.shape.at(-1) ?? 1;
  const dstGlobal = isGlobal(e.dst);
  const compute = prepareValue(scope, e, table);
  loopNest(scope, e, (outer, guard) => {
    const total = e.valid?.at(-1);
    const partial = total !== undefined && !((total.known ?? 0) >= width);
    let inside = partial ? clamp(total.toString(), width) : String(width);
    if (guard !== "" && !dstGlobal) inside = `${guard} ? ${inside} : 0`;
    if (!/^\w+$/.test(inside)) {
      const name = names.unique("inside");
      out.line(`const int64_t ${name} = ${inside};`);
      inside = name;
    }
    // Elements outside are written only to local memory.
    const end = dstGlobal ? inside : String(width);
    const pointer = (view: ResolvedView): string => {
      const address = viewAddress(scope, view, indexOf(view, [...outer, Offset.zero]));
      if (address.offset === "") return address.base;
      const name = names.unique(`${identifier(view.view.base)}_row`);
      const qualifier = view === e.dst ? "" : "const ";
      out.line(`${qualifier}${elementTypes[view.binding.dtype]} *const ${name} = ${address.base} + ${address.offset};`);
      return name;
    };
    const reads = e.inputs.map(({ view, type }) => {
      if (!isRepeated(view, width)) return { view, type, base: pointer(view) };
      const address = viewAddress(scope, view, indexOf(view, [...outer, Offset.zero]));
      const global = view.binding.kind === "memory" && view.binding.global;
      const one = scope.loadScalar(address, view.binding.dtype);
      const name = names.unique(`${identifier(view.view.base)}_lanes`);
      const text = global && !dstGlobal && inside !== String(width) ? `${inside} > 0 ? ${one} : 0` : one;
      out.line(`const ${table.isa.types[type]} ${name} = ${table.text(`broadcast.${type}`, { a: text })};`);
      return { view, type, base: name };
    });
    const base = pointer(e.dst);
    const column = names.unique("c");
    const step = (count: { readonly inside: string; readonly local: string } | undefined): string => {
      const args = reads.map(({ view, base }) => {
        if (isRepeated(view, width)) return base;
        const p = { base, offset: column };
        const { dtype } = view.binding;
        if (!count) return table.text(`load.${dtype}`, { p });
        const global = view.binding.kind === "memory" && view.binding.global;
        return table.text(`load_partial.${dtype}`, { p, n: global ? count.inside : count.local });
      });
      const a = compute(args);
      const p = { base, offset: column };
      const { dtype } = e.dst.binding;
      if (!count) return `${table.text(`store.${dtype}`, { p, a })};`;
      return `${table.text(`store_partial.${dtype}`, { p, a, n: count.local })};`;
    };
    const exact = inside === String(width) && width % lanes === 0;
    if (exact) {
      out.block(`for (int64_t ${column} = 0; ${column} < ${width}; ${column} += ${lanes})`, () => out.line(step(undefined)));
      return;
    }
    out.line(`int64_t ${column} = 0;`);
    out.block(`for (; ${column} + ${lanes} <= ${inside}; ${column} += ${lanes})`, () => out.line(step(undefined)));
    out.block(`for (; ${column} < ${end}; ${column} += ${lanes})`, () => {
      const local = names.unique("lanes");
      out.line(`const int64_t ${local} = unmoor_clamp(${end} - ${column}, ${lanes});`);
      if (inside === end) out.line(step({ inside: local, local }));
      else {
        const known = names.unique("known");
        out.line(`const int64_t ${known} = unmoor_clamp(${inside} - ${column}, ${lanes});`);
        out.line(step({ inside: known, local }));
      }
    });
  });
}

/** One element after the other: where elements do not lie side by side, or an instruction is missing. */
function emitScalars(scope: Scope, e: Elementwise): void {
  const { out, names } = scope;
  const dstGlobal = isGlobal(e.dst);
  const compute = prepareValue(scope, e, scope.file.scalars);
  const width = e.shape.at(-1) ?? 1;
  loopNest(scope, e, (outer, rowGuard) => {
    const total = e.valid?.at(-1);
    const partial = total !== undefined && !((total.known ?? 0) >= width);
    const write = (index: readonly Offset[], guard: string): void => {
      const args = e.inputs.map(({ view }) => {
        const one = scope.loadScalar(viewAddress(scope, view, indexOf(view, index)), view.binding.dtype);
        const global = view.binding.kind === "memory" && view.binding.global;
        return global && guard !== "" ? `(${guard} ? ${one} : 0)` : one;
      });
      const address = viewAddress(scope, e.dst, indexOf(e.dst, index));
      out.line(scope.storeScalar(address, e.dst.binding.dtype, compute(args)));
    };
    if (width === 1 && !partial) {
      write([...outer, Offset.zero], dstGlobal ? "" : rowGuard);
      return;
    }
    const column = names.unique("c");
    const end = partial && dstGlobal ? clamp(total.toString(), width) : String(width);
    const guards = dstGlobal ? [] : [rowGuard, partial ? `${column} < ${total}` : ""].filter((g) => g !== "");
    out.block(`for (int64_t ${column} = 0; ${column} < ${end}; ${column}++)`, () =>
      write([...outer, Offset.text(column)], guards.join(" && ")),
    );
  });
}

/** A copy within one dtype moves bits. */
function emitMove(scope: Scope, dst: ResolvedView, src: ResolvedView, valid: readonly ScalarExpr[] | undefined): void {
  const { out, names } = scope;
  const shape = dst.kept.length === 0 ? [1] : dst.kept.map((d) => d.extent);
  const width = shape.at(-1) ?? 1;
  const e = { dst, shape, valid: valid?.map((v) => hoistIndex(scope, v)) };
  const dstGlobal = isGlobal(dst);
  const text = (view: ResolvedView, index: readonly Offset[]): string => {
    const { base, offset } = viewAddress(scope, view, indexOf(view, index));
    return `${base}[${offset || "0"}]`;
  };
  loopNest(scope, e, (outer, guard) => {
    const total = e.valid?.at(-1);
    const partial = total !== undefined && !((total.known ?? 0) >= width);
    let inside = partial ? clamp(total.toString(), width) : String(width);
    if (guard !== "" && isGlobal(src)) inside = `${guard} ? ${inside} : 0`;
    if (!/^\w+$/.test(inside)) {
      const name = names.unique("inside");
      out.line(`const int64_t ${name} = ${inside};`);
      inside = name;
    }
    const zeros = !dstGlobal && inside !== String(width);
    if (dst.contiguous && src.contiguous && width >= 16) {
      const [to, from] = [text(dst, [...outer, Offset.zero]), text(src, [...outer, Offset.zero])];
      const bytes = dtypeBytes[dst.binding.dtype];
      out.line(`memcpy(&${to}, &${from}, (size_t)${inside} * ${bytes});`);
      if (zeros) out.line(`memset(&${to} + ${inside}, 0, (size_t)(${width} - ${inside}) * ${bytes});`);
      return;
    }
    const one = (column: Offset, condition: string): void => {
      const index = [...outer, column];
      const from = text(src, index);
      out.line(`${text(dst, index)} = ${condition === "" ? from : `${condition} ? ${from} : 0`};`);
    };
    if (width === 1 && (inside === "1" || zeros)) one(Offset.zero, zeros ? `${inside} > 0` : "");
    else {
      const column = names.unique("c");
      out.block(`for (int64_t ${column} = 0; ${column} < ${zeros ? width : inside}; ${column}++)`, () =>
        one(Offset.text(column), zeros ? `${column} < ${inside}` : ""),
      );
    }
  });
}

const isGlobal = (view: ResolvedView): boolean => view.binding.kind === "memory" && view.binding.global;

/** Loops over all dimensions but the last. `guard`: the condition under which the row exists in global memory, if it may not. */
function loopNest(scope: Scope, e: Pick<Elementwise, "dst" | "shape" | "valid">, body: (outer: readonly Offset[], guard: string) => void): void {
  const dstGlobal = isGlobal(e.dst);
  const level = (d: number, outer: readonly Offset[], guards: readonly string[]): void => {
    if (d === e.shape.length - 1) {
      body(outer, guards.join(" && "));
      return;
    }
    const extent = e.shape[d] ?? 1;
    const count = e.valid?.[d];
    const partial = count !== undefined && !((count.known ?? 0) >= extent);
    if (extent === 1 && !partial) {
      level(d + 1, [...outer, Offset.zero], guards);
      return;
    }
    const name = scope.names.unique(["i", "j", "l", "m"][d] ?? "i");
    const end = partial && dstGlobal ? clamp(count.toString(), extent) : String(extent);
    const guard = partial && !dstGlobal ? [`${name} < ${count}`] : [];
    scope.out.block(`for (int64_t ${name} = 0; ${name} < ${end}; ${name}++)`, () =>
      level(d + 1, [...outer, Offset.text(name)], [...guards, ...guard]),
    );
  };
  const wrap = e.shape.length > 1 ? (f: () => void) => f() : (f: () => void) => scope.out.block("", f);
  wrap(() => level(0, [], []));
}

/** All index tuples of a shape, in row-major order. */
export function* tuples(shape: readonly number[]): Generator<number[]> {
  const [first, ...rest] = shape;
  if (first === undefined) {
    yield [];
    return;
  }
  for (let i = 0; i < first; i++) for (const tail of tuples(rest)) yield [i, ...tail];
}
