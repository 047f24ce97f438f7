import type { Instruction } from "../../../codegen/instructions.ts";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "../../../ir/core/float16.ts";
import type { ElementType } from "../../../ir/core/types.ts";

type Meaning = Instruction["meaning"];

const float = Math.fround;
const bits = new BigUint64Array(1);
const double = new Float64Array(bits.buffer);

/** a·b + c rounded once to f32: the f64 sum is rounded to odd first, so that rounding it again to f32 is right. */
export function fusedMultiplyAdd(a: number, b: number, c: number): number {
  const product = a * b; // exact: two 24-bit factors
  const sum = product + c;
  if (!Number.isFinite(sum)) return float(sum);
  const part = sum - product;
  const error = product - (sum - part) + (c - part);
  if (error === 0) return float(sum);
  double[0] = sum;
  const [pattern = 0n] = bits;
  if ((pattern & 1n) === 0n) bits[0] = error > 0 === sum > 0 ? pattern + 1n : pattern - 1n;
  return float(double[0]);
}

/** bf16 nearest to x, as a number. */
export const toBf16 = (x: number): number => bf16ToF32(f32ToBf16(x));

/** f16 nearest to x, as a number. */
const toF16 = (x: number): number => f16ToF32(f32ToF16(x));

const map1 =
  (f: (x: number) => number): Meaning =>
  (a = []) =>
    a.map(f);
const map2 =
  (f: (x: number, y: number) => number): Meaning =>
  (a = [], b = []) =>
    a.map((x, i) => f(x, b[i] ?? 0));
const map3 =
  (f: (x: number, y: number, z: number) => number): Meaning =>
  (a = [], b = [], c = []) =>
    a.map((x, i) => f(x, b[i] ?? 0, c[i] ?? 0));

/** Joins the upper half of the lanes with the lower until one is left. */
const fold =
  (f: (x: number, y: number) => number): Meaning =>
  (a = []) => {
    let lanes = a;
    while (lanes.length > 1) {
      const half = lanes.length / 2;
      lanes = lanes.slice(0, half).map((x, i) => f(x, lanes[half + i] ?? 0));
    }
    return lanes;
  };

/** Largest e with 2^e ≤ x, exactly. */
function exponent(x: number): number {
  const near = Math.round(Math.log2(x));
  return 2 ** near > x ? near - 1 : near;
}

/** To the nearest whole number, ties to even; zero is positive. */
export const roundToEven = (x: number): number => {
  const down = Math.floor(x);
  const rest = x - down;
  return rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1;
};

/**
 * Meanings of the operations, for vectors of `lanes` lanes. Operands come in the order a, b, c, p, n. A store gives memory's
 * elements after it. min and max give the second operand where one is NaN. Masks are lanes of 0 and 1.
 */
export function meanings(lanes: number) {
  const load: Meaning = (p = []) => p.slice(0, lanes);
  const loadPartial: Meaning = (p = [], [n = 0] = []) =>
    Array.from({ length: lanes }, (_, i) => (i < n ? (p[i] ?? 0) : 0));
  const store =
    (convert: (x: number) => number): Meaning =>
    (a = [], p = []) =>
      p.map((old, i) => (i < lanes ? convert(a[i] ?? 0) : old));
  const storePartial =
    (convert: (x: number) => number): Meaning =>
    (a = [], p = [], [n = 0] = []) =>
      p.map((old, i) => (i < n ? convert(a[i] ?? 0) : old));
  const broadcast: Meaning = ([a = 0] = []) => Array.from({ length: lanes }, () => a);
  /** Integers have no negative zero. */
  const integer = (x: number): number => x + 0;
  const same = (x: number): number => x;
  // biome-ignore lint/complexity/useMathMinMax: NaN and the sign of zero go as the instructions have them
  const min = (x: number, y: number): number => (x < y ? x : y);
  // biome-ignore lint/complexity/useMathMinMax: as for min
  const max = (x: number, y: number): number => (x > y ? x : y);
  const select = map3((c, a, b) => (c !== 0 ? a : b));
  // c + Σ a·b over each lane's quad: a in i8, b in u8.
  const dotQuads: Meaning = (a = [], b = [], c = []) =>
    c.map((sum, i) => [0, 1, 2, 3].reduce((s, j) => s + (a[4 * i + j] ?? 0) * (b[4 * i + j] ?? 0), sum));
  return {
    "add.f32": map2((x, y) => float(x + y)),
    "sub.f32": map2((x, y) => float(x - y)),
    "mul.f32": map2((x, y) => float(x * y)),
    "div.f32": map2((x, y) => float(x / y)),
    "neg.f32": map1((x) => -x),
    "abs.f32": map1(Math.abs),
    "min.f32": map2(min),
    "max.f32": map2(max),
    "sqrt.f32": map1((x) => float(Math.sqrt(x))),
    "floor.f32": map1(Math.floor),
    "fma.f32": map3(fusedMultiplyAdd),
    // Zero keeps the sign of what was rounded.
    "round.f32": map1((x) => (x < 0 || Object.is(x, -0) ? -roundToEven(-x) : roundToEven(x))),
    "scale.f32": map2((x, n) => float(x * 2 ** n)),
    // Of positive normal numbers: x = mantissa·2^exponent, 1 ≤ mantissa < 2.
    "exponent.f32": map1(exponent),
    "mantissa.f32": map1((x) => x / 2 ** exponent(x)),
    "lt.f32": map2((x, y) => Number(x < y)),
    "le.f32": map2((x, y) => Number(x <= y)),
    "eq.f32": map2((x, y) => Number(x === y)),
    "select.f32": select,
    "toInt.f32": map1((x) => integer(Math.trunc(x))),
    "add.i32": map2((x, y) => x + y),
    "sub.i32": map2((x, y) => x - y),
    "mul.i32": map2((x, y) => integer(x * y)),
    "neg.i32": map1((x) => 0 - x),
    "abs.i32": map1(Math.abs),
    "min.i32": map2(min),
    "max.i32": map2(max),
    "floorDiv.i32": map2((x, y) => integer(Math.floor(x / y))),
    "mod.i32": map2((x, y) => integer(x - y * Math.floor(x / y))),
    "lt.i32": map2((x, y) => Number(x < y)),
    "le.i32": map2((x, y) => Number(x <= y)),
    "eq.i32": map2((x, y) => Number(x === y)),
    "select.i32": select,
    "toFloat.i32": map1(float),
    "and.bool": map2(min),
    "or.bool": map2(max),
    "not.bool": map1((x) => 1 - x),
    "any.bool": (a = []) => [Number(a.some((x) => x !== 0))],
    "broadcast.f32": broadcast,
    "broadcast.i32": broadcast,
    "broadcast.bool": broadcast,
    "load.f32": load,
    "load.bf16": load,
    // Every second of twice as many: of pairs side by side, the first or the second of each.
    "load_even.bf16": (p: readonly number[] = []) => Array.from({ length: lanes }, (_, i) => p[2 * i] ?? 0),
    "load_odd.bf16": (p: readonly number[] = []) => Array.from({ length: lanes }, (_, i) => p[2 * i + 1] ?? 0),
    "load.f8": load,
    "load.i32": load,
    "load.f16": load,
    "load.i8": load,
    "load.u8": load,
    "load_partial.f32": loadPartial,
    "load_partial.f16": loadPartial,
    "load_partial.bf16": loadPartial,
    "load_partial.i32": loadPartial,
    "broadcast_load.f32": broadcast,
    "broadcast_load.f16": broadcast,
    "broadcast_load.bf16": broadcast,
    // Into the second-level cache: memory stays as it is.
    prefetch: (p: readonly number[] = []) => p,
    "store.f32": store(same),
    "store.f16": store(toF16),
    "store.bf16": store(toBf16),
    "store.i32": store(same),
    "store.i8": store(same),
    "store_partial.f32": storePartial(same),
    "store_partial.f16": storePartial(toF16),
    "store_partial.bf16": storePartial(toBf16),
    "store_partial.i32": storePartial(same),
    "reduce_add.f32": fold((x, y) => float(x + y)),
    "reduce_max.f32": fold(max),
    // Sums of neighbouring lanes: those of a, then those of b.
    "pair_add.f32": (a: readonly number[] = [], b: readonly number[] = []) => {
      const all = [...a, ...b];
      return a.map((_, i) => float((all[2 * i] ?? 0) + (all[2 * i + 1] ?? 0)));
    },
    "reduce_add.i32": fold((x, y) => x + y),
    // Quads: four bytes in each lane.
    "load_quads.u8": (p: readonly number[] = []) => p.slice(0, 4 * lanes),
    "broadcast_quad.i8": (p: readonly number[] = []) => Array.from({ length: 4 * lanes }, (_, i) => p[i % 4] ?? 0),
    "low_half.u8": map1((x) => x & 15),
    "high_half.u8": map1((x) => x >> 4),
    // What a table of 16 bytes has for each byte, which is below 16.
    "lookup.u8": (a: readonly number[] = [], p: readonly number[] = []) => a.map((x) => p[x] ?? 0),
    "dot.quads": dotQuads,
    // Of two signed ones, the first −127 … 127.
    "dot.signed": dotQuads,
    // Where b holds small numbers, such as halves of bytes, 0 … 15: two products for each lane of 16 bits, which fits sums of some pairs.
    "dot.halves": (a: readonly number[] = [], b: readonly number[] = [], c: readonly number[] = []) =>
      c.map((sum, i) => [0, 1].reduce((s, j) => s + (a[2 * i + j] ?? 0) * (b[2 * i + j] ?? 0), sum)),
    // b + both lanes of 16 bits of each lane.
    "widen.pairs": (a: readonly number[] = [], b: readonly number[] = []) =>
      b.map((sum, i) => sum + (a[2 * i] ?? 0) + (a[2 * i + 1] ?? 0)),
  } satisfies Record<string, Meaning>;
}

export type CommonOp = keyof ReturnType<typeof meanings>;

/** One row of a table: text and reciprocal throughput in cycles. */
export type Row = readonly [text: string, cost: number];

/** A prefetch knows no type: f32 stands for any. */
const memoryOf = (op: string): Instruction["memory"] | undefined =>
  op === "prefetch"
    ? "f32"
    : /^(load|store|broadcast_load|broadcast_quad|lookup)/.test(op)
      ? (op.slice(op.indexOf(".") + 1) as ElementType)
      : undefined;

/** A table from texts and the common meanings; `special` replaces meanings where a CPU's instruction differs. */
export function instructionTable<K extends CommonOp>(
  lanes: number,
  rows: Readonly<Record<K, Row>>,
  special: Readonly<Record<string, Meaning>> = {},
): Instruction[] {
  const common = meanings(lanes);
  return (Object.entries(rows) as [K, Row][]).map(([op, [text, cost]]) => {
    const memory = memoryOf(op);
    return { op, text, cost, meaning: special[op] ?? common[op], ...(memory === undefined ? {} : { memory }) };
  });
}
