import { IrError } from "../../../ir/core/diagnostic.ts";
import type { View } from "../../tile/types.ts";
import { add, type Code, constant, primary, print, sum, times } from "./code.ts";
import type { Context } from "./context.ts";
import { placeAmong, type SharingLanes } from "./language.ts";
import type { Memory } from "./memory.ts";

/** More elements than this are walked by loops, unless they are named scalars. */
const largestUnrolled = 16;

const zero = constant("i32", 0);

/** The row that a lane reads of as many as there are `lanes`, from `first` on: that of its place among them. */
export const sharedRow = (lanes: SharingLanes, first: number): Code => ({
  ...primary("i32", placeAmong[lanes], { natural: true }),
  offset: first,
});
const sharersOf = (row: Code): number =>
  Number(Object.entries(placeAmong).find(([, name]) => name === row.text)?.[0] ?? 0);

/** The one of the numbers that belongs to a lane's place among as many lanes. */
function byPlace(rows: readonly Code[], place: string): Code {
  const choose = (texts: readonly string[]): string => {
    const half = texts.length / 2;
    if (half < 1) return texts[0] ?? "";
    return `select(${choose(texts.slice(0, half))}, ${choose(texts.slice(half))}, (${place} & ${half}) != 0)`;
  };
  const text = choose(rows.map((row) => print(row)));
  return primary("i32", text, { natural: true, multiple: rows[0]?.multiple ?? 1 });
}

/** A view whose position in memory is computed once, ready to be read and written element by element. */
export interface BoundView {
  readonly memory: Memory;
  readonly shape: readonly number[];
  readonly isGlobal: boolean;
  /** Whether neighbours along its last dimension are neighbours in memory. */
  readonly isInnermost: boolean;
  /** The linear position of an element, by its coordinates in the view. */
  at(coordinates: readonly Code[]): Code;
  read(coordinates: readonly Code[]): Code;
  write(coordinates: readonly Code[], value: Code): void;
}

/** Extents of the view, outermost first. */
const shapeOf = (view: View): number[] => view.index.flatMap((i) => (i.kind === "at" ? [] : [i.extent]));

/**
 * Computes where a view starts, printing what is worth a name. `byRow` says that the rows of a gather are walked one after
 * the other in the text, whatever their length.
 */
export function bindView(context: Context, view: View, byRow = false): BoundView {
  const memory = context.memory(view.base);
  if (view.index.length !== memory.strides.length)
    throw new IrError(
      `${view.base} has ${memory.strides.length} dimensions and its view ${view.index.length}`,
      "Give one index per dimension.",
    );
  const shape = shapeOf(view);
  const stride = (i: number): Code => memory.strides[i] ?? zero;
  const start = holdStart(
    context,
    memory,
    sum(
      view.index.flatMap((index, i) =>
        index.kind === "gather" ? [] : [times(context.scalar(index.kind === "at" ? index.at : index.start), stride(i))],
      ),
    ),
  );
  const inText = byRow || shape.reduce((a, b) => a * b, 1) <= largestUnrolled;
  const terms = view.index.flatMap((index, i) => {
    if (index.kind === "at") return [];
    if (index.kind === "range") return [(c: Code): Code => times(c, stride(i))];
    const positions = context.memory(index.positions);
    const rowStart = (c: Code): Code => times(context.readAt(positions, c), stride(i));
    if (index.extent > largestUnrolled || !(inText || positions.kind === "scalars")) return [rowStart];
    // Named here, so that the names are in scope wherever the view is used.
    const rows = Array.from({ length: index.extent }, (_, c) =>
      context.hold(`${memory.name}_row`, rowStart(constant("i32", c))),
    );
    return [
      (c: Code): Code => {
        const lanes = sharersOf(c);
        const { offset } = c;
        if (lanes > 0) return byPlace(rows.slice(offset, offset + lanes), c.text);
        return rows[c.constant ?? -1] ?? rowStart(c);
      },
    ];
  });
  const at = (coordinates: readonly Code[]): Code =>
    terms.reduce((total, term, i) => add(total, term(coordinates[i] ?? zero)), start);
  return {
    memory,
    shape,
    isGlobal: memory.kind === "buffer",
    isInnermost: view.index.at(-1)?.kind === "range",
    at,
    read: (coordinates) => context.readAt(memory, at(coordinates)),
    write: (coordinates, value) => context.writeAt(memory, at(coordinates), value),
  };
}

/** Writes the elements of a vector of four, by its name, to neighbours in a row. */
export function writeFour(view: BoundView, row: readonly Code[], column: Code, vector: string): void {
  for (const [i, part] of ["x", "y", "z", "w"].entries())
    view.write([...row, add(column, constant("i32", i))], primary(view.memory.type, `${vector}.${part}`));
}

/** Names the part of a position that is computed; the constant part stays with the coordinates, where it folds. */
function holdStart(context: Context, memory: Memory, start: Code): Code {
  if (start.constant !== undefined || memory.kind === "scalars") return start;
  const held = context.hold(`${memory.name}_at`, { ...start, offset: 0 });
  return { ...held, offset: start.offset, natural: start.natural, multiple: start.multiple };
}

/** Whether a dimension is visited one after the other in the text: where coordinates are few, or name scalars. */
const isUnrolled = (shape: readonly number[], views: readonly BoundView[], d: number): boolean =>
  shape[d] === 1 ||
  shape.reduce((a, b) => a * b, 1) <= largestUnrolled ||
  views.some((v) => v.memory.kind === "scalars" && (v.shape[v.shape.length - shape.length + d] ?? 1) > 1);

/** Visits all coordinates of a shape: one after the other in the text, or by loops where there are many. */
export function forEach(
  context: Context,
  shape: readonly number[],
  views: readonly BoundView[],
  body: (coordinates: readonly Code[]) => void,
): void {
  const visit = (coordinates: readonly Code[]): void => {
    const extent = shape[coordinates.length];
    if (extent === undefined) {
      body(coordinates);
    } else if (isUnrolled(shape, views, coordinates.length)) {
      for (let i = 0; i < extent; i++) visit([...coordinates, constant("i32", i)]);
    } else {
      loop(context, extent, (i) => visit([...coordinates, i]));
    }
  };
  visit([]);
}

/**
 * Visits the coordinates within the valid counts, under conditions where those are known at run time only. In the text,
 * coordinates with one condition stand together: the order of elements has no meaning, and branches are dear.
 */
export function forEachValid(
  context: Context,
  shape: readonly number[],
  views: readonly BoundView[],
  valid: readonly Code[] | undefined,
  body: (coordinates: readonly Code[]) => void,
): void {
  const unrolled = shape.every((_, d) => isUnrolled(shape, views, d));
  const groups = new Map<string, (readonly Code[])[]>();
  forEach(context, shape, views, (at) => {
    const condition = within(at, valid);
    if (condition === false) return;
    if (condition === true) body(at);
    else if (unrolled) groups.set(condition, [...(groups.get(condition) ?? []), at]);
    else context.block(`if (${condition})`, () => body(at));
  });
  for (const [condition, all] of groups) context.block(`if (${condition})`, () => all.forEach(body));
}

/** A loop from 0 to a constant. */
export function loop(context: Context, extent: number, body: (index: Code) => void, step = 1): void {
  const name = context.names.unique("i");
  const next = step === 1 ? `${name}++` : `${name} += ${step}`;
  context.block(`for (var ${name} = 0; ${name} < ${extent}; ${next})`, () =>
    body({ type: "i32", text: name, level: "primary", offset: 0, natural: true, multiple: step }),
  );
}

/** The condition that coordinates lie within the valid counts: true or false where known, else text. */
export function within(coordinates: readonly Code[], valid: readonly Code[] | undefined): boolean | string {
  const parts: string[] = [];
  for (const [i, count] of (valid ?? []).entries()) {
    const c = coordinates[i] ?? zero;
    if (c.constant !== undefined && count.constant !== undefined) {
      if (c.constant >= count.constant) return false;
    } else {
      parts.push(`${print(c, "additive")} < ${print(count, "additive")}`);
    }
  }
  return parts.length === 0 ? true : parts.join(" && ");
}
