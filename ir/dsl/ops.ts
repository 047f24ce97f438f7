import { IrError } from "../core/diagnostic.ts";
import { evaluateScalar, f32, type ScalarFunction, substitute } from "../core/scalar.ts";
import type { AuthorType } from "../core/types.ts";
import { type ScalarFunctionName, scalarFunctions } from "./scalar-functions.ts";
import { concrete, EagerTensor, evaluateOne } from "./tensor.ts";
import type { AnyTensor, Broadcast, Broadcasts, Dims, Init, LinearFits, Tensor } from "./types.ts";

/** What the functions below give is concrete; the type system sees it as symbolic. */
const symbolic = <D extends Dims, S extends AuthorType>(t: EagerTensor): Tensor<D, S> => t as unknown as Tensor<D, S>;

/** x·wᵀ: x [..., K] and w [N, K] give [..., N], summed in f32. */
export function linear<A extends Dims, W extends Dims>(
  x: Tensor<A>,
  w: Tensor<W> & LinearFits<A, W>,
): Tensor<[...Init<A>, W[0]], "f32"> {
  return symbolic(evaluateOne("linear", [concrete(x, "the input of linear"), concrete(w, "the weight of linear")], {}));
}

/**
 * Another dtype: `cast(x, "bf16")` rounds; `cast(ids, "f32")` and `cast(x, "i32")` convert, the latter towards zero, out of
 * range to the nearest i32 that an f32 holds, and NaN to 0.
 */
export function cast<D extends Dims, S extends "f32" | "f16" | "bf16" | "i32">(x: AnyTensor<D>, to: S): Tensor<D, S> {
  return symbolic(evaluateOne("cast", [concrete(x, "the operand of cast")], { to }));
}

interface Unary {
  (x: number): number;
  <D extends Dims>(x: Tensor<D>): Tensor<D, "f32">;
}

interface Binary {
  (a: number, b: number): number;
  <A extends Dims>(a: Tensor<A, "i32">, b: number): Tensor<A, "i32">;
  <B extends Dims>(a: number, b: Tensor<B, "i32">): Tensor<B, "i32">;
  <A extends Dims, B extends Dims>(
    a: Tensor<A, "i32">,
    b: Tensor<B, "i32"> & Broadcasts<A, B>,
  ): Tensor<Broadcast<A, B>, "i32">;
  <A extends Dims>(a: Tensor<A>, b: number): Tensor<A, "f32">;
  <B extends Dims>(a: number, b: Tensor<B>): Tensor<B, "f32">;
  <A extends Dims, B extends Dims>(a: Tensor<A>, b: Tensor<B> & Broadcasts<A, B>): Tensor<Broadcast<A, B>, "f32">;
}

/** Numbers among the arguments of an elementwise function become constants of the expression. */
function elementwise(name: ScalarFunctionName): (...args: readonly unknown[]) => unknown {
  const fn: ScalarFunction = scalarFunctions[name];
  return (...args) => {
    const numbers = fn.params.flatMap((p, i) => {
      const arg = args[i];
      return typeof arg === "number" ? [[p, arg] as const] : [];
    });
    if (numbers.length === fn.params.length) return evaluateScalar(fn.body, Object.fromEntries(numbers));
    const body = substitute(fn.body, new Map(numbers.map(([p, value]) => [p, f32(value)])));
    const rest = fn.params.flatMap((p, i) => (typeof args[i] === "number" ? [] : [[p, args[i]] as const]));
    const operands = rest.map(([, arg]) => concrete(arg, `the argument of ${name}`));
    return evaluateOne("map", operands, { fn: { params: rest.map(([p]) => p), body } });
  };
}

const unary = (name: ScalarFunctionName): Unary => elementwise(name) as Unary;
const binary = (name: ScalarFunctionName): Binary => elementwise(name) as Binary;

// Each takes numbers or tensors. Tensors broadcast: aligned at the last dimension; missing leading dimensions and 1 stretch.
export const exp = unary("exp");
/** eˣ − 1, accurate near 0 as well: ELU is x > 0 ? x : expm1(x). */
export const expm1 = unary("expm1");
export const log = unary("log");
export const sqrt = unary("sqrt");
export const abs = unary("abs");
/** 1 / (1 + e⁻ˣ) */
export const sigmoid = unary("sigmoid");
/** x · sigmoid(x) */
export const silu = unary("silu");
/** max(x, 0) */
export const relu = unary("relu");
export const tanh = unary("tanh");
/** log(1 + eˣ) */
export const softplus = unary("softplus");
/** The largest whole number not above x. */
export const floor = unary("floor");
/** The sine of an angle in radians, accurate to 2^-22 up to 2^20 radians. */
export const sin = unary("sin");
/** The cosine of an angle in radians, as sin. */
export const cos = unary("cos");
/** The error function: the exact GeLU is x · (1 + erf(x / √2)) / 2. */
export const erf = unary("erf");
export const add = binary("add");
export const sub = binary("sub");
export const mul = binary("mul");
export const div = binary("div");
export const min = binary("min");
export const max = binary("max");

/** `unknown` where a function takes a number for each of N tensors, else the message that the editor shows. */
type TakesAll<F, N extends number> = F extends (...args: infer P) => number
  ? P["length"] extends N
    ? unknown
    : `map's function takes ${P["length"] & number} of ${N} numbers`
  : unknown;

interface MapFunction {
  <A extends Dims, F extends (a: number) => number>(a: Tensor<A, "i32">, fn: F & TakesAll<F, 1>): Tensor<A, "i32">;
  <A extends Dims, B extends Dims, F extends (a: number, b: number) => number>(
    a: Tensor<A, "i32">,
    b: Tensor<B, "i32"> & Broadcasts<A, B>,
    fn: F & TakesAll<F, 2>,
  ): Tensor<Broadcast<A, B>, "i32">;
  <A extends Dims, F extends (a: number) => number>(a: Tensor<A>, fn: F & TakesAll<F, 1>): Tensor<A, "f32">;
  <A extends Dims, B extends Dims, F extends (a: number, b: number) => number>(
    a: Tensor<A>,
    b: Tensor<B> & Broadcasts<A, B>,
    fn: F & TakesAll<F, 2>,
  ): Tensor<Broadcast<A, B>, "f32">;
  <A extends Dims, B extends Dims, C extends Dims, F extends (a: number, b: number, c: number) => number>(
    a: Tensor<A>,
    b: Tensor<B> & Broadcasts<A, B>,
    c: Tensor<C> & Broadcasts<Broadcast<A, B>, C>,
    fn: F & TakesAll<F, 3>,
  ): Tensor<Broadcast<Broadcast<A, B>, C>, "f32">;
}

/**
 * Applies an own function of numbers to each element: `map(g, u, (g, u) => (u + 1) * g)`. One to three tensors,
 * which broadcast. Over i32 it gives whole numbers: divide with Math.floor(a / n).
 */
export const map = ((...args: readonly unknown[]): unknown => {
  const fn = args[args.length - 1];
  if (typeof fn !== "function") {
    throw new IrError("the last argument of map is a function of numbers", "Write map(x, (x) => …).");
  }
  const operands = args.slice(0, -1).map((arg) => concrete(arg, "the operand of map"));
  // The op's own rule says what shape the result has; the function itself is opaque, so it is called for each element.
  const params = operands.map((_, i) => `x${i}`);
  const like = evaluateOne("map", operands, { fn: { params, body: f32(0) } });
  const data = new Float64Array(like.data.length);
  for (let i = 0; i < data.length; i++) {
    data[i] = Number(fn(...operands.map((t) => Number(t.data[sourceIndex(t.dims, like.dims, i)]))));
  }
  if (like.dtype !== "i32") return new EagerTensor({ dtype: like.dtype, dims: like.dims, data });
  const beyond = data.find((v) => v !== (v | 0));
  if (beyond !== undefined)
    throw new IrError(
      `map gives ${beyond}, which is no i32`,
      "Give whole numbers of 32 bits, or cast the tensors to f32.",
    );
  return new EagerTensor({ dtype: "i32", dims: like.dims, data: Int32Array.from(data) });
}) as MapFunction;

/** Where element `index` of the result comes from in an operand that broadcasts to it. */
function sourceIndex(dims: readonly number[], result: readonly number[], index: number): number {
  let source = 0;
  let stride = 1;
  let rest = index;
  for (let back = 1; back <= result.length; back++) {
    const size = result[result.length - back] ?? 1;
    const own = dims[dims.length - back];
    if (own === undefined) break;
    if (own !== 1) source += (rest % size) * stride;
    stride *= own;
    rest = Math.floor(rest / size);
  }
  return source;
}

/** The whole numbers from `start` (default 0) up to, not including, `end`: `for (const i of range(3))`. */
export function range(end: number): number[];
export function range(start: number, end: number): number[];
export function range(a: number, b?: number): number[] {
  const [start, end] = b === undefined ? [0, a] : [a, b];
  return Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);
}
