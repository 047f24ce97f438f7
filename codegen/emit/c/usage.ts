import type { ScalarExpr } from "../../../ir/core/scalar.ts";
import { expressionsOf, subexpressions } from "../../tile/shape.ts";
import type { Statement, Tile, View } from "../../tile/types.ts";

/** How a statement touches a tile or buffer. */
interface Uses {
  /** Views whose elements are read or written as vectors, where the tile may be in registers. */
  readonly vectors: readonly View[];
  /** Views that need an address. */
  readonly addressed: readonly View[];
  readonly expressions: readonly ScalarExpr[];
  readonly inner: readonly Statement[];
  /** Names that the statement writes. */
  readonly writes: readonly string[];
}

type Of<K extends Statement["kind"]> = Extract<Statement, { kind: K }>;

const nothing: Uses = { vectors: [], addressed: [], expressions: [], inner: [], writes: [] };

const usesByKind: { readonly [K in Statement["kind"]]: (s: Of<K>) => Uses } = {
  for: (s) => ({ ...nothing, expressions: [s.from, s.to], inner: s.body }),
  if: (s) => ({ ...nothing, expressions: [s.condition], inner: [...s.then, ...s.otherwise] }),
  let: (s) => ({ ...nothing, expressions: [s.value] }),
  alloc: () => nothing,
  fill: (s) => ({ ...nothing, vectors: [s.dst], expressions: [s.value], writes: [s.dst.base] }),
  set: (s) => ({
    ...nothing,
    // The tile itself needs an address.
    addressed: [{ base: s.base, index: [] }],
    expressions: [...s.index, s.value],
    writes: [s.base],
  }),
  copy: (s) => ({ ...nothing, vectors: [s.dst, s.src], expressions: s.valid ?? [], writes: [s.dst.base] }),
  map: (s) => ({
    ...nothing,
    vectors: [s.dst, ...s.inputs.map((i) => i.view)],
    expressions: [s.value, ...(s.valid ?? [])],
    writes: [s.dst.base],
  }),
  mma: (s) => ({
    ...nothing,
    vectors: [s.acc],
    addressed: [s.a, s.b],
    expressions: [s.init, s.rows].filter((e) => e !== undefined),
    writes: [s.acc.base],
  }),
  reduce: (s) => ({ ...nothing, vectors: [s.src], addressed: [s.dst], writes: [s.dst.base] }),
  barrier: () => nothing,
  prefetch: (s) => ({ ...nothing, addressed: [s.src], expressions: s.ahead ? [s.ahead] : [] }),
  top_k: (s) => ({ ...nothing, addressed: [s.keys, s.ids], writes: [s.keys.base, s.ids.base] }),
};

const usesOf = (s: Statement): Uses => usesByKind[s.kind](s as never);

/** Whether statements write a tile or buffer. */
export const writes = (body: readonly Statement[], name: string): boolean =>
  body.some((s) => {
    const uses = usesOf(s);
    return uses.writes.includes(name) || writes(uses.inner, name);
  });

/**
 * Whether a register tile becomes vector variables: all of its uses name whole vectors at places known at compile time.
 * Otherwise it is an array, which the C compiler may still keep in registers.
 */
export function isHeldInVectors(tile: Tile, rest: readonly Statement[], lanes: number): boolean {
  const width = tile.dims.at(-1) ?? 1;
  if (tile.space !== "register" || (tile.dtype !== "f32" && tile.dtype !== "i32") || width % lanes !== 0) return false;
  return rest.every((s) => fits(s, tile, lanes));
}

function fits(s: Statement, tile: Tile, lanes: number): boolean {
  const uses = usesOf(s);
  const views = [...uses.vectors, ...uses.addressed];
  if (uses.addressed.some((v) => v.base === tile.name)) return false;
  if (views.some((v) => v.index.some((i) => i.kind === "gather" && i.positions === tile.name))) return false;
  if (uses.vectors.some((v) => v.base === tile.name && !namesWholeVectors(v, lanes))) return false;
  const indices = views.flatMap((v) =>
    v.index.flatMap((i) => (i.kind === "at" ? [i.at] : i.kind === "range" ? [i.start] : [])),
  );
  if ([...uses.expressions, ...indices].some((e) => readsElement(e, tile.name))) return false;
  return uses.inner.every((inner) => fits(inner, tile, lanes));
}

const namesWholeVectors = (view: View, lanes: number): boolean =>
  view.index.every((index, d) => {
    if (index.kind === "gather") return false;
    const place = index.kind === "at" ? index.at : index.start;
    if (place.kind !== "const") return false;
    if (d < view.index.length - 1) return true;
    return index.kind === "range" && index.extent % lanes === 0 && place.value % lanes === 0;
  });

function readsElement(expr: ScalarExpr, name: string): boolean {
  switch (expr.kind) {
    case "const":
    case "var":
      return false;
    case "apply":
      return expr.args.some((a) => readsElement(a, name));
    case "element":
      return expr.base === name || expr.index.some((i) => readsElement(i, name));
  }
}

/** Whether a statement writes all of a tile at once, whatever is known of `valid`. */
const writesWhole = (s: Statement, tile: Tile): boolean =>
  (s.kind === "fill" || s.kind === "copy" || s.kind === "map") &&
  s.dst.base === tile.name &&
  s.dst.index.every(
    (i, d) => i.kind === "range" && i.start.kind === "const" && i.start.value === 0 && i.extent === tile.dims[d],
  ) &&
  (s.kind !== "map" || s.inputs.every((i) => i.view.base !== tile.name));

/** The row of a tile that a statement fills. */
function filledRow(s: Statement, tile: Tile): number | undefined {
  if (s.kind !== "fill" || s.dst.base !== tile.name || tile.dims.length !== 2) return undefined;
  const [row, columns] = s.dst.index;
  if (row?.kind !== "at" || row.at.kind !== "const" || columns?.kind !== "range") return undefined;
  return columns.extent === tile.dims[1] ? row.at.value : undefined;
}

/** Whether the first that statements do is to write all of a tile, at once or row by row. */
export function writtenFirst(list: readonly Statement[], tile: Tile): boolean {
  const rows = new Set<number>();
  for (const s of list) {
    if (s.kind === "let") continue;
    const row = filledRow(s, tile);
    if (row === undefined) return writesWhole(s, tile);
    if (rows.add(row).size === tile.dims[0]) return true;
  }
  return false;
}

/** Whether statements use a scalar. */
export const readsScalar = (list: readonly Statement[], name: string): boolean =>
  list.some((s) => {
    const expressions = expressionsOf(s).flatMap((e) => [...subexpressions(e)]);
    return expressions.some((e) => e.kind === "var" && e.name === name) || readsScalar(usesOf(s).inner, name);
  });
