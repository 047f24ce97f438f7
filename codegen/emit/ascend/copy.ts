import { IrError } from "../../../ir/core/diagnostic.ts";
import type { ScalarExpr } from "../../../ir/core/scalar.ts";
import { dtypeBytes } from "../../../ir/core/types.ts";
import { staticValue } from "../../tile/fold.ts";
import { viewShape } from "../../tile/shape.ts";
import type { Statement } from "../../tile/types.ts";
import { dimText, Offset } from "../c-family/offset.ts";
import { atom } from "../c-family/parentheses.ts";
import { lowerCubeCopy } from "./cube.ts";
import { access, type Lowering, type Place } from "./lowering.ts";
import { elementType } from "./scope.ts";
import { lowerLocalCopy } from "./vector.ts";

type CopyStatement = Extract<Statement, { kind: "copy" }>;

/** A count that is known at run time: C++ text of a number that is never above the extent, and whether it is above 0. */
interface RunTimeCount {
  readonly text: string;
  readonly isPositive: boolean;
}

export type Count = number | RunTimeCount;

const textOf = (count: Count): string => (typeof count === "number" ? String(count) : count.text);

/** The counts of a copy, one per dimension of the view, each at most the extent. */
export function countsOf(to: Lowering, valid: readonly ScalarExpr[] | undefined, shape: readonly number[]): Count[] {
  return shape.map((extent, d) => {
    const expr = valid?.[d];
    if (expr === undefined) return extent;
    const known = staticValue(expr);
    if (known !== undefined) return Math.max(0, Math.min(known, extent));
    const most = to.scope.most(expr);
    const text = to.scalar(expr);
    const isBelow = most !== undefined && most <= extent;
    return { text: isBelow ? text : `Smaller(${text}, ${extent})`, isPositive: to.scope.isPositive(expr) };
  });
}

/** A copy between memories. What converts, and what goes from global to global, was put through tiles before. */
export function lowerCopy(to: Lowering, s: CopyStatement): void {
  const shape = viewShape(s.dst);
  const spaces = [s.dst, s.src].map((v) => {
    const binding = to.scope.lookup(v.base);
    return binding.kind === "local" && binding.tile.space !== "exchange" ? binding.tile.space : "global";
  });
  const [into, from] = spaces;
  if (spaces.some((space) => space === "l1" || space.startsWith("l0"))) {
    lowerCubeCopy(to, s, into, from);
    return;
  }
  const [dst, src] = [to.place(s.dst), to.place(s.src)];
  if (into === "ub" && from === "ub") {
    if (isVector(dst) && isVector(src)) lowerLocalCopy(to, dst, src, shape);
    else copyElements(to, dst, src, countsOf(to, undefined, shape));
    return;
  }
  const counts = countsOf(to, s.valid, shape);
  const [global, local] = into === "global" ? [dst, src] : [src, dst];
  if (!isVector(local) || !global.contiguous || global.kept.at(-1)?.positions !== undefined) {
    if (into === "ub" && counts.some((c, d) => c !== shape[d])) fillZeros(to, dst, shape);
    copyElements(to, dst, src, counts);
  } else if (into === "global") copyOut(to, global, local, counts, shape);
  else copyIn(to, local, global, counts, shape);
}

const isVector = (place: Place): boolean =>
  place.contiguous &&
  place.kept.every((k) => k.positions === undefined) &&
  (place.divisor * dtypeBytes[place.dtype]) % 32 === 0;

/** Element by element through the scalar unit: for what no transfer can take. */
function copyElements(to: Lowering, dst: Place, src: Place, counts: readonly Count[]): void {
  const counters: string[] = [];
  const step = (d: number): void => {
    const count = counts[d];
    if (count !== undefined) {
      to.loop("i", textOf(count), (counter) => {
        counters.push(counter);
        step(d + 1);
        counters.pop();
      });
      return;
    }
    if (dst.dtype !== src.dtype)
      throw new IrError("single elements are copied without a conversion", "Convert with map on tiles.");
    const [at, value] = [to.offset(dst, counters).alone, to.offset(src, counters).alone];
    to.emit(`${dst.binding.name}.SetValue(${at}, ${src.binding.name}.GetValue(${value}));`, [
      access("S", src.binding.name, false),
      access("S", dst.binding.name, true),
    ]);
  };
  step(0);
}

/** Every element of a view in UB becomes zero. */
export function fillZeros(to: Lowering, dst: Place, shape: readonly number[], from = 0): void {
  fillRows(to, dst, shape, from, dst.dtype === "f32" ? "0.0f" : "static_cast<int32_t>(0)");
}

/**
 * The elements from column `from` on of every row of a view in UB get a value. Whole rows that follow each other, and what pads
 * them, get it at once.
 */
export function fillRows(to: Lowering, dst: Place, given: readonly number[], from: number, value: string): void {
  const shape = from === 0 ? withoutPadding(dst, given) : given;
  to.rows(shape.slice(0, -1), (counters) => {
    const offset = to.offset(dst, counters).plus(Offset.constant(from)).toString();
    const tensor = offset === "" ? dst.binding.name : `${dst.binding.name}[${offset}]`;
    const size = dtypeBytes[dst.dtype];
    const bits = size < 4;
    const op = bits ? "fill.i16" : `fill.${dst.dtype}`;
    const d16 = `${tensor}.ReinterpretCast<int16_t>()`;
    const count = (shape.at(-1) ?? 1) - from;
    // What pads a row of bytes to 32 is filled with it.
    const n = String(size === 1 ? Math.ceil(count / 2) : count);
    to.vector(op, { d: bits ? d16 : tensor, s: bits ? "static_cast<int16_t>(0)" : value, n }, [dst.binding.name], []);
  });
}

/** A shape of the same elements in fewer and longer rows, where rows of a view in UB follow each other. */
function withoutPadding(dst: Place, shape: readonly number[]): readonly number[] {
  const unit = 32 / dtypeBytes[dst.dtype];
  let length = Math.ceil((shape.at(-1) ?? 1) / unit) * unit;
  let d = shape.length - 1;
  for (; d > 0; d--) {
    const outer = dst.kept[d - 1];
    if (outer === undefined || outer.positions !== undefined || outer.stride.constant !== length) break;
    length *= outer.extent;
  }
  return d === shape.length - 1 ? shape : [...shape.slice(0, d), length];
}

/** How a transfer walks: loops over the leading dimensions, `rows` runs of `columns` elements each. */
interface Walk {
  readonly outer: readonly Count[];
  readonly rows: Count;
  readonly columns: Count;
}

/** The two innermost dimensions go in one transfer where global rows have one distance. */
function walkOf(global: Place, counts: readonly Count[], shape: readonly number[]): Walk {
  const columns = counts.at(-1) ?? 1;
  const rowDim = global.kept.at(-2);
  const together = counts.length >= 2 && rowDim?.positions === undefined && (shape.at(-2) ?? 1) <= 4095;
  return together
    ? { outer: counts.slice(0, -2), rows: counts.at(-2) ?? 1, columns }
    : { outer: counts.slice(0, -1), rows: 1, columns };
}

const walk = (to: Lowering, outer: readonly Count[], body: (counters: readonly string[]) => void): void =>
  to.nest("row", outer.map(textOf), body);

const times = (count: Count, factor: number): string =>
  typeof count === "number" ? String(count * factor) : `${atom(count.text)} * ${factor}`;

/** Runs `body` where a count is not zero; transfers of nothing are not allowed. */
function guarded(to: Lowering, counts: readonly Count[], body: () => void): void {
  if (counts.includes(0)) return;
  const unknown = counts.flatMap((c) => (typeof c === "number" || c.isPositive ? [] : [c.text]));
  if (unknown.length === 0) {
    body();
    return;
  }
  const then = to.collect(body);
  to.push({ kind: "if", condition: unknown.map((c) => `${atom(c)} > 0`).join(" && "), then, otherwise: [] });
}

/** Bytes in global memory from the end of one row to the start of the next, as text. */
function gapBytes(global: Place, columns: Count): string {
  const stride = global.kept.at(-2)?.stride;
  const size = dtypeBytes[global.dtype];
  if (stride === undefined) return "0";
  if (typeof columns === "number" && stride.constant !== undefined) return String((stride.constant - columns) * size);
  return `(${dimText(stride)} - ${textOf(columns)}) * ${size}`;
}

function copyIn(to: Lowering, dst: Place, src: Place, counts: readonly Count[], shape: readonly number[]): void {
  const size = dtypeBytes[dst.dtype];
  const unit = 32 / size;
  const partial = counts.some((c, d) => c !== shape[d]);
  const width = shape.at(-1) ?? 1;
  const { outer, rows, columns } = walkOf(src, counts, shape);
  // Where only the columns are partial and known, the transfer pads to 32 bytes and the rest is filled after it.
  const tail =
    partial && typeof columns === "number" && columns > 0 && counts.slice(0, -1).every((c, d) => c === shape[d]);
  if (partial && !tail) fillZeros(to, dst, shape);
  const pitch = Math.ceil(width / unit) * unit;
  const dstPitch = dst.kept.at(-2)?.stride.constant ?? pitch;
  walk(to, outer, (counters) =>
    guarded(to, [rows, columns], () => {
      const pad = !partial
        ? "0"
        : typeof columns === "number"
          ? String((unit - (columns % unit)) % unit)
          : `RoundUp(${columns.text}, ${unit}) - ${atom(columns.text)}`;
      const gap =
        rows === 1
          ? "0"
          : typeof columns === "number"
            ? String((dstPitch - Math.ceil(columns / unit) * unit) / unit)
            : `(${dstPitch} - RoundUp(${columns.text}, ${unit})) / ${unit}`;
      const params = `DataCopyExtParams(${textOf(rows)}, ${times(columns, size)}, ${rows === 1 ? "0" : gapBytes(src, columns)}, ${gap}, 0)`;
      const type = elementType(dst.dtype, dst.view.base);
      to.emit(
        `DataCopyPad(${to.tensor(dst, counters)}, ${to.tensor(src, counters)}, ${params}, ZeroPad<${type}>(${pad}));`,
        [access("MTE2", src.binding.name, false), access("MTE2", dst.binding.name, true)],
      );
    }),
  );
  if (tail && typeof columns === "number") {
    const filled = Math.ceil(columns / unit) * unit;
    if (filled < width) fillZeros(to, dst, shape, filled);
  }
}

function copyOut(to: Lowering, dst: Place, src: Place, counts: readonly Count[], shape: readonly number[]): void {
  const size = dtypeBytes[dst.dtype];
  const unit = 32 / size;
  const { outer, rows, columns } = walkOf(dst, counts, shape);
  const width = shape.at(-1) ?? 1;
  const srcPitch = src.kept.at(-2)?.stride.constant ?? Math.ceil(width / unit) * unit;
  walk(to, outer, (counters) =>
    guarded(to, [rows, columns], () => {
      const gap =
        rows === 1
          ? "0"
          : typeof columns === "number"
            ? String((srcPitch - Math.ceil(columns / unit) * unit) / unit)
            : `(${srcPitch} - RoundUp(${columns.text}, ${unit})) / ${unit}`;
      const params = `DataCopyExtParams(${textOf(rows)}, ${times(columns, size)}, ${gap}, ${rows === 1 ? "0" : gapBytes(dst, columns)}, 0)`;
      to.emit(`DataCopyPad(${to.tensor(dst, counters)}, ${to.tensor(src, counters)}, ${params});`, [
        access("MTE3", src.binding.name, false),
        access("MTE3", dst.binding.name, true),
      ]);
    }),
  );
}
