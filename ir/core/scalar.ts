import { IrError } from "./diagnostic.ts";
import { erf } from "./erf.ts";

/**
 * The one language of scalar expressions. Layer IR uses it for elementwise functions (activations, epilogues);
 * tile IR uses it for those and for indices, bounds and conditions, where it may also read elements of buffers.
 */
export type ScalarType = "f32" | "i32" | "bool";

export type ScalarExpr =
  | { readonly kind: "const"; readonly type: ScalarType; readonly value: number }
  | { readonly kind: "var"; readonly type: ScalarType; readonly name: string }
  | { readonly kind: "apply"; readonly type: ScalarType; readonly op: ScalarOp; readonly args: readonly ScalarExpr[] }
  /** One element of a buffer or tile. Legal in tile IR only. */
  | {
      readonly kind: "element";
      readonly type: ScalarType;
      readonly base: string;
      readonly index: readonly ScalarExpr[];
    };

/** An elementwise function: parameters are f32, in the order of the operands. */
export interface ScalarFunction {
  readonly params: readonly string[];
  readonly body: ScalarExpr;
}

type Signature = "float" | "number" | "compare" | "logic" | "integer" | "select" | "toFloat" | "toInt";

interface ScalarOpDefinition {
  readonly arity: number;
  /**
   * float: f32 → f32; number: f32 → f32 or i32 → i32; integer: i32 → i32; compare: two numbers of one type → bool;
   * logic: bool → bool; select: (bool, a, a) → a; toFloat: i32 → f32; toInt: f32 → i32, towards zero.
   */
  readonly signature: Signature;
  /** The meaning, on numbers (bool is 0 or 1). Reals: nothing is rounded to f32. */
  evaluate(a: number, b: number, c: number): number;
  /**
   * Largest error of the result, given its exact value `r`, the arguments and the largest errors of the arguments.
   * For bool it is 1 where the errors of the arguments may turn the result. Absent where the op never sees floats.
   * Accuracies are the loosest of the targets: the WGSL specification's (section "Floating Point Accuracy"), which the other
   * targets keep as well. Sine, cosine and erf are those of codegen/tile/composites.ts.
   */
  bound?(r: number, args: readonly number[], errors: readonly number[]): number;
}

/** Half a unit in the last place of f32, relative; and the smallest normal number, below which results may flush to zero. */
const u = 2 ** -24;
const tiny = 2 ** -126;
/** Beyond f64 both sides hold infinity, and there is nothing to round. */
const rounded = (r: number, halfUlps = 1): number => (Number.isFinite(r) ? halfUlps * u * Math.abs(r) + tiny : 0);
/** Above this, an f32 may be infinite. */
const huge = 3e38;
/** 1 where two numbers are so close that their errors may turn a comparison. */
const turns = ([a, b]: readonly number[], [ea, eb]: readonly number[]): number =>
  ea + eb > 0 && Math.abs(a - b) <= ea + eb ? 1 : 0;

/** Up to this many radians sine and cosine are accurate. */
const mostRadians = 2 ** 20;
/** Of sine and cosine: 2^-22 absolute, no accuracy beyond `mostRadians`. `slope`: of the function at the argument. */
function waveBound(a: number, ea: number, slope: number): number {
  const carried = Math.min(ea, Math.abs(slope) * ea + (ea * ea) / 2, 2);
  return carried + (Math.abs(a) + ea <= mostRadians ? 2 ** -22 : 2);
}

export const scalarOps = {
  add: {
    arity: 2,
    signature: "number",
    evaluate: (a, b) => a + b,
    bound: (r, _, [ea, eb]) => ea + eb + rounded(Math.abs(r) + ea + eb),
  },
  sub: {
    arity: 2,
    signature: "number",
    evaluate: (a, b) => a - b,
    bound: (r, _, [ea, eb]) => ea + eb + rounded(Math.abs(r) + ea + eb),
  },
  mul: {
    arity: 2,
    signature: "number",
    evaluate: (a, b) => a * b,
    bound: (r, [a, b], [ea, eb]) => {
      const e = Math.abs(a) * eb + Math.abs(b) * ea + ea * eb;
      return e + rounded(Math.abs(r) + e);
    },
  },
  /** a·b + c, rounded once or twice. */
  fma: {
    arity: 3,
    signature: "float",
    evaluate: (a, b, c) => a * b + c,
    bound: (r, [a, b], [ea, eb, ec]) => {
      const e = Math.abs(a) * eb + Math.abs(b) * ea + ea * eb;
      const product = rounded(Math.abs(a * b) + e);
      return e + ec + product + rounded(Math.abs(r) + e + ec + product);
    },
  },
  div: {
    arity: 2,
    signature: "float",
    evaluate: (a, b) => a / b,
    // 2.5 ulp in WGSL.
    bound: (r, [, b], [ea, eb]) => {
      const room = Math.abs(b) - eb;
      if (!(room > 0)) return Number.POSITIVE_INFINITY;
      const e = (ea + Math.abs(r) * eb) / room;
      const error = e + rounded(Math.abs(r) + e, 5);
      // A divisor beyond f32 (exp of a large number) makes a quotient of zero on a machine: the error is the quotient itself.
      return Math.abs(b) + eb > huge ? Math.max(error, Math.abs(r) + tiny) : error;
    },
  },
  neg: { arity: 1, signature: "number", evaluate: (a) => -a, bound: (_, __, [ea]) => ea },
  abs: { arity: 1, signature: "number", evaluate: (a) => Math.abs(a), bound: (_, __, [ea]) => ea },
  min: {
    arity: 2,
    signature: "number",
    evaluate: (a, b) => Math.min(a, b),
    bound: (_, __, [ea, eb]) => Math.max(ea, eb),
  },
  max: {
    arity: 2,
    signature: "number",
    evaluate: (a, b) => Math.max(a, b),
    bound: (_, __, [ea, eb]) => Math.max(ea, eb),
  },
  exp: {
    arity: 1,
    signature: "float",
    evaluate: (a) => Math.exp(a),
    // 3 + 2|x| ulp in WGSL.
    bound: (r, [a], [ea]) => {
      // Where f64 overflows, so does every machine, unless the argument is not known well enough.
      if (r === Number.POSITIVE_INFINITY) return a - ea > 89 ? 0 : r;
      const e = r * Math.expm1(ea);
      return e + rounded(r + e, 2 * (3 + 2 * (Math.abs(a) + ea)));
    },
  },
  // e^x − 1, accurate near 0 as well.
  expm1: {
    arity: 1,
    signature: "float",
    evaluate: (a) => Math.expm1(a),
    bound: (r, [a], [ea]) => {
      if (r === Number.POSITIVE_INFINITY) return a - ea > 89 ? 0 : r;
      const e = (r + 1) * Math.expm1(ea);
      const far = Math.abs(a) + ea < 0.35 ? 0 : rounded(r + 1 + e, 2 * (3 + 2 * (Math.abs(a) + ea)));
      return e + far + rounded(Math.abs(r) + e, 8);
    },
  },
  log: {
    arity: 1,
    signature: "float",
    evaluate: (a) => Math.log(a),
    // Absolute 2^-21 near 1, else 3 ulp, in WGSL.
    bound: (r, [a], [ea]) =>
      a - ea > 0
        ? Math.log1p(ea / (a - ea)) + Math.max(2 ** -21, rounded(Math.abs(r) + Math.log1p(ea / (a - ea)), 6))
        : Number.POSITIVE_INFINITY,
  },
  sqrt: {
    arity: 1,
    signature: "float",
    evaluate: (a) => Math.sqrt(a),
    bound: (r, [a], [ea]) => {
      const e = ea === 0 ? 0 : a > ea ? ea / (Math.sqrt(a - ea) + r) : Math.sqrt(a + ea);
      return e + rounded(r + e, 8);
    },
  },
  floor: {
    arity: 1,
    signature: "float",
    evaluate: (a) => Math.floor(a),
    bound: (_, [a], [ea]) => (ea === 0 ? 0 : Math.floor(a + ea) - Math.floor(a - ea)),
  },
  sin: {
    arity: 1,
    signature: "float",
    evaluate: (a) => Math.sin(a),
    bound: (_, [a], [ea]) => waveBound(a, ea, Math.cos(a)),
  },
  cos: {
    arity: 1,
    signature: "float",
    evaluate: (a) => Math.cos(a),
    bound: (_, [a], [ea]) => waveBound(a, ea, Math.sin(a)),
  },
  // The error function.
  erf: {
    arity: 1,
    signature: "float",
    evaluate: (a) => erf(a),
    bound: (r, [a], [ea]) => {
      const nearest = Math.max(0, Math.abs(a) - ea);
      const e = Math.min(2, (2 / Math.sqrt(Math.PI)) * Math.exp(-nearest * nearest) * ea);
      return e + rounded(Math.abs(r) + e, 16);
    },
  },
  floorDiv: { arity: 2, signature: "integer", evaluate: (a, b) => Math.floor(a / b) },
  mod: { arity: 2, signature: "integer", evaluate: (a, b) => a - b * Math.floor(a / b) },
  lt: {
    arity: 2,
    signature: "compare",
    evaluate: (a, b) => Number(a < b),
    bound: (_, args, errors) => turns(args, errors),
  },
  le: {
    arity: 2,
    signature: "compare",
    evaluate: (a, b) => Number(a <= b),
    bound: (_, args, errors) => turns(args, errors),
  },
  eq: {
    arity: 2,
    signature: "compare",
    evaluate: (a, b) => Number(a === b),
    bound: (_, args, errors) => turns(args, errors),
  },
  and: {
    arity: 2,
    signature: "logic",
    evaluate: (a, b) => a * b,
    bound: (_, [a, b], [ea, eb]) => ((a === 0 && ea === 0) || (b === 0 && eb === 0) ? 0 : Math.max(ea, eb)),
  },
  or: {
    arity: 2,
    signature: "logic",
    evaluate: (a, b) => Math.max(a, b),
    bound: (_, [a, b], [ea, eb]) => ((a !== 0 && ea === 0) || (b !== 0 && eb === 0) ? 0 : Math.max(ea, eb)),
  },
  not: { arity: 1, signature: "logic", evaluate: (a) => 1 - a, bound: (_, __, [ea]) => ea },
  select: {
    arity: 3,
    signature: "select",
    evaluate: (c, a, b) => (c !== 0 ? a : b),
    // Where rounding may turn the condition, the result may be either.
    bound: (_, [c, a, b], [ec, ea, eb]) => (ec !== 0 ? Math.abs(a - b) + Math.max(ea, eb) : c !== 0 ? ea : eb),
  },
  toFloat: {
    arity: 1,
    signature: "toFloat",
    evaluate: (a) => a,
    bound: (r, _, [ea]) => ea + rounded(Math.abs(r) + ea),
  },
  toInt: {
    arity: 1,
    signature: "toInt",
    evaluate: (a) => Math.trunc(a),
    bound: (_, [a], [ea]) => (ea === 0 ? 0 : Math.trunc(a + ea) - Math.trunc(a - ea)),
  },
} as const satisfies Record<string, ScalarOpDefinition>;

export type ScalarOp = keyof typeof scalarOps;

/** The definition of an op, with the optional members visible. */
export const scalarOp = (op: ScalarOp): ScalarOpDefinition => scalarOps[op];

export const f32 = (value: number): ScalarExpr => ({ kind: "const", type: "f32", value });
export const i32 = (value: number): ScalarExpr => ({ kind: "const", type: "i32", value });
export const bool = (value: boolean): ScalarExpr => ({ kind: "const", type: "bool", value: Number(value) });
export const variable = (name: string, type: ScalarType): ScalarExpr => ({ kind: "var", type, name });
export const element = (base: string, type: ScalarType, index: readonly ScalarExpr[]): ScalarExpr => ({
  kind: "element",
  type,
  base,
  index,
});

/** Applies an op; checks arity and types, so an ill-typed expression cannot exist. */
export function apply(op: ScalarOp, ...args: readonly ScalarExpr[]): ScalarExpr {
  const { arity, signature } = scalarOp(op);
  const types = args.map((a) => a.type);
  const fail = (expected: string): never => {
    throw new IrError(`${op} expects ${expected}, found (${types.join(", ")})`, `Give ${op} arguments of these types.`);
  };
  if (args.length !== arity) fail(`${arity} argument${arity === 1 ? "" : "s"}`);
  const all = (type: ScalarType): boolean => types.every((t) => t === type);
  switch (signature) {
    case "float":
      if (!all("f32")) fail("f32");
      return { kind: "apply", type: "f32", op, args };
    case "number":
      if (!all("f32") && !all("i32")) fail("numbers of one type");
      return { kind: "apply", type: types[0] as ScalarType, op, args };
    case "integer":
      if (!all("i32")) fail("i32");
      return { kind: "apply", type: "i32", op, args };
    case "compare":
      if (!all("f32") && !all("i32")) fail("two numbers of one type");
      return { kind: "apply", type: "bool", op, args };
    case "logic":
      if (!all("bool")) fail("bool");
      return { kind: "apply", type: "bool", op, args };
    case "select":
      if (types[0] !== "bool" || types[1] !== types[2]) fail("(bool, a, a)");
      return { kind: "apply", type: types[1] as ScalarType, op, args };
    case "toFloat":
      if (!all("i32")) fail("i32");
      return { kind: "apply", type: "f32", op, args };
    case "toInt":
      if (!all("f32")) fail("f32");
      return { kind: "apply", type: "i32", op, args };
  }
}

/** Replaces variables by expressions. */
export function substitute(expr: ScalarExpr, values: ReadonlyMap<string, ScalarExpr>): ScalarExpr {
  switch (expr.kind) {
    case "const":
      return expr;
    case "var":
      return values.get(expr.name) ?? expr;
    case "apply":
      return apply(expr.op, ...expr.args.map((a) => substitute(a, values)));
    case "element":
      return { ...expr, index: expr.index.map((a) => substitute(a, values)) };
  }
}

/** Evaluates an expression without elements over named numbers. */
export function evaluateScalar(expr: ScalarExpr, values: Readonly<Record<string, number>>): number {
  switch (expr.kind) {
    case "const":
      return expr.value;
    case "var": {
      const value = values[expr.name];
      if (value === undefined)
        throw new IrError(`variable ${expr.name} has no value`, `Give a value for ${expr.name}.`);
      return value;
    }
    case "apply": {
      const [a = 0, b = 0, c = 0] = expr.args.map((x) => evaluateScalar(x, values));
      return scalarOp(expr.op).evaluate(a, b, c);
    }
    case "element":
      throw new IrError("an element of a buffer is not a constant", "Use values known at compile time here.");
  }
}

/** Common activations, as expressions over f32. Sources: their usual definitions. */
export const sigmoid = (x: ScalarExpr): ScalarExpr =>
  apply("div", f32(1), apply("add", f32(1), apply("exp", apply("neg", x))));
export const silu = (x: ScalarExpr): ScalarExpr => apply("mul", x, sigmoid(x));
/** log(1 + eˣ), in a form that does not overflow. */
export const softplus = (x: ScalarExpr): ScalarExpr =>
  apply(
    "add",
    apply("max", x, f32(0)),
    apply("log", apply("add", f32(1), apply("exp", apply("neg", apply("abs", x))))),
  );

const infix: Partial<Record<ScalarOp, string>> = {
  add: "+",
  sub: "-",
  mul: "*",
  div: "/",
  floorDiv: "//",
  mod: "%",
  lt: "<",
  le: "<=",
  eq: "==",
  and: "&&",
  or: "||",
};

/** Text of an expression, fully parenthesised. f32 constants carry a point or exponent, so that parsing gives the same types. */
export function formatScalar(expr: ScalarExpr): string {
  switch (expr.kind) {
    case "const":
      if (expr.type === "bool") return expr.value !== 0 ? "true" : "false";
      if (expr.type === "i32") return String(expr.value);
      if (!Number.isFinite(expr.value)) return Number.isNaN(expr.value) ? "nan" : expr.value > 0 ? "inf" : "-inf";
      if (Object.is(expr.value, -0)) return "-0.0";
      return Number.isInteger(expr.value) && Math.abs(expr.value) < 1e21 ? `${expr.value}.0` : String(expr.value);
    case "var":
      return expr.name;
    case "apply": {
      const args = expr.args.map(formatScalar);
      const sign = infix[expr.op];
      return sign === undefined ? `${expr.op}(${args.join(", ")})` : `(${args.join(` ${sign} `)})`;
    }
    case "element":
      return `${expr.base}[${expr.index.map(formatScalar).join(", ")}]`;
  }
}
