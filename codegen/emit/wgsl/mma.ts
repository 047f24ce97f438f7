import { IrError } from "../../../ir/core/diagnostic.ts";
import type { Half, Statement } from "../../tile/types.ts";
import { add, type Code, constant, expression, primary, print } from "./code.ts";
import type { Context } from "./context.ts";
import { placeAmong, type SharingLanes } from "./language.ts";
import { type BoundView, bindView, loop, sharedRow, writeFour } from "./views.ts";

/** Longer sums are walked by loops, as are products of more rows and columns than a tile may have names. */
const longestUnrolled = 16;

/** A view [k, n] as [n, k]. */
const transpose = (view: BoundView): BoundView => ({
  ...view,
  shape: view.shape.toReversed(),
  isInnermost: false,
  at: (coordinates) => view.at(coordinates.toReversed()),
  read: (coordinates) => view.read(coordinates.toReversed()),
});

/** Prints acc[m, n] += Σ_k a[m, k]·b[n, k]: dot products of four, each a and b read once where the loops are unrolled. */
export function emitMma(context: Context, s: Extract<Statement, { kind: "mma" }>): void {
  const acc = bindView(context, s.acc, true);
  const a = bindView(context, s.a, true);
  const given = bindView(context, s.b, true);
  const b = s.transposed ? transpose(given) : given;
  const [m = 0, k = 0] = a.shape;
  const [n = 0] = b.shape;
  const shapes = [acc.shape, a.shape, b.shape].map((shape) => `[${shape.join(", ")}]`);
  if (
    acc.shape.length !== 2 ||
    a.shape.length !== 2 ||
    b.shape.join() !== `${n},${k}` ||
    acc.shape.join() !== `${m},${n}`
  )
    throw new IrError(
      `a product has sums ${shapes[0]}, a ${shapes[1]}, b ${shapes[2]}`,
      "Give sums [m, n], a [m, k] and b [n, k].",
    );
  const [type] = new Set([acc, a, b].map((view) => view.memory.type));
  for (const view of [acc, a, b]) {
    if (view.memory.type !== type || type === "bool")
      throw new IrError(
        `a product takes ${view.memory.type} from ${view.memory.source}`,
        "Multiply floats to f32 sums, or bytes to i32 sums.",
      );
  }
  const rows = s.rows && context.hold("rows", context.scalar(s.rows));
  const init = s.init && context.scalar(s.init);
  const isSmall = m * n <= (acc.memory.kind === "array" ? longestUnrolled : context.largestUnrolled);
  const hasScalars = (...views: readonly BoundView[]): boolean => views.some((v) => v.memory.kind === "scalars");
  // Named scalars have constant positions: what counts their rows or columns stands in the text.
  const rowsInText = isSmall || hasScalars(acc, a);
  const columnsInText = isSmall || hasScalars(acc, b);
  const walkRows = (body: (row: Code) => void) => {
    const guarded = (row: Code) => {
      if (rows === undefined) return body(row);
      if (row.constant !== undefined && rows.constant !== undefined) {
        if (row.constant < rows.constant) body(row);
        return;
      }
      context.block(`if (${print(row, "additive")} < ${print(rows, "additive")})`, () => body(row));
    };
    if (!rowsInText) return loop(context, m, guarded);
    for (let i = 0; i < m; i++) guarded(constant("i32", i));
  };
  const walkColumns = (body: (column: Code) => void) => {
    if (!columnsInText) return loop(context, n, body);
    for (let i = 0; i < n; i++) body(constant("i32", i));
  };

  const startsAtOnce =
    init?.constant !== undefined && init.constant !== 0 && rowsInText && columnsInText && k <= longestUnrolled;
  if (init && init.constant !== 0 && !startsAtOnce) {
    const clear = (): void => walkRows((i) => walkColumns((j) => acc.write([i, j], constant(type ?? "f32", 0))));
    if (init.constant !== undefined) clear();
    else context.block(`if (${print(init)})`, clear);
  }

  const lookup = s.values && context.table("values", s.values);
  const half = (text: string, width: number): string => {
    if (s.half === undefined) return text;
    if (lookup !== undefined) return lookup(nibble(text, width), width);
    return nibble(text, width);
  };
  const nibble = (text: string, width: number): string => {
    const [mask, shift] = width === 1 ? ["15", "4u"] : [`vec${width}<i32>(15)`, `vec${width}<u32>(4u)`];
    return s.half === "low" ? `(${text} & ${mask})` : `(${text} >> ${shift})`;
  };

  const lanes = rowsInText && rows === undefined && a.isGlobal ? context.sharingLanes(s.a, m) : undefined;
  const rowVectors = (at: Code, width: number): ((row: Code) => string) => {
    const shared = lanes && width === 4 ? sharedVectors(context, a, at, m, lanes) : undefined;
    return shared ? (row) => shared(row.constant ?? 0) : (row) => holdVector(context, a, row, at, width);
  };

  const isPacked = type === "i32" && s.values === undefined && context.mayUse("packed_4x8_integer_dot_product");
  /** One step of `width` elements of k from `at`. */
  const step = (at: Code, width: number, first: boolean): void => {
    const words = isPacked && width === 4 ? packedFactors(context, a, b, at, s.half) : undefined;
    const rowOf = words?.row ?? rowVectors(at, width);
    const columnOf = words?.column ?? ((column: Code) => half(vector(context, b, column, at, width), width));
    const columns = columnsInText
      ? Array.from({ length: n }, (_, j) => hold(context, b, constant("i32", j), columnOf(constant("i32", j))))
      : [];
    walkRows((i) => {
      const row = rowOf(i);
      walkColumns((j) => {
        const column = columns[j.constant ?? -1] ?? columnOf(j);
        const product = words?.product(row, column) ?? (width === 1 ? `${row} * ${column}` : `dot(${row}, ${column})`);
        const text = first ? product : `${print(acc.read([i, j]))} + ${product}`;
        acc.write([i, j], expression(type ?? "f32", text, "additive"));
      });
    });
  };

  if (s.transposed && init === undefined && n % 4 === 0 && k <= longestUnrolled && readsFours(context, given)) {
    walkRows((i) => {
      const four = (j: Code): void => addRows(context, acc, a, given, { i, j, k });
      if (!columnsInText) loop(context, n, four, 4);
      else for (let j = 0; j < n; j += 4) four(constant("i32", j));
    });
    return;
  }

  const whole = k - (k % 4);
  if (k <= longestUnrolled || hasScalars(a, b)) {
    for (let at = 0; at < whole; at += 4) step(constant("i32", at), 4, startsAtOnce && at === 0);
  } else {
    loop(context, whole, (at) => step(at, 4, false), 4);
  }
  if (whole < k) step(constant("i32", whole), k - whole, startsAtOnce && whole === 0);
}

/** Whether four neighbours in a row of f32 can be read together. */
function readsFours(context: Context, view: BoundView): boolean {
  const start = view.shape.map(() => constant("i32", 0));
  return view.isInnermost && context.vectorAt(view.memory, view.at(start)) !== undefined;
}

/** acc[i, j …] += Σ_k a[i, k] · b[k, j …] for four neighbouring columns: rows of b are read as they lie in memory. */
function addRows(
  context: Context,
  acc: BoundView,
  a: BoundView,
  b: BoundView,
  { i, j, k }: { readonly i: Code; readonly j: Code; readonly k: number },
): void {
  const name = context.names.unique(`${acc.memory.name}_four`);
  context.line(`var ${name} = ${vector(context, acc, i, j, 4)};`);
  for (let step = 0; step < k; step++) {
    const at = constant("i32", step);
    const four = context.vectorAt(b.memory, b.at([at, j])) ?? "";
    context.line(`${name} += ${print(a.read([i, at]), "multiplicative")} * ${four};`);
  }
  writeFour(acc, [i], j, name);
}

/**
 * Four neighbours along k of any of `rows` rows: of each four or eight rows, every one of as many lanes reads one. All are read here, before
 * the columns: what a step holds is then least while it waits for memory. Undefined where memory is not read four elements at a time.
 */
function sharedVectors(
  context: Context,
  view: BoundView,
  at: Code,
  rows: number,
  lanes: SharingLanes,
): ((row: number) => string) | undefined {
  const read = (first: number): string | undefined =>
    context.vectorAt(view.memory, view.at([sharedRow(lanes, first), at]));
  if (read(0) === undefined) return undefined;
  context.share(lanes);
  const held = Array.from({ length: rows / lanes }, (_, i) =>
    print(
      context.hold(
        `${view.memory.name}_${placeAmong[lanes]}`,
        expression(view.memory.type, read(lanes * i) ?? "", "or"),
      ),
    ),
  );
  return (row) => {
    const [own, from] = [held[Math.floor(row / lanes)], row % lanes];
    // The first of eight lanes is known at run time only, since a subgroup may have more.
    const text = lanes === 4 ? `quadBroadcast(${own}, ${from}u)` : `subgroupShuffle(${own}, eight + ${from}u)`;
    return print(context.hold(`${view.memory.name}_${row}`, primary("f32", text)));
  };
}

/** `width` neighbours along k as text: one read of four where memory allows it. */
function vector(context: Context, view: BoundView, row: Code, at: Code, width: number): string {
  const position = view.at([row, at]);
  const together = width === 4 && view.isInnermost;
  const whole = together
    ? (context.vectorAt(view.memory, position) ?? context.bytesAt(view.memory, position))
    : undefined;
  if (whole !== undefined) return whole;
  const parts = Array.from({ length: width }, (_, i) => print(view.read([row, add(at, constant("i32", i))])));
  return width === 1 ? (parts[0] ?? "") : `vec${width}(${parts.join(", ")})`;
}

const holdVector = (context: Context, view: BoundView, row: Code, at: Code, width: number): string =>
  hold(context, view, row, vector(context, view, row, at, width));

/** Text with a name that says which row of a view it is made of. */
const hold = (context: Context, { memory }: BoundView, row: Code, text: string): string =>
  print(context.hold(`${memory.name}_${row.constant ?? "m"}`, expression(memory.type, text, "or")));

/**
 * Factors of products of four bytes in a word. Bytes of b, which have no sign, are moved into those that have one, by 128: a product
 * then lacks 128 times the sum of a. Halves of bytes are there already. Undefined where four bytes do not lie in one word.
 */
function packedFactors(context: Context, a: BoundView, b: BoundView, at: Code, half: Half | undefined) {
  const wordOf = (view: BoundView, row: Code): string | undefined =>
    view.isInnermost ? context.wordAt(view.memory, view.at([row, at])) : undefined;
  const first = constant("i32", 0);
  if (wordOf(a, first) === undefined || wordOf(b, first) === undefined) return undefined;
  context.features.add("packed_4x8_integer_dot_product");
  const nibbles = {
    low: (word: string) => `${word} & 0x0f0f0f0fu`,
    high: (word: string) => `(${word} >> 4u) & 0x0f0f0f0fu`,
  };
  const signed = (word: string): string => (half ? nibbles[half](word) : `${word} ^ 0x80808080u`);
  return {
    row: (i: Code): string => hold(context, a, i, wordOf(a, i) ?? ""),
    column: (j: Code): string => signed(wordOf(b, j) ?? ""),
    product(row: string, column: string): string {
      const dot = `dot4I8Packed(${row}, ${column})`;
      if (half) return dot;
      const moved = expression("i32", `dot4I8Packed(${row}, 0x01010101u) * 128`, "multiplicative");
      return `${dot} + ${print(context.hold(`${row}_moved`, moved))}`;
    },
  };
}
