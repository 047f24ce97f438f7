import type { WeightBinding } from "./bindings.ts";
import type { ConfigBinding } from "./config.ts";
import type { Dim } from "./dim.ts";
import type { ScalarFunction } from "./scalar.ts";
import type { Span } from "./span.ts";
import type { TensorType } from "./types.ts";

/** An SSA value: a tensor made by an operation, or an argument of a layer or region. Identity is object identity. */
export interface Value {
  /** A name for people, unique within its layer once printed. */
  readonly name: string;
  readonly type: TensorType;
}

export type Attribute = number | string | boolean | Dim | ScalarFunction | readonly Attribute[] | AttributeMap;
export interface AttributeMap {
  readonly [name: string]: Attribute;
}

/** Code that an operation runs for each of its elements, such as the body of one expert. */
export interface Region {
  readonly args: readonly Value[];
  readonly body: readonly Operation[];
  readonly results: readonly Value[];
}

/** One operation. Made only by the builder, which runs the op's verifier, so an ill-typed operation cannot exist. */
export interface Operation {
  readonly op: string;
  readonly operands: readonly Value[];
  readonly attributes: AttributeMap;
  readonly regions: readonly Region[];
  readonly results: readonly Value[];
  readonly span: Span;
}

/**
 * Where a layer's argument comes from. A `weight` is known when the layer is loaded, an `input` at each call.
 * `auto` storage may be changed by storage selection (to bf16, say); `fixed` was said by the author.
 */
export interface Argument {
  readonly value: Value;
  readonly role: "input" | "weight";
  readonly storage: "auto" | "fixed";
}

/** A layer: arguments, operations in order, named results. Immutable; a pass makes a new one. */
export interface Layer {
  readonly name: string;
  /** Parameters with their values, such as H = 6144. Dimensions name them; symbols without a value (T) are known at run time. */
  readonly params: Readonly<Record<string, number>>;
  readonly args: readonly Argument[];
  readonly body: readonly Operation[];
  readonly results: readonly { readonly name: string; readonly value: Value }[];
  /** How parameters read from a config.json; absent where the author did not say. */
  readonly config?: ConfigBinding;
  /** Where checkpoints hold the weights, by argument name. A weight without a binding is found under its own name. */
  readonly bindings: Readonly<Record<string, WeightBinding>>;
  readonly span: Span;
}

/** All operations, in order, those of regions after the operation that holds them. */
export function* walk(body: readonly Operation[]): Generator<Operation> {
  for (const operation of body) {
    yield operation;
    for (const region of operation.regions) yield* walk(region.body);
  }
}
