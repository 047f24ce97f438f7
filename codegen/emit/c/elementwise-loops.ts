import type { ScalarExpr } from "../../../ir/core/scalar.ts";
import { dtypeBytes } from "../../../ir/core/types.ts";
import { identifier } from "../c-family/names.ts";
import { Offset } from "../c-family/offset.ts";
import { type Elementwise, hoistIndex, indexOf, isGlobal, isRepeated, prepareValue } from "./elementwise-value.ts";
import { clamp, elementTypes, type ResolvedView, type Scope, viewAddress } from "./scope.ts";

/** Memory: loops over the leading dimensions, vectors along the last, the remainder with partial loads and stores. */
export function emitVectors(scope: Scope, e: Elementwise): void {
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
      out.block(`for (int64_t ${column} = 0; ${column} < ${width}; ${column} += ${lanes})`, () =>
        out.line(step(undefined)),
      );
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
export function emitScalars(scope: Scope, e: Elementwise): void {
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
export function emitMove(
  scope: Scope,
  dst: ResolvedView,
  src: ResolvedView,
  valid: readonly ScalarExpr[] | undefined,
): void {
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

/** Loops over all dimensions but the last. `guard`: the condition under which the row exists in global memory, if it may not. */
function loopNest(
  scope: Scope,
  e: Pick<Elementwise, "dst" | "shape" | "valid">,
  body: (outer: readonly Offset[], guard: string) => void,
): void {
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
