import type { AuthorType } from "../core/types.ts";

/** A dimension as an author writes it: a name, a whole number, or text with sums and products of them ("E+Z"). */
export type DimName = string | number;
export type Dims = readonly DimName[];

export type Tail<D extends Dims> = D extends readonly [DimName, ...infer R extends Dims] ? [...R] : DimName[];

declare const shape: unique symbol;
declare const storage: unique symbol;

/**
 * What a tensor is to the type system. `S` is every dtype that it may be stored as, so that a tensor of one dtype fits where
 * several are allowed. Authors name it through the alias in types.ts; its name here is what errors show.
 */
export interface Tensor<D extends Dims, S extends AuthorType> {
  readonly [shape]: D;
  readonly [storage]: S;
  readonly [expert: number]: Tensor<Tail<D>, S>;
}
