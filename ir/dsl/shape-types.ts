import type { AuthorType } from "../core/types.ts";
import type { DimName, Dims, Tail, Tensor as Typed } from "./tensor-type.ts";
import type { AnyTensor, Join, SameDim } from "./types.ts";

/** What the type system knows of functions that move elements: reshape, concat. Each `…Fits` is `unknown`, or a message. */

/** True where a dimension is a plain `string` or `number`: not known to the type system. */
type IsWide<D extends DimName> = string extends D ? true : number extends D ? true : false;

/** The dimension itself, or one that fits any where it is not known: a parameter's value is any number to the type system. */
export type Known<D extends DimName> = IsWide<D> extends true ? DimName : D;

// reshape

/** The dimensions that an author writes out. */
export type Written<D extends Dims> = { -readonly [I in keyof D]: Known<D[I]> };

type Trim<S extends string> = S extends ` ${infer R}` | `${infer R} ` ? Trim<R> : S;

/** "2*I" → ["2", "I"] */
type FactorsOf<S extends string> = S extends `${infer A}*${infer B}`
  ? [Trim<A>, ...FactorsOf<B>]
  : Trim<S> extends "1"
    ? []
    : [Trim<S>];

/** The factors of the number of elements; `unknown` where they are not a product of names and numbers. */
type Factors<D extends Dims> = D extends readonly [infer F extends DimName, ...infer R extends Dims]
  ? IsWide<F> extends true
    ? unknown
    : `${F}` extends `${string}+${string}`
      ? unknown
      : Factors<R> extends infer Others extends readonly string[]
        ? [...FactorsOf<`${F}`>, ...Others]
        : unknown
  : D extends readonly []
    ? []
    : unknown;

type Remove<A extends readonly string[], X> = A extends readonly [infer H extends string, ...infer R extends string[]]
  ? H extends X
    ? R
    : [H, ...Remove<R, X>]
  : [];

/** The factors of A that B does not have. */
type Left<A extends readonly string[], B extends readonly string[]> = A extends readonly [
  infer H extends string,
  ...infer R extends string[],
]
  ? H extends B[number]
    ? Left<R, Remove<B, H>>
    : [H, ...Left<R, B>]
  : [];

/** Whether what is left of two products can be equal: only numbers may be, and one number on each side is not. */
type MayBeEqual<A extends readonly string[], B extends readonly string[]> = [...A, ...B] extends readonly []
  ? true
  : [...A, ...B][number] extends `${number}`
    ? [A["length"], B["length"]] extends [0 | 1, 0 | 1]
      ? false
      : true
    : false;

type Times<D extends Dims> = D extends readonly [infer F extends DimName, ...infer R extends Dims]
  ? R extends readonly []
    ? `${F}`
    : `${F}*${Times<R>}`
  : "1";

/** `unknown` where a tensor of dimensions A can have dimensions B, as far as the types can tell. */
export type ReshapeFits<A extends Dims, B extends Dims> = [Factors<A>, Factors<B>] extends [
  infer F extends readonly string[],
  infer G extends readonly string[],
]
  ? MayBeEqual<Left<F, G>, Left<G, F>> extends true
    ? unknown
    : `element counts differ: ${Times<A>} vs ${Times<B>}`
  : unknown;

// concat

export type DimsOf<X> = X extends Typed<infer D, AuthorType> ? D : never;
export type DTypeOf<X> = X extends Typed<Dims, infer S> ? S : never;

/** Without the last N dimensions. */
type DropLast<D extends Dims, N extends number, Dropped extends readonly unknown[] = []> = Dropped["length"] extends N
  ? D
  : D extends readonly [...infer I extends Dims, DimName]
    ? DropLast<I, N, [...Dropped, unknown]>
    : never;

/** The position of a dimension that may count from the last, as text: "1" for −1 of [T, H]. */
export type Position<D extends Dims, A extends number> = `${A}` extends `-${infer N extends number}`
  ? [DropLast<D, N>] extends [never]
    ? "none"
    : `${DropLast<D, N>["length"]}`
  : `${A}`;

/** D with the dimension at a position replaced; all unknown where the position is. */
export type WithDim<D extends Dims, A extends number, N extends DimName> = number extends A
  ? DimName[]
  : number extends D["length"]
    ? DimName[]
    : { [I in keyof D]: I extends Position<D, A> ? N : D[I] };

export type DimAt<D extends Dims, A extends number> =
  Position<D, A> extends infer I extends keyof D ? Extract<D[I], DimName> : DimName;

/** "P+T"; a plain `string | number` where a part is not known, or all are numbers. */
type Plus<A extends DimName, B extends DimName> =
  IsWide<A> extends true
    ? DimName
    : IsWide<B> extends true
      ? DimName
      : [A, B] extends [number, number]
        ? DimName
        : `${A}+${B}`;

type SumAt<X extends readonly AnyTensor[], A extends number> = X extends readonly [
  ...infer I extends readonly AnyTensor[],
  infer L,
]
  ? I extends readonly []
    ? DimAt<DimsOf<L>, A>
    : Plus<SumAt<I, A>, DimAt<DimsOf<L>, A>>
  : DimName;

/** The dimensions of tensors joined along a dimension. */
export type Concat<X extends readonly AnyTensor[], A extends number> = X extends readonly [infer F, ...unknown[]]
  ? WithDim<DimsOf<F>, A, SumAt<X, A>>
  : DimName[];

/** `unknown` where D and E agree but for the dimension at position I. */
type AgreeBut<D extends Dims, E extends Dims, I extends string> = {
  [J in keyof D]: J extends I
    ? never
    : J extends keyof E
      ? SameDim<D[J], Extract<E[J], DimName>> extends true
        ? never
        : `dimensions differ: ${D[J]} vs ${Extract<E[J], DimName>}`
      : never;
}[number] extends infer Message
  ? [Message] extends [never]
    ? unknown
    : Message
  : never;

/** `unknown` where tensors can be joined, else the message that the editor shows. */
export type ConcatFits<X extends readonly AnyTensor[], A extends number> = X extends readonly [
  infer F,
  ...infer R extends readonly AnyTensor[],
]
  ? number extends A | DimsOf<F>["length"]
    ? unknown
    : Position<DimsOf<F>, A> extends keyof DimsOf<F>
      ? EachFits<DimsOf<F>, R, Position<DimsOf<F>, A>>
      : `[${Join<DimsOf<F>>}] has no dimension ${A}`
  : unknown;

type EachFits<D extends Dims, R extends readonly AnyTensor[], I extends string> = R extends readonly [
  infer G,
  ...infer S extends readonly AnyTensor[],
]
  ? number extends DimsOf<G>["length"]
    ? EachFits<D, S, I>
    : D["length"] extends DimsOf<G>["length"]
      ? unknown extends AgreeBut<D, DimsOf<G>, I>
        ? EachFits<D, S, I>
        : AgreeBut<D, DimsOf<G>, I>
      : `dimensions differ: [${Join<D>}] vs [${Join<DimsOf<G>>}]`
  : unknown;

// transpose

/** The dimensions of D in the order O. */
export type Transposed<D extends Dims, O extends readonly number[]> = number extends O["length"]
  ? DimName[]
  : { -readonly [I in keyof O]: `${O[I]}` extends keyof D ? Extract<D[`${O[I]}`], DimName> : DimName };

/** `unknown` where O names each dimension of D once. */
export type OrderFits<D extends Dims, O extends readonly number[]> = number extends
  | D["length"]
  | O["length"]
  | O[number]
  ? unknown
  : D["length"] extends O["length"]
    ? [Exclude<keyof D & `${number}`, `${O[number]}`>] extends [never]
      ? unknown
      : `[${Join<D>}] has ${D["length"]} dimensions: name each from 0 on once`
    : `[${Join<D>}] has ${D["length"]} dimensions: name each from 0 on once`;

// scatter

/** `unknown` where rows R with ids I can replace rows of D, else the message that the editor shows. */
export type ScatterFits<D extends Dims, I extends Dims, R extends Dims> = number extends
  | D["length"]
  | I["length"]
  | R["length"]
  ? unknown
  : [D["length"], I["length"]] extends [R["length"], 1]
    ? AgreeBut<[I[0], ...Tail<D>], R, "none">
    : `the ids [${Join<I>}] do not number the rows [${Join<R>}] that replace rows of [${Join<D>}]`;

// expand

/** `unknown` where the dimension can be repeated, else the message that the editor shows. */
export type ExpandFits<D extends Dims, A extends number> =
  SameDim<DimAt<D, A>, 1> extends true ? unknown : `expand repeats a dimension of size 1, found ${DimAt<D, A>}`;
