import type { Statement } from "../../tile/types.ts";
import { Offset } from "../c-family/offset.ts";
import type { Product } from "./product.ts";
import { type KeptDim, type Scope, viewAddress } from "./scope.ts";

type Mma = Extract<Statement, { kind: "mma" }>;

/** Whether neighbours along a dimension are neighbours in memory. */
const isSideBySide = (dim: KeptDim | undefined): boolean =>
  dim !== undefined && dim.stride.constant === 1 && dim.positions === undefined;

/** acc += a·bᵀ with sums in memory, in blocks of vector sums. The order of additions depends on nothing but the shape and the variant. */
export function emitMemoryProduct(scope: Scope, s: Mma, product: Product): void {
  const { lanes } = scope.file.table.isa;
  const { acc, a, b, columns, depth } = product;
  const local = acc.binding.kind === "memory" && acc.binding.dtype === "f32";
  if (local && lanes > 1 && columns >= lanes && isSideBySide(acc.kept[1]) && isSideBySide(b.kept[0]))
    emitColumns(scope, s, product);
  else if (local && lanes > 1 && depth >= lanes && isSideBySide(a.kept[1]) && isSideBySide(b.kept[1]))
    emitDots(scope, s, product);
  else emitScalars(scope, s, product);
}

/**
 * Calls `body` for blocks of rows: those that are whole in a loop, the rest as one block, or row by row where their number is
 * known at run time only.
 */
function rowBlocks(
  scope: Scope,
  s: Mma,
  { rows }: Product,
  size: number,
  body: (row: Offset, count: number) => void,
): void {
  const { out, names } = scope;
  const m = names.unique("m");
  const known = s.rows === undefined ? Offset.constant(rows) : scope.index(s.rows);
  if (known.known !== undefined) {
    const count = Math.max(0, Math.min(known.known, rows));
    const whole = count - (count % size);
    if (whole > size)
      out.block(`for (int64_t ${m} = 0; ${m} < ${whole}; ${m} += ${size})`, () => body(Offset.text(m), size));
    else if (whole === size) out.block("", () => body(Offset.zero, size));
    if (whole < count) out.block("", () => body(Offset.constant(whole), count - whole));
    return;
  }
  const limit = names.unique("rows");
  out.line(`const int64_t ${limit} = unmoor_clamp(${known}, ${rows});`);
  out.line(`int64_t ${m} = 0;`);
  if (rows >= size) out.block(`for (; ${m} + ${size} <= ${limit}; ${m} += ${size})`, () => body(Offset.text(m), size));
  out.block(`for (; ${m} < ${limit}; ${m}++)`, () => body(Offset.text(m), 1));
}

/** Blocks along a dimension whose size is known: whole ones in a loop, then the rest. */
function blocks(
  scope: Scope,
  hint: string,
  size: number,
  step: number,
  body: (at: Offset, count: number) => void,
): void {
  const whole = size - (size % step);
  const at = scope.names.unique(hint);
  if (whole > step)
    scope.out.block(`for (int64_t ${at} = 0; ${at} < ${whole}; ${at} += ${step})`, () => body(Offset.text(at), step));
  else if (whole === step) scope.out.block("", () => body(Offset.zero, step));
  if (whole < size) scope.out.block("", () => body(Offset.constant(whole), size - whole));
}

/** Columns side by side: vectors of sums of neighbouring columns are loaded, go through all steps of k, and are stored. */
function emitColumns(scope: Scope, s: Mma, product: Product): void {
  const { out, names } = scope;
  const { table } = scope.file;
  const { lanes, types } = table.isa;
  const { acc, a, b, columns, depth } = product;
  const [aType, bType] = [a, b].map((v) => v.binding.dtype);
  // Two column vectors, their sums, and a broadcast fit 32 registers, or 16.
  const size = lanes >= 16 ? 8 : 4;
  out.block("", () =>
    rowBlocks(scope, s, product, size, (row, count) =>
      blocks(scope, "n", columns, 2 * lanes, (column, width) => {
        const parts = Array.from({ length: Math.ceil(width / lanes) }, (_, v) => ({
          at: column.plus(Offset.constant(v * lanes)),
          rest: Math.min(lanes, width - v * lanes),
        }));
        const load = (type: string, p: ReturnType<typeof viewAddress>, rest: number): string =>
          rest === lanes
            ? table.text(`load.${type}`, { p })
            : table.text(`load_partial.${type}`, { p, n: String(rest) });
        const sums = Array.from({ length: count }, (_, i) =>
          parts.map(({ at, rest }) => {
            const name = names.unique("sum");
            const p = viewAddress(scope, acc, [row.plus(Offset.constant(i)), at]);
            out.line(`${types.f32} ${name} = ${load("f32", p, rest)};`);
            return name;
          }),
        );
        const k = names.unique("k");
        out.block(`for (int64_t ${k} = 0; ${k} < ${depth}; ${k}++)`, () => {
          const vectors = parts.map(({ at, rest }) => {
            const name = names.unique("w");
            const p = viewAddress(scope, b, [at, Offset.text(k)]);
            out.line(`const ${types.f32} ${name} = ${load(bType as string, p, rest)};`);
            return name;
          });
          sums.forEach((own, i) => {
            const name = names.unique("x");
            const p = viewAddress(scope, a, [row.plus(Offset.constant(i)), Offset.text(k)]);
            out.line(`const ${types.f32} ${name} = ${table.text(`broadcast_load.${aType}`, { p })};`);
            own.forEach((sum, v) => {
              out.line(`${sum} = ${table.text("fma.f32", { a: name, b: vectors[v] ?? "", c: sum })};`);
            });
          });
        });
        sums.forEach((own, i) => {
          own.forEach((sum, v) => {
            const part = parts[v];
            if (!part) return;
            const p = viewAddress(scope, acc, [row.plus(Offset.constant(i)), part.at]);
            const n = String(part.rest);
            const store =
              part.rest === lanes
                ? table.text("store.f32", { p, a: sum })
                : table.text("store_partial.f32", { p, n, a: sum });
            out.line(`${store};`);
          });
        });
      }),
    ),
  );
}

/** Steps of k side by side: vectors of partial sums go through k, and their lanes are added at the end. */
function emitDots(scope: Scope, s: Mma, product: Product): void {
  const { out, names } = scope;
  const { table } = scope.file;
  const { lanes, types } = table.isa;
  const { acc, a, b, columns, depth } = product;
  const [aType, bType] = [a, b].map((v) => v.binding.dtype);
  const whole = depth - (depth % lanes);
  out.block("", () =>
    rowBlocks(scope, s, product, lanes >= 16 ? 4 : 2, (row, count) =>
      blocks(scope, "n", columns, 4, (column, width) => {
        const rowOf = (i: number): Offset => row.plus(Offset.constant(i));
        const columnOf = (j: number): Offset => column.plus(Offset.constant(j));
        const zero = table.text("broadcast.f32", { a: "0.0f" });
        const sums = Array.from({ length: count }, () =>
          Array.from({ length: width }, () => {
            const name = names.unique("sum");
            out.line(`${types.f32} ${name} = ${zero};`);
            return name;
          }),
        );
        const step = (at: Offset, rest: number): void => {
          const load = (type: string | undefined, p: ReturnType<typeof viewAddress>): string =>
            rest === lanes
              ? table.text(`load.${type}`, { p })
              : table.text(`load_partial.${type}`, { p, n: String(rest) });
          const vectors = Array.from({ length: width }, (_, j) => {
            const name = names.unique("w");
            out.line(`const ${types.f32} ${name} = ${load(bType, viewAddress(scope, b, [columnOf(j), at]))};`);
            return name;
          });
          sums.forEach((own, i) => {
            const name = names.unique("x");
            out.line(`const ${types.f32} ${name} = ${load(aType, viewAddress(scope, a, [rowOf(i), at]))};`);
            own.forEach((sum, j) => {
              out.line(`${sum} = ${table.text("fma.f32", { a: name, b: vectors[j] ?? "", c: sum })};`);
            });
          });
        };
        const k = names.unique("k");
        out.block(`for (int64_t ${k} = 0; ${k} < ${whole}; ${k} += ${lanes})`, () => step(Offset.text(k), lanes));
        if (whole < depth) out.block("", () => step(Offset.constant(whole), depth - whole));
        const totals = across(scope, sums.flat());
        sums.forEach((own, i) => {
          own.forEach((_, j) => {
            const p = viewAddress(scope, acc, [rowOf(i), columnOf(j)]);
            const total = `${scope.loadScalar(p, "f32")} + ${totals[i * own.length + j]}`;
            out.line(scope.storeScalar(p, "f32", total));
          });
        });
      }),
    ),
  );
}

/**
 * The sum of each vector's lanes, as text. Of as many vectors as there are lanes, neighbours are added again and again, until one vector
 * holds all sums: far fewer instructions than one sum after the other.
 */
function across(scope: Scope, vectors: readonly string[]): readonly string[] {
  const { table } = scope.file;
  const { lanes, types } = table.isa;
  if (vectors.length !== lanes || !table.has("pair_add.f32"))
    return vectors.map((a) => table.text("reduce_add.f32", { a }));
  let rest = vectors;
  while (rest.length > 1) {
    const [left, right] = [0, 1].map((side) => rest.filter((_, i) => i % 2 === side)) as [string[], string[]];
    rest = left.map((a, i) => {
      const name = scope.names.unique("pairs");
      scope.out.line(`const ${types.f32} ${name} = ${table.text("pair_add.f32", { a, b: right[i] ?? a })};`);
      return name;
    });
  }
  const totals = scope.names.unique("totals");
  scope.out.line(`float ${totals}[${lanes}];`);
  scope.out.line(`${table.text("store.f32", { p: { base: totals, offset: "" }, a: rest[0] ?? "" })};`);
  return vectors.map((_, i) => `${totals}[${i}]`);
}

/** One element after the other. */
function emitScalars(scope: Scope, s: Mma, product: Product): void {
  const { out } = scope;
  const { acc, a, b, rows, columns, depth } = product;
  const limit = s.rows === undefined ? String(rows) : `unmoor_clamp(${scope.scalar(s.rows)}, ${rows})`;
  const [m, n, k] = ["m", "n", "k"].map((hint) => scope.names.unique(hint)) as [string, string, string];
  out.block(`for (int64_t ${m} = 0; ${m} < ${limit}; ${m}++)`, () =>
    out.block(`for (int64_t ${n} = 0; ${n} < ${columns}; ${n}++)`, () => {
      const [row, column, step] = [Offset.text(m), Offset.text(n), Offset.text(k)];
      const at = viewAddress(scope, acc, [row, column]);
      const sum = scope.names.unique("sum");
      const { dtype } = acc.binding;
      out.line(`${dtype === "i32" ? "int64_t" : "float"} ${sum} = ${scope.loadScalar(at, dtype)};`);
      out.block(`for (int64_t ${k} = 0; ${k} < ${depth}; ${k}++)`, () => {
        const x = scope.loadScalar(viewAddress(scope, a, [row, step]), a.binding.dtype);
        const byte = scope.loadScalar(viewAddress(scope, b, [column, step]), b.binding.dtype);
        const w = s.half === undefined ? byte : s.half === "low" ? `(${byte} & 15)` : `(${byte} >> 4)`;
        out.line(`${sum} += ${x} * ${w};`);
      });
      out.line(scope.storeScalar(at, dtype, sum));
    }),
  );
}
