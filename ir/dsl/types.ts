import type { AuthorType } from "../core/types.ts";
import type { DimName, Dims, Tensor as Typed } from "./tensor-type.ts";

export type { DimName, Dims, Tail } from "./tensor-type.ts";

/** How a tensor's elements are stored. "auto": floats, the compiler chooses f32, f16 or bf16. Any other name pins it. */
export type Storage = AuthorType | "auto";

/** What "auto" may become. */
type Float = "f32" | "f16" | "bf16";

type StoredAs<S extends Storage> = S extends "auto" ? Float : S;

declare const expert: unique symbol;

/** A tensor whose dimensions are part of its type: `Tensor<["T", "H"]>`, `Tensor<["E+Z"], "f32">`. `w[e]` is the slice of expert e. */
export type Tensor<D extends Dims = Dims, S extends Storage = "auto"> = Typed<D, StoredAs<S>>;

/** A tensor of these dimensions in any storage. */
export type AnyTensor<D extends Dims = Dims> = Typed<D, AuthorType>;

/** The id of an FFN expert, as `mix` gives it to the body. Its one use is as an index: `w.gate[e]`. */
export type Expert = number & { readonly [expert]: true };

export type Last<D extends Dims> = D extends readonly [...infer _, infer L extends DimName] ? L : DimName;
export type Init<D extends Dims> = D extends readonly [...infer I extends Dims, DimName] ? [...I] : DimName[];

/** "T, H" */
export type Join<D extends Dims> = D extends readonly [infer F extends DimName, ...infer R extends Dims]
  ? R extends readonly []
    ? `${F}`
    : `${F}, ${Join<R>}`
  : "";

/** True where two dimensions agree, or one is not known to the type system (a plain `string` or `number`). */
export type SameDim<A extends DimName, B extends DimName> = [A] extends [B] ? true : [B] extends [A] ? true : false;

/** `unknown` where `linear(x: A, w: W)` fits, else the message that the editor shows. */
export type LinearFits<A extends Dims, W extends Dims> = W extends readonly [DimName, DimName]
  ? SameDim<Last<A>, Last<W>> extends true
    ? unknown
    : `inner dimensions differ: ${Last<A>} vs ${Last<W>}`
  : `a weight of linear has 2 dimensions, found [${Join<W>}]`;

type BroadcastDim<A extends DimName, B extends DimName> =
  SameDim<A, B> extends true ? A : A extends 1 ? B : B extends 1 ? A : never;

/** The dimensions of an elementwise result: aligned at the last dimension; missing leading dimensions and 1 stretch. */
export type Broadcast<A extends Dims, B extends Dims> = A extends readonly [
  ...infer AI extends Dims,
  infer AL extends DimName,
]
  ? B extends readonly [...infer BI extends Dims, infer BL extends DimName]
    ? [...Broadcast<AI, BI>, BroadcastDim<AL, BL>]
    : [...A]
  : [...B];

/** `unknown` where A and B broadcast, else the message that the editor shows. */
export type Broadcasts<A extends Dims, B extends Dims> = A extends readonly [
  ...infer AI extends Dims,
  infer AL extends DimName,
]
  ? B extends readonly [...infer BI extends Dims, infer BL extends DimName]
    ? [BroadcastDim<AL, BL>] extends [never]
      ? `dimensions differ: ${AL} vs ${BL}`
      : Broadcasts<AI, BI>
    : unknown
  : unknown;
