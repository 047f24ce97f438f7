import { IrError } from "../../../ir/core/diagnostic.ts";
import type { Statement } from "../../tile/types.ts";
import { Offset } from "../c-family/offset.ts";
import type { Address } from "./isa.ts";
import { emitMemoryProduct } from "./product-memory.ts";
import {
  elementTypes,
  type ResolvedView,
  resolveView,
  rowMajor,
  rowPointerKey,
  type Scope,
  vectorVariable,
  viewAddress,
} from "./scope.ts";

type Mma = Extract<Statement, { kind: "mma" }>;

export interface Product {
  readonly acc: ResolvedView;
  readonly a: ResolvedView;
  /** [n, k], however it lies in memory. */
  readonly b: ResolvedView;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

/** Products that share their rows of activations are computed in one sweep: each row is broadcast once. */
export function sharesRows(x: Mma, y: Mma): boolean {
  const key = (s: Mma): string =>
    JSON.stringify([s.a, s.half ?? null, s.values ?? null, s.rows ?? null, s.init ?? null]);
  return key(x) === key(y);
}

/** acc += a·bᵀ for products that share a. */
export function emitProducts(scope: Scope, statements: readonly Mma[]): void {
  const products = statements.map((s) => resolveProduct(scope, s));
  const [first] = statements;
  if (!first) return;
  if (first.init !== undefined) emitInit(scope, products, scope.scalar(first.init));
  if (products.every((p) => p.acc.binding.kind === "vectors")) emitRegisters(scope, first, products);
  else for (const product of products) emitMemoryProduct(scope, first, product);
}

/** The operands of a product, in the same shape. Throws IrError where they do not fit. */
export function resolveProduct(scope: Scope, s: Mma): Product {
  const acc = resolveView(scope, s.acc);
  const a = resolveView(scope, s.a);
  const given = resolveView(scope, s.b);
  const b = s.transposed ? { ...given, kept: given.kept.toReversed() } : given;
  const [rows, columns] = acc.kept.map((d) => d.extent);
  const [m, depth] = a.kept.map((d) => d.extent);
  const [n, k] = b.kept.map((d) => d.extent);
  if (
    rows === undefined ||
    columns === undefined ||
    depth === undefined ||
    rows !== m ||
    columns !== n ||
    depth !== k
  ) {
    const shape = (v: ResolvedView): string => `[${v.kept.map((d) => d.extent).join(", ")}]`;
    throw new IrError(
      `mma expects acc [m, n], a [m, k], b ${s.transposed ? "[k, n]" : "[n, k]"}; found ${shape(acc)}, ${shape(a)}, ${shape(given)}`,
      "Give views of these shapes.",
    );
  }
  return { acc, a, b, rows, columns, depth };
}

function emitInit(scope: Scope, products: readonly Product[], condition: string): void {
  if (condition === "false") return;
  const clear = (): void => {
    for (const product of products) emitClear(scope, product);
  };
  if (condition === "true") clear();
  else scope.out.block(`if (${condition})`, clear);
}

function emitClear(scope: Scope, { acc, rows, columns }: Product): void {
  const { table } = scope.file;
  if (acc.binding.kind === "vectors") {
    const { lanes } = table.isa;
    const whole = acc.binding.dtype === "i32";
    const zero = whole ? table.text("broadcast.i32", { a: "0" }) : table.text("broadcast.f32", { a: "0.0f" });
    for (let m = 0; m < rows; m++) {
      for (let n = 0; n < columns; n += lanes) {
        scope.out.line(`${vectorVariable(acc, [Offset.constant(m), Offset.constant(n)], lanes)} = ${zero};`);
      }
    }
    return;
  }
  const dtype = acc.binding.dtype;
  scope.out.block(`for (int64_t m = 0; m < ${rows}; m++)`, () =>
    scope.out.block(`for (int64_t n = 0; n < ${columns}; n++)`, () =>
      scope.out.line(scope.storeScalar(viewAddress(scope, acc, [Offset.text("m"), Offset.text("n")]), dtype, "0.0f")),
    ),
  );
}

type Column = (p: Address) => string;

/** How one step of k is computed: what is loaded of a and b, and the instruction that joins them. */
interface Step {
  readonly depth: number;
  readonly accumulate: (acc: string, a: string, b: string) => string;
  readonly row: (p: Address) => string;
  /** One or more vectors of b at one address; each is joined with an element of a, the first with the first. */
  readonly columns: readonly [Column, ...Column[]];
  readonly rowType: string;
  readonly columnType: string;
}

/** How products of these operands take a step. */
export function chooseStep(scope: Scope, product: Product, { half, values }: Pick<Mma, "half" | "values">): Step {
  const { table, functions } = scope.file;
  const { types, lanes } = table.isa;
  const a = product.a.binding.dtype;
  const b = product.b.binding.dtype;
  const bColumns = product.b.kept[0];
  const bDepth = product.b.kept[1];
  const aDepth = product.a.kept[1];
  const together = [bDepth, aDepth].every((d) => d?.stride.constant === 1 && d.positions === undefined);
  const loaded =
    (op: string): Column =>
    (p) =>
      table.text(op, { p });
  /** Steps of one element, each with its own load of columns at the first one's place. */
  const byFma = (first: string, ...others: readonly string[]): Step => ({
    depth: 1 + others.length,
    accumulate: (c, x, y) => table.text("fma.f32", { a: x, b: y, c }),
    row: loaded(`broadcast_load.${a}`),
    columns: [loaded(first), ...others.map(loaded)],
    rowType: types.f32,
    columnType: types.f32,
  });
  if (
    a === "bf16" &&
    b === "bf16" &&
    types.pairs !== undefined &&
    table.has("dot.bf16") &&
    product.depth % 2 === 0 &&
    together &&
    bColumns?.stride.constant === 2
  ) {
    return {
      depth: 2,
      accumulate: (c, x, y) => table.text("dot.bf16", { c, a: x, b: y }),
      row: (p) => table.text("broadcast_pair.bf16", { p }),
      columns: [(p) => table.text("load_pairs.bf16", { p })],
      rowType: types.pairs,
      columnType: types.pairs,
    };
  }
  if (
    b === "bf16" &&
    table.has("load_even.bf16") &&
    table.has(`broadcast_load.${a}`) &&
    product.depth % 2 === 0 &&
    together &&
    bColumns?.stride.constant === 2
  ) {
    return byFma("load_even.bf16", "load_odd.bf16");
  }
  // Halves of bytes, and what tables have for them, are signed bytes as well.
  const small = half !== undefined && Math.max(...(values ?? [15])) < 128;
  const signed = (b === "i8" || small) && table.has("dot.signed");
  if (
    a === "i8" &&
    (b === "u8" || signed) &&
    types.quads !== undefined &&
    product.depth % 4 === 0 &&
    together &&
    bColumns?.stride.constant === 4
  ) {
    const load = (p: Address): string => table.text("load_quads.u8", { p });
    return {
      depth: 4,
      accumulate: (c, x, y) => table.text(signed ? "dot.signed" : "dot.quads", { c, a: x, b: y }),
      row: (p) => table.text("broadcast_quad.i8", { p }),
      columns: [
        (p) => {
          if (half === undefined) return load(p);
          const code = table.text(`${half}_half.u8`, { a: load(p) });
          if (values === undefined) return code;
          return table.text("lookup.u8", { a: code, p: { base: functions.bytes("values", values), offset: "" } });
        },
      ],
      rowType: types.quads,
      columnType: types.quads,
    };
  }
  if (lanes > 1 && !(bColumns?.stride.constant === 1 && bColumns.positions === undefined)) {
    throw new IrError(
      `columns of ${product.b.view.base} do not lie side by side in steps that ${table.isa.name} multiplies (${a} by ${b})`,
      "Pack the weights in panels of the depth that the target names for these dtypes.",
    );
  }
  return byFma(`load.${b}`);
}

/** Sums in vector variables: per step of k the vectors of all columns once, then row by row. */
function emitRegisters(scope: Scope, s: Mma, products: readonly Product[]): void {
  const { table } = scope.file;
  const { out, names } = scope;
  const [first] = products;
  if (!first) return;
  const steps = products.map((p) => chooseStep(scope, p, s));
  const depths = new Set(steps.map((step) => step.depth));
  const [depth = 1] = depths;
  if (depths.size > 1) {
    for (const product of products) emitRegisters(scope, s, [product]);
    return;
  }
  const { lanes } = table.isa;
  const total = first.depth;
  const known = s.rows === undefined ? undefined : scope.index(s.rows);
  const part = (k: Offset, at: number): void => {
    const columns = products.flatMap((product, i) => {
      const step = steps[i];
      if (!step) return [];
      const vectors = [];
      for (let n = 0; n < product.columns; n += lanes) {
        const name = names.unique("w");
        const p = viewAddress(scope, product.b, [Offset.constant(n), k]);
        out.line(`const ${step.columnType} ${name} = ${step.columns[at]?.(p)};`);
        vectors.push({ name, n, product, step });
      }
      return vectors;
    });
    for (let m = 0; m < first.rows; m++) {
      const row = (): void => {
        const [step] = steps;
        if (!step) return;
        const name = names.unique(`x${m}`);
        const p = viewAddress(scope, first.a, [Offset.constant(m), k.plus(Offset.constant(at))]);
        out.line(`const ${step.rowType} ${name} = ${step.row(p)};`);
        for (const column of columns) {
          const acc = vectorVariable(column.product.acc, [Offset.constant(m), Offset.constant(column.n)], lanes);
          out.line(`${acc} = ${column.step.accumulate(acc, name, column.name)};`);
        }
      };
      if (known === undefined || (known.known ?? 0) >= first.rows) row();
      else out.block(`if (${m} < ${known})`, row);
    }
  };
  const parts = steps[0]?.columns.length ?? 0;
  const one = (k: Offset): void => {
    for (let at = 0; at < parts; at++) part(k, at);
  };
  if (total / depth <= 4) {
    for (let k = 0; k < total; k += depth) one(Offset.constant(k));
  } else {
    const k = names.unique("k");
    out.block(`for (int64_t ${k} = 0; ${k} < ${total}; ${k} += ${depth})`, () => one(Offset.text(k)));
  }
}

/**
 * Before a loop: pointers to the rows that its products gather, so that the positions are read once.
 * `body` must not change the positions.
 */
export function hoistRowPointers(scope: Scope, statements: readonly Mma[]): void {
  for (const s of statements) {
    const binding = scope.lookup(s.a.base);
    if (binding.kind !== "memory") continue;
    const strides = rowMajor(binding.dims);
    for (const [d, index] of s.a.index.entries()) {
      const stride = strides[d];
      if (index.kind !== "gather" || index.extent > 32 || stride === undefined) continue;
      const positions = scope.memory(index.positions, "a gather").name;
      for (let m = 0; m < index.extent; m++) {
        const key = rowPointerKey(s.a.base, index.positions, m);
        if (scope.rowPointers.has(key)) continue;
        const name = scope.names.unique(`${binding.name}_row${m}`);
        const offset = Offset.text(`(int64_t)${positions}[${m}]`).times(stride);
        scope.out.line(`const ${elementTypes[binding.dtype]} *const ${name} = ${binding.name} + ${offset};`);
        scope.rowPointers.set(key, name);
      }
    }
  }
}
