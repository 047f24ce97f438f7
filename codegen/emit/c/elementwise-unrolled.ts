import { IrError } from "../../../ir/core/diagnostic.ts";
import { Offset } from "../c-family/offset.ts";
import { type Elementwise, indexOf, isGlobal, isRepeated, prepareValue } from "./elementwise-value.ts";
import { clamp, type Scope, vectorTarget, vectorVariable, viewAddress } from "./scope.ts";

/** Register tiles: every vector by itself, indices known. */
export function emitUnrolled(scope: Scope, e: Elementwise): void {
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
        const rest = full ? "" : clamp(total.plus(Offset.constant(-c)).alone, lanes);
        const inMemory = (global: boolean): string | undefined => {
          if (!global) return undefined;
          if (e.dst.binding.kind === "memory" && e.dst.binding.global) return full ? undefined : rest;
          if (guarded === "") return full ? undefined : rest;
          return `${guarded} ? ${full ? lanes : rest} : 0`;
        };
        const args = e.inputs.map(({ view, type }) => {
          if (view.binding.kind === "vectors" && (lanes === 1 || !isRepeated(view, width)))
            return vectorVariable(view, indexOf(view, index), lanes);
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
        if (e.dst.binding.kind === "vectors")
          scope.out.line(`${vectorTarget(scope, e.dst, indexOf(e.dst, index))} = ${value};`);
        else {
          const p = viewAddress(scope, e.dst, indexOf(e.dst, index));
          const { dtype, global } = e.dst.binding;
          const n = inMemory(global);
          const store =
            n === undefined
              ? table.text(`store.${dtype}`, { p, a: value })
              : table.text(`store_partial.${dtype}`, { p, n, a: value });
          scope.out.line(`${store};`);
        }
      }
    };
    const skips = guarded !== "" && e.dst.binding.kind === "memory" && e.dst.binding.global;
    if (skips) scope.out.block(`if (${guarded})`, body);
    else body();
  }
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
