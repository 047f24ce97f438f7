import { substitute } from "../../../ir/core/scalar.ts";
import { constantOf, int } from "../../tile/fold.ts";
import type { Statement, View } from "../../tile/types.ts";
import { Offset } from "../c-family/offset.ts";
import { chooseStep, resolveProduct } from "./product.ts";
import { type Scope, vectorVariable, viewAddress } from "./scope.ts";

type Mma = Extract<Statement, { kind: "mma" }>;

/** The products of a loop one after the other, where it has nothing else and its steps are known and few. */
export function productsOfLoop({
  name,
  from,
  to,
  step,
  unroll = 1,
  body,
}: Extract<Statement, { kind: "for" }>): readonly Mma[] {
  const [first, end] = [constantOf(from), constantOf(to)];
  if (first === undefined || end === undefined || (end - first) / step > unroll) return [];
  if (!body.every((s) => s.kind === "mma")) return [];
  return Array.from({ length: Math.ceil((end - first) / step) }, (_, i) => {
    const at = new Map([[name, int(first + i * step)]]);
    const view = ({ base, index }: View): View => ({
      base,
      index: index.map((x) => {
        if (x.kind === "at") return { ...x, at: substitute(x.at, at) };
        return x.kind === "range" ? { ...x, start: substitute(x.start, at) } : x;
      }),
    });
    return body.map((s) => ({ ...s, a: view(s.a), b: view(s.b), acc: view(s.acc) }));
  }).flat();
}

/**
 * Products of signed bytes with halves of bytes, or with what a table has for them, in a lane of 16 bits, two at a time: so many
 * pairs fit in it.
 */
const mostPairs = ({ values = [15] }: Mma): number => Math.floor(32767 / (2 * Math.max(...values) * 128));

/**
 * As many of the groups of statements, from the first on, as are products of halves whose sums fit lanes of 16 bits together. They are
 * added up there, and widened once.
 */
export function countShorts(scope: Scope, groups: readonly (readonly Mma[])[]): number {
  const [first] = groups;
  if (!scope.file.table.has("dot.halves") || !first) return 0;
  const sums = (group: readonly Mma[]): string => JSON.stringify(group.map(({ acc, values }) => [acc, values]));
  const fits = (group: readonly Mma[]): boolean =>
    sums(group) === sums(first) &&
    group.every((s) => {
      if (s.half === undefined || s.rows !== undefined || s.init !== undefined) return false;
      const product = resolveProduct(scope, s);
      return product.acc.binding.kind === "vectors" && product.depth === 4 && chooseStep(scope, product, s).depth === 4;
    });
  const end = groups.findIndex((group) => !fits(group));
  return Math.min(...first.map(mostPairs), end < 0 ? groups.length : end);
}

/** acc += a·bᵀ for the groups that countShorts counts. */
export function emitShorts(scope: Scope, groups: readonly (readonly Mma[])[]): void {
  const { table } = scope.file;
  const { out, names } = scope;
  const { lanes, types } = table.isa;
  const sums = new Map<string, string>();
  const zero = table.text("broadcast.i32", { a: "0" });
  for (const group of groups) {
    const products = group.map((s) => ({ s, product: resolveProduct(scope, s) }));
    const columns = products.flatMap(({ s, product }) => {
      const step = chooseStep(scope, product, s);
      return Array.from({ length: product.columns / lanes }, (_, v) => {
        const n = Offset.constant(v * lanes);
        const name = names.unique("w");
        const p = viewAddress(scope, product.b, [n, Offset.zero]);
        out.line(`const ${step.columnType} ${name} = ${step.columns[0](p)};`);
        return { name, n, product };
      });
    });
    const [first] = products;
    if (!first) return;
    const step = chooseStep(scope, first.product, first.s);
    for (let m = 0; m < first.product.rows; m++) {
      const x = names.unique(`x${m}`);
      const p = viewAddress(scope, first.product.a, [Offset.constant(m), Offset.zero]);
      out.line(`const ${step.rowType} ${x} = ${step.row(p)};`);
      for (const { name, n, product } of columns) {
        const acc = vectorVariable(product.acc, [Offset.constant(m), n], lanes);
        const known = sums.get(acc);
        const sum = known ?? names.unique("pairs");
        const added = table.text("dot.halves", { c: known ?? zero, a: x, b: name });
        out.line(`${known === undefined ? `${types.quads} ` : ""}${sum} = ${added};`);
        sums.set(acc, sum);
      }
    }
  }
  for (const [acc, sum] of sums) out.line(`${acc} = ${table.text("widen.pairs", { a: sum, b: acc })};`);
}
