import type { ScalarExpr, ScalarType } from "../../ir/core/scalar.ts";
import { type ElementType, isFloatElement } from "../../ir/core/types.ts";
import { sameExpr, staticValue } from "./fold.ts";
import type { Kernel, Statement, Tile, View, ViewIndex } from "./types.ts";

/** The scalar type that elements of a dtype are read as: f32 for floats, i32 for integers. */
export const scalarTypeOf = (dtype: ElementType): ScalarType =>
  isFloatElement(dtype) ? "f32" : dtype === "bool" ? "bool" : "i32";

/** Extents of the dimensions that a view keeps. */
export const viewShape = (view: View): number[] => view.index.flatMap((i) => (i.kind === "at" ? [] : [i.extent]));

export const formatShape = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/**
 * Whether an input of `shape` can be repeated to `target`: it is a suffix of it, with 1 allowed where target has more.
 */
export const broadcasts = (shape: readonly number[], target: readonly number[]): boolean =>
  shape.length <= target.length &&
  shape.every((extent, i) => extent === 1 || extent === target[target.length - shape.length + i]);

/** The views of a statement, in the order in which it names them, and what is done with each. */
export function viewsOf(s: Statement): { readonly view: View; readonly reads: boolean; readonly writes: boolean }[] {
  const read = (view: View) => ({ view, reads: true, writes: false });
  const write = (view: View) => ({ view, reads: false, writes: true });
  switch (s.kind) {
    case "fill":
      return [write(s.dst)];
    case "copy":
    case "reduce":
      return [write(s.dst), read(s.src)];
    case "map":
      return [write(s.dst), ...s.inputs.map((i) => read(i.view))];
    case "mma":
      return [{ view: s.acc, reads: true, writes: true }, read(s.a), read(s.b)];
    case "top_k":
      return [write(s.ids), { view: s.keys, reads: true, writes: true }];
    case "prefetch":
      return [read(s.src)];
    default:
      return [];
  }
}

/** The scalar expressions of a statement, those in its views too, but none of the statements in it. */
export function expressionsOf(s: Statement): ScalarExpr[] {
  const inViews = viewsOf(s).flatMap(({ view }) => indexExpressions(view));
  switch (s.kind) {
    case "for":
      return [s.from, s.to];
    case "if":
      return [s.condition];
    case "let":
      return [s.value];
    case "alloc":
    case "barrier":
      return [];
    case "fill":
      return [s.value, ...inViews];
    case "set":
      return [...s.index, s.value];
    case "copy":
      return [...inViews, ...(s.valid ?? [])];
    case "map":
      return [s.value, ...inViews, ...(s.valid ?? [])];
    case "mma":
      return [...inViews, ...(s.init ? [s.init] : []), ...(s.rows ? [s.rows] : [])];
    case "reduce":
    case "top_k":
      return inViews;
    case "prefetch":
      return [...inViews, ...(s.ahead ? [s.ahead] : [])];
  }
}

export const indexExpressions = (view: View): ScalarExpr[] =>
  view.index.flatMap((i) => (i.kind === "at" ? [i.at] : i.kind === "range" ? [i.start] : []));

/** An expression and all in it, outermost first. */
export function* subexpressions(expr: ScalarExpr): Generator<ScalarExpr> {
  yield expr;
  if (expr.kind === "apply") for (const arg of expr.args) yield* subexpressions(arg);
  if (expr.kind === "element") for (const i of expr.index) yield* subexpressions(i);
}

/** Whether statements use a scalar. */
export const mentions = (body: readonly Statement[], name: string): boolean =>
  body.some(
    (s) =>
      expressionsOf(s).some((e) => [...subexpressions(e)].some((part) => part.kind === "var" && part.name === name)) ||
      (s.kind === "for" && mentions(s.body, name)) ||
      (s.kind === "if" && (mentions(s.then, name) || mentions(s.otherwise, name))),
  );

/** Whether two views of one base are the same elements in the same order. */
export const sameView = (a: View, b: View): boolean =>
  a.base === b.base && a.index.length === b.index.length && a.index.every((x, i) => sameIndex(x, b.index[i]));

function sameIndex(a: ViewIndex, b: ViewIndex): boolean {
  if (a.kind === "at") return b.kind === "at" && sameExpr(a.at, b.at);
  if (a.kind === "range") return b.kind === "range" && a.extent === b.extent && sameExpr(a.start, b.start);
  return b.kind === "gather" && a.extent === b.extent && a.positions === b.positions;
}

/** Whether two views certainly share no element: other bases, or ranges with constant starts that do not meet. */
export function disjoint(a: View, b: View): boolean {
  if (a.base !== b.base) return true;
  return a.index.some((x, i) => {
    const [left, right] = [interval(x), interval(b.index[i])];
    return left !== undefined && right !== undefined && (left.end <= right.start || right.end <= left.start);
  });
}

/** The positions that an index keeps, where they are constants: from start to before end. */
export function interval(index: ViewIndex): { readonly start: number; readonly end: number } | undefined {
  if (index.kind === "gather") return undefined;
  const start = staticValue(index.kind === "at" ? index.at : index.start);
  return start === undefined ? undefined : { start, end: start + (index.kind === "at" ? 1 : index.extent) };
}

/** The statements of a list and all in them. */
export function* statementsIn(list: readonly Statement[]): Generator<Statement> {
  for (const s of list) {
    yield s;
    if (s.kind === "for") yield* statementsIn(s.body);
    if (s.kind === "if") {
      yield* statementsIn(s.then);
      yield* statementsIn(s.otherwise);
    }
  }
}

/** Tiles that the lanes of a workgroup share. */
export const sharedTiles = (list: readonly Statement[]): Tile[] =>
  list.flatMap((s) => (s.kind === "alloc" && s.tile.space === "workgroup" ? [s.tile] : []));

/** Whether the lanes of a kernel are one workgroup, with memory or barriers of their own. */
export const sharesMemory = ({ body }: Pick<Kernel, "body">): boolean =>
  sharedTiles(body).length > 0 || [...statementsIn(body)].some((s) => s.kind === "barrier");

/** An `if` statement. */
export const conditional = (
  condition: ScalarExpr,
  then: readonly Statement[],
  otherwise: readonly Statement[],
): Statement => ({ kind: "if", condition, then, otherwise });
