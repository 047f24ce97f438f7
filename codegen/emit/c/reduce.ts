import { IrError } from "../../../ir/core/diagnostic.ts";
import { isFloat } from "../../../ir/core/types.ts";
import type { Statement } from "../../tile/types.ts";
import { Offset } from "../c-family/offset.ts";
import { tuples } from "./elementwise-unrolled.ts";
import { literal } from "./isa.ts";
import { resolveView, type Scope, vectorVariable, viewAddress } from "./scope.ts";

type Reduce = Extract<Statement, { kind: "reduce" }>;

/** Per operation: the instruction that joins two, the one that joins the lanes, and what an empty row gives. */
const reductions = {
  sum: { join: "add", across: "reduce_add", empty: 0 },
  max: { join: "max", across: "reduce_max", empty: Number.NEGATIVE_INFINITY },
} satisfies Record<Reduce["op"], { readonly join: "add" | "max"; readonly across: string; readonly empty: number }>;

/** dst[...] = sum or max of src over its last dimension, in an order that depends on nothing but the shape and the variant. */
export function emitReduce(scope: Scope, s: Reduce): void {
  const src = resolveView(scope, s.src);
  const dst = resolveView(scope, s.dst);
  const { table, scalars } = scope.file;
  const { lanes, types } = table.isa;
  const { join, across, empty } = reductions[s.op];
  const { out, names } = scope;
  const width = src.kept.at(-1)?.extent ?? 1;
  const type = isFloat(src.binding.dtype) ? "f32" : "i32";
  const scalarType = type === "i32" ? "int64_t" : "float";
  const rows = src.kept.slice(0, -1).map((d) => d.extent);
  if (dst.binding.kind !== "memory") {
    throw new IrError(`reduce writes ${s.dst.base}, which is held in vectors`, `Allocate ${s.dst.base} in scratch.`);
  }
  const store = (index: readonly Offset[], value: string): void => {
    const target = dst.kept.map((_, i) => index[i] ?? Offset.zero);
    out.line(scope.storeScalar(viewAddress(scope, dst, target), dst.binding.dtype, value));
  };
  if (src.binding.kind === "vectors") {
    for (const row of tuples(rows)) {
      const index = row.map((r) => Offset.constant(r));
      const vectors: string[] = [];
      for (let c = 0; c < width; c += lanes) vectors.push(vectorVariable(src, [...index, Offset.constant(c)], lanes));
      let [total = ""] = vectors;
      if (vectors.length > 2) {
        const name = names.unique(`${s.op}s`);
        out.line(`${types[type]} ${name} = ${total};`);
        for (const b of vectors.slice(1)) out.line(`${name} = ${table.text(`${join}.${type}`, { a: name, b })};`);
        total = name;
      } else if (vectors[1] !== undefined) total = table.text(`${join}.${type}`, { a: total, b: vectors[1] });
      store(index, lanes === 1 ? total : table.text(`${across}.${type}`, { a: total }));
    }
    return;
  }
  const start = type === "i32" && s.op === "max" ? "INT32_MIN" : literal(type, empty);
  const level = (index: readonly Offset[]): void => {
    const extent = rows[index.length];
    if (extent !== undefined) {
      if (extent === 1) {
        level([...index, Offset.zero]);
        return;
      }
      const name = names.unique("i");
      out.block(`for (int64_t ${name} = 0; ${name} < ${extent}; ${name}++)`, () =>
        level([...index, Offset.text(name)]),
      );
      return;
    }
    const total = names.unique(s.op);
    const column = names.unique("c");
    const vectors = lanes > 1 && src.contiguous && width >= 2 * lanes && type === "f32";
    const at = (c: Offset) => viewAddress(scope, src, [...index, c]);
    const whole = vectors ? Math.floor(width / lanes) * lanes : 0;
    if (vectors) {
      const partial = names.unique(`${s.op}s`);
      out.line(`${types[type]} ${partial} = ${table.text(`load.${src.binding.dtype}`, { p: at(Offset.zero) })};`);
      out.block(`for (int64_t ${column} = ${lanes}; ${column} < ${whole}; ${column} += ${lanes})`, () => {
        const b = table.text(`load.${src.binding.dtype}`, { p: at(Offset.text(column)) });
        out.line(`${partial} = ${table.text(`${join}.${type}`, { a: partial, b })};`);
      });
      out.line(`${scalarType} ${total} = ${table.text(`${across}.${type}`, { a: partial })};`);
    } else out.line(`${scalarType} ${total} = ${start};`);
    if (whole < width) {
      out.block(`for (int64_t ${column} = ${whole}; ${column} < ${width}; ${column}++)`, () => {
        const b = scope.loadScalar(at(Offset.text(column)), src.binding.dtype);
        out.line(`${total} = ${scalars.text(`${join}.${type}`, { a: total, b })};`);
      });
    }
    store(index, total);
  };
  out.block("", () => level([]));
}
