import type { WgslFunction, WgslLanguage } from "../../codegen/emit/wgsl/language.ts";
import type { BasicOp } from "../../codegen/tile/composites.ts";
import type { ScalarType } from "../../ir/core/scalar.ts";

// Accuracies: the WGSL specification, section "Floating Point Accuracy" (https://www.w3.org/TR/WGSL/#floating-point-accuracy).

const round = (type: ScalarType, value: number): number => (type === "i32" ? value | 0 : Math.fround(value));
const flag = (value: boolean): number => (value ? 1 : 0);
const infix = (sign: string, level: WgslFunction["level"], right: WgslFunction["level"]) =>
  ({ text: `{a} ${sign} {b}`, level, operands: [level, right] }) as const;
const compare = (sign: string) =>
  ({ text: `{a} ${sign} {b}`, level: "relational", operands: ["additive", "additive"] }) as const;
const call = (name: string, count: number) =>
  ({
    text: `${name}(${["{a}", "{b}", "{c}"].slice(0, count).join(", ")})`,
    level: "primary",
    operands: ["or", "or", "or"],
  }) as const;

const isOverflow = (value: number): boolean => Math.abs(value) > 3.4028234663852886e38;
const hasNaN = (a: number, b: number): boolean => Number.isNaN(a) || Number.isNaN(b);
/** WGSL lets a device take NaN and overflow as it likes. */
const beyond =
  (f: (a: number, b: number) => number) =>
  (a: number, b: number): boolean =>
    !Number.isFinite(a) || !Number.isFinite(b) || isOverflow(f(a, b));

/** Largest argument of exp whose result is an f32. */
const expLimit = Math.fround(88.72283);

const functions = {
  add: {
    ...infix("+", "additive", "multiplicative"),
    meaning: (type, a, b) => round(type, a + b),
    indeterminate: beyond((a, b) => a + b),
  },
  sub: {
    ...infix("-", "additive", "multiplicative"),
    meaning: (type, a, b) => round(type, a - b),
    indeterminate: beyond((a, b) => a - b),
  },
  mul: {
    ...infix("*", "multiplicative", "unary"),
    meaning: (type, a, b) => (type === "i32" ? Math.imul(a, b) : Math.fround(a * b)),
    indeterminate: beyond((a, b) => a * b),
  },
  div: {
    ...infix("/", "multiplicative", "unary"),
    meaning: (_, a, b) => Math.fround(a / b),
    ulps: () => 2.5,
    // Beyond 2^126 a reciprocal is subnormal, and may be flushed.
    indeterminate: (a, b) => beyond((x, y) => x / y)(a, b) || Math.abs(b) > 2 ** 126 || Math.abs(b) < 2 ** -126,
  },
  neg: { text: "-{a}", level: "unary", operands: ["primary"], meaning: (type, a) => round(type, -a) },
  abs: { ...call("abs", 1), meaning: (type, a) => round(type, Math.abs(a)) },
  min: { ...call("min", 2), meaning: (type, a, b) => round(type, Math.min(a, b)), indeterminate: hasNaN },
  max: { ...call("max", 2), meaning: (type, a, b) => round(type, Math.max(a, b)), indeterminate: hasNaN },
  exp: {
    ...call("exp_finite", 1),
    meaning: (_, a) => Math.fround(Math.exp(Math.min(a, expLimit))),
    ulps: (a) => 3 + 2 * Math.abs(Math.min(a, expLimit)),
    indeterminate: (a) => Number.isNaN(a),
  },
  log: {
    ...call("log", 1),
    meaning: (_, a) => Math.fround(Math.log(a)),
    // Absolute 2^-21 in [0.5, 2], else 3 ulp.
    ulps: (a) => (a >= 0.5 && a <= 2 ? Math.max(3, 2 ** -21 / (2 ** -24 * Math.abs(Math.log(a)) + 2 ** -149)) : 3),
    indeterminate: (a) => !(a > 0) || !Number.isFinite(a),
  },
  sqrt: {
    ...call("sqrt", 1),
    meaning: (_, a) => Math.fround(Math.sqrt(a)),
    // Inherited from 1 / inverseSqrt(x): 2 ulp and 2.5 ulp.
    ulps: () => 5,
    indeterminate: (a) => !(a >= 0) || !Number.isFinite(a),
  },
  floor: { ...call("floor", 1), meaning: (_, a) => Math.floor(a), indeterminate: (a) => !Number.isFinite(a) },
  floorDiv: {
    ...call("floor_div", 2),
    natural: infix("/", "multiplicative", "unary"),
    meaning: (_, a, b) => Math.floor(a / b) | 0,
    indeterminate: (_, b) => b === 0,
  },
  mod: {
    ...call("floor_mod", 2),
    natural: infix("%", "multiplicative", "unary"),
    meaning: (_, a, b) => (a - b * Math.floor(a / b)) | 0,
    indeterminate: (_, b) => b === 0,
  },
  lt: { ...compare("<"), meaning: (_, a, b) => flag(a < b), indeterminate: hasNaN },
  le: { ...compare("<="), meaning: (_, a, b) => flag(a <= b), indeterminate: hasNaN },
  eq: { ...compare("=="), meaning: (_, a, b) => flag(a === b), indeterminate: hasNaN },
  and: { text: "{a} && {b}", level: "and", operands: ["relational", "relational"], meaning: (_, a, b) => a * b },
  or: { text: "{a} || {b}", level: "or", operands: ["relational", "relational"], meaning: (_, a, b) => Math.max(a, b) },
  not: { text: "!{a}", level: "unary", operands: ["primary"], meaning: (_, a) => 1 - a },
  select: {
    text: "select({c}, {b}, {a})",
    level: "primary",
    operands: ["or", "or", "or"],
    meaning: (_, a, b, c) => (a !== 0 ? b : c),
  },
  fma: {
    ...call("fma", 3),
    meaning: (_, a, b, c) => Math.fround(a * b + c),
    indeterminate: beyond((a, b) => a * b),
  },
  toFloat: { ...call("f32", 1), meaning: (_, a) => Math.fround(a) },
  toInt: {
    ...call("to_int", 1),
    meaning: (_, a) => (Number.isNaN(a) ? 0 : Math.trunc(Math.min(Math.max(a, -2147483648), 2147483520))),
    indeterminate: (a) => Number.isNaN(a),
  },
} as const satisfies Record<BasicOp, WgslFunction>;

const helpers = {
  infinity: `// WGSL has no literal for infinity, and rejects constants that become one.
var<private> infinity_bits: u32 = 0x7f800000u;
fn infinity() -> f32 {
  return bitcast<f32>(infinity_bits);
}`,
  not_a_number: `var<private> not_a_number_bits: u32 = 0x7fc00000u;
fn not_a_number() -> f32 {
  return bitcast<f32>(not_a_number_bits);
}`,
  exp_finite: `// Stops at the largest f32, since overflow is indeterminate in WGSL.
fn exp_finite(x: f32) -> f32 {
  return exp(clamp(x, -104.0, ${expLimit}));
}`,
  floor_div: `fn floor_div(a: i32, b: i32) -> i32 {
  let quotient = a / b;
  return select(quotient, quotient - 1, a % b != 0 && ((a ^ b) < 0));
}`,
  floor_mod: `fn floor_mod(a: i32, b: i32) -> i32 {
  let remainder = a % b;
  return select(remainder, remainder + b, remainder != 0 && ((remainder ^ b) < 0));
}`,
  to_int: `// Towards zero, kept within what an i32 holds.
fn to_int(x: f32) -> i32 {
  return i32(clamp(x, -2147483648.0, 2147483520.0));
}`,
  read_u8: `// Byte number \`at\` of a buffer, from its word.
fn read_u8(word: u32, at: i32) -> i32 {
  return i32(extractBits(word, u32(at & 3) * 8u, 8u));
}`,
  read_i8: `fn read_i8(word: u32, at: i32) -> i32 {
  return extractBits(bitcast<i32>(word), u32(at & 3) * 8u, 8u);
}`,
  read_f16: `fn read_f16(word: u32, at: i32) -> f32 {
  return unpack2x16float(word >> (u32(at & 1) * 16u)).x;
}`,
  read_bf16: `fn read_bf16(word: u32, at: i32) -> f32 {
  return bitcast<f32>((word >> (u32(at & 1) * 16u)) << 16u);
}`,
  write_u8: `// The word with its byte number \`at\` replaced.
fn write_u8(word: u32, at: i32, value: i32) -> u32 {
  return insertBits(word, u32(value), u32(at & 3) * 8u, 8u);
}`,
  write_i8: `fn write_i8(word: u32, at: i32, value: i32) -> u32 {
  return insertBits(word, bitcast<u32>(value), u32(at & 3) * 8u, 8u);
}`,
  write_f16: `fn write_f16(word: u32, at: i32, value: f32) -> u32 {
  return insertBits(word, pack2x16float(vec2(value, 0.0)), u32(at & 1) * 16u, 16u);
}`,
  write_bf16: `// To nearest, ties to even; NaN stays NaN.
fn write_bf16(word: u32, at: i32, value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let nearest = (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
  let half = select(nearest, (bits >> 16u) | 64u, (bits & 0x7fffffffu) > 0x7f800000u);
  return insertBits(word, half, u32(at & 1) * 16u, 16u);
}`,
  vector_f16: `// Four neighbours.
fn vector_f16(words: vec2<u32>) -> vec4<f32> {
  return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}`,
  vector_bf16: `fn vector_bf16(words: vec2<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}`,
  bytes_u8: `fn bytes_u8(word: u32) -> vec4<i32> {
  return vec4<i32>((vec4(word) >> vec4(0u, 8u, 16u, 24u)) & vec4(255u));
}`,
  bytes_i8: `fn bytes_i8(word: u32) -> vec4<i32> {
  return bitcast<vec4<i32>>(vec4(word) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u);
}`,
  order_key: `// An i32 in the order of the floats: -0 equals 0, NaN comes last.
fn order_key(x: f32) -> i32 {
  let bits = bitcast<i32>(x);
  let magnitude = bits & 0x7fffffff;
  let key = select(magnitude, -magnitude, bits < 0);
  return select(key, -2147483647, 0x7f800000 < magnitude);
}`,
} as const;

/** How WGSL writes what tile IR says. */
export const wgslLanguage: WgslLanguage = { functions, helpers, workgroupSize: 64 };
