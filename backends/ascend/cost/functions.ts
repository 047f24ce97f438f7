/** Numbers that kernels compute; NaN is a value that the model does not know. Comparisons give 1, 0 or NaN. */

const known =
  (f: (a: number, b: number) => boolean) =>
  (a: number, b: number): number =>
    Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : f(a, b) ? 1 : 0;

export const binaries: Readonly<Record<string, (a: number, b: number) => number>> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  // Integers, as all that decides is.
  "/": (a, b) => Math.trunc(a / b),
  "%": (a, b) => a % b,
  "<": known((a, b) => a < b),
  "<=": known((a, b) => a <= b),
  ">": known((a, b) => a > b),
  ">=": known((a, b) => a >= b),
  "==": known((a, b) => a === b),
  "!=": known((a, b) => a !== b),
  "&&": (a, b) => (a === 0 || b === 0 ? 0 : a + b > 0 ? 1 : Number.NaN),
  "||": (a, b) => (a > 0 || b > 0 ? 1 : a + b === 0 ? 0 : Number.NaN),
};

/** Of an unknown and a known number the known one: what is at most 128 counts as 128. */
const smaller = (a: number, b: number): number => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.min(a, b));
const larger = (a: number, b: number): number => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.max(a, b));

/** Helpers of the support header, and what of the language looks like a call. */
export const functions: Readonly<Record<string, (a: number, b: number) => number>> = {
  Smaller: smaller,
  Larger: larger,
  RoundUp: (a, unit) => Math.ceil(a / unit) * unit,
  FloorDiv: (a, b) => Math.floor(a / b),
  FloorMod: (a, b) => a - b * Math.floor(a / b),
  Floor: (a) => Math.floor(a),
  Magnitude: (a) => Math.abs(a),
  FloatFromBits: () => Number.NaN,
  ToFloat: (a) => a,
  ToBfloat16: (a) => a,
  static_cast: (a) => a,
  reinterpret_cast: (a) => a,
  void: () => 0,
};
