import type { AscendInstruction } from "../../codegen/emit/ascend/index.ts";
import { bf16ToF32, encodeBf16, encodeF16, f16ToF32 } from "../../ir/core/float16.ts";

/**
 * Instructions of the vector unit of architecture 2201 in their count form, as the generator uses them. Element types are those
 * of the vendor's pages for A2 and A3: arithmetic on half, float, int16_t and int32_t, division and functions on half and float,
 * none on bfloat16_t, which only converts. Costs are cycles per element: the reciprocal of elements per cycle and vector core on the
 * page of theoretical vector performance. Operands of `meaning` come in the order of the holes {a} {b} {s} {m}, and for
 * those that add to their destination, {d} first.
 */
export const instructions: readonly AscendInstruction[] = [
  ...binary("Add", "add", (a, b) => a + b, 64),
  ...binary("Sub", "sub", (a, b) => a - b, 64),
  ...binary("Mul", "mul", (a, b) => a * b, 64),
  ...binary("Max", "max", Math.max, 64),
  ...binary("Min", "min", Math.min, 64),
  { op: "div.f32", text: "Div({d}, {a}, {b}, {n})", meaning: zip(round2((a, b) => a / b)), cost: 1 / 32 },
  ...withScalar("Adds", "adds", (a, s) => a + s),
  ...withScalar("Muls", "muls", (a, s) => a * s),
  ...withScalar("Maxs", "maxs", Math.max),
  ...withScalar("Mins", "mins", Math.min),
  // Moves bits: adding 0 as an integer.
  { op: "adds.i16", text: "Adds({d}, {a}, {s}, {n})", meaning: each((a, s) => ((a + s) << 16) >> 16), cost: 1 / 128 },
  unary("Exp", "exp", Math.exp, 32),
  unary("Ln", "log", Math.log, 32),
  unary("Sqrt", "sqrt", Math.sqrt, 32),
  unary("Abs", "abs", Math.abs, 64),
  {
    op: "axpy.f32",
    text: "Axpy({d}, {a}, {s}, {n})",
    meaning: (d = [], a = [], [s = 0] = []) => d.map((x, i) => Math.fround(x + (a[i] ?? 0) * s)),
    cost: 1 / 64,
  },
  {
    op: "fma.f32",
    text: "MulAddDst({d}, {a}, {b}, {n})",
    meaning: (d = [], a = [], b = []) => d.map((x, i) => Math.fround(x + (a[i] ?? 0) * (b[i] ?? 0))),
    cost: 1 / 32,
  },
  fill("f32", 64),
  fill("i32", 64),
  fill("i16", 128),
  cast("bf16", "f32", "NONE", bf16ToF32, 64),
  cast("f16", "f32", "NONE", f16ToF32, 64),
  cast("f32", "bf16", "RINT", encodeOne(encodeBf16), 64),
  cast("f32", "f16", "RINT", encodeOne(encodeF16), 64),
  cast("i32", "f32", "RINT", Math.fround, 64),
  { ...cast("f32", "f32", "FLOOR", Math.floor, 64), op: "floor.f32" },
  cast("f16", "i8", "RINT", (bits) => clampTo(nearestEven(f16ToF32(bits)), 127), 64),
  // Out of range saturates.
  cast("f32", "i32", "TRUNC", (a) => clampTo(Math.trunc(a), 2 ** 31 - 1), 64),
  compare("LT", "lt.f32", (a, b) => a < b),
  compare("LE", "le.f32", (a, b) => a <= b),
  compare("EQ", "eq.f32", (a, b) => a === b),
  compare("EQ", "eq.i32", (a, b) => a === b),
  {
    op: "select.f32",
    text: "Select({d}, {m}, {a}, {b}, SELMODE::VSEL_TENSOR_TENSOR_MODE, {n})",
    meaning: (a = [], b = [], m = []) => a.map((x, i) => (m[i] ? x : (b[i] ?? 0))),
    cost: 1 / 64,
  },
  {
    op: "selects.f32",
    text: "Select({d}, {m}, {a}, {s}, SELMODE::VSEL_TENSOR_SCALAR_MODE, {n})",
    meaning: (a = [], [s = 0] = [], m = []) => a.map((x, i) => (m[i] ? x : s)),
    cost: 1 / 64,
  },
  // One repeat of 64 floats takes about 7 cycles; the meaning's order of additions is not the hardware's.
  {
    op: "reduce_sum.f32",
    text: "ReduceSum({d}, {a}, {w}, {n})",
    meaning: (a = []) => [Math.fround(a.reduce((x, y) => x + y, 0))],
    cost: 7 / 64,
    // On A2 and A3 the count form has no use for its work space.
    idle: ["w"],
  },
  { op: "reduce_max.f32", text: "ReduceMax({d}, {a}, {w}, {n})", meaning: (a = []) => [Math.max(...a)], cost: 7 / 64 },
  {
    op: "arg_max.f32",
    text: "ReduceMax({d}, {a}, {w}, {n}, true)",
    // The value and the index of the first of the largest.
    meaning: (a = []) => [Math.max(...a), a.indexOf(Math.max(...a))],
    cost: 7 / 64,
  },
];

type Meaning = AscendInstruction["meaning"];

/** A whole number kept within −most − 1 and most. */
const clampTo = (x: number, most: number): number => Math.max(-most - 1, Math.min(most, x));

function nearestEven(x: number): number {
  const floor = Math.floor(x);
  const up = x - floor > 0.5 || (x - floor === 0.5 && floor % 2 !== 0);
  return up ? floor + 1 : floor;
}

function zip(f: (a: number, b: number) => number): Meaning {
  return (a = [], b = []) => a.map((x, i) => f(x, b[i] ?? 0));
}

function each(f: (a: number, s: number) => number): Meaning {
  return (a = [], [s = 0] = []) => a.map((x) => f(x, s));
}

function round2(f: (a: number, b: number) => number): (a: number, b: number) => number {
  return (a, b) => Math.fround(f(a, b));
}

/** int32_t wraps. */
function wrap2(f: (a: number, b: number) => number, name: string): (a: number, b: number) => number {
  return name === "mul" || name === "muls" ? Math.imul : (a, b) => f(a, b) | 0;
}

function binary(name: string, op: string, f: (a: number, b: number) => number, rate: number): AscendInstruction[] {
  const text = `${name}({d}, {a}, {b}, {n})`;
  return [
    { op: `${op}.f32`, text, meaning: zip(round2(f)), cost: 1 / rate },
    { op: `${op}.i32`, text, meaning: zip(wrap2(f, op)), cost: 1 / rate },
  ];
}

function withScalar(name: string, op: string, f: (a: number, s: number) => number): AscendInstruction[] {
  const text = `${name}({d}, {a}, {s}, {n})`;
  return [
    { op: `${op}.f32`, text, meaning: each(round2(f)), cost: 1 / 64 },
    { op: `${op}.i32`, text, meaning: each(wrap2(f, op)), cost: 1 / 64 },
  ];
}

function unary(name: string, op: string, f: (a: number) => number, rate: number): AscendInstruction {
  return {
    op: `${op}.f32`,
    text: `${name}({d}, {a}, {n})`,
    meaning: (a = []) => a.map((x) => Math.fround(f(x))),
    cost: 1 / rate,
  };
}

function fill(dtype: string, rate: number): AscendInstruction {
  return {
    op: `fill.${dtype}`,
    text: "Duplicate({d}, {s}, {n})",
    meaning: ([s = 0] = [], [n = 0] = []) => new Array<number>(n).fill(s),
    cost: 1 / rate,
  };
}

/** Elements of bf16 and f16 are their bits. */
function cast(from: string, to: string, mode: string, f: (a: number) => number, rate: number): AscendInstruction {
  return {
    op: `cast.${from}.${to}`,
    text: `Cast({d}, {a}, RoundMode::CAST_${mode}, {n})`,
    meaning: (a = []) => a.map((x) => f(x)),
    cost: 1 / rate,
  };
}

function encodeOne(encode: (values: Float32Array, bits: Uint16Array) => void): (value: number) => number {
  return (value) => {
    const bits = new Uint16Array(1);
    encode(Float32Array.of(value), bits);
    return bits[0] ?? 0;
  };
}

/** One bit per element. */
function compare(mode: string, op: string, f: (a: number, b: number) => boolean): AscendInstruction {
  return {
    op,
    text: `Compare({d}, {a}, {b}, CMPMODE::${mode}, {n})`,
    meaning: (a = [], b = []) => a.map((x, i) => Number(f(x, b[i] ?? 0))),
    cost: 1 / 64,
  };
}
