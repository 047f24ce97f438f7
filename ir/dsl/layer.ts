import type { WeightBinding } from "../core/bindings.ts";
import type { ConfigLiteral } from "../core/config.ts";
import { IrError } from "../core/diagnostic.ts";
import { type ConcreteTensor, concrete } from "./tensor.ts";
import type { AnyTensor, Dims } from "./types.ts";

/** Parameters with their defaults. Dimensions name them. */
export type Params = { readonly [name: string]: number };

type Result = AnyTensor | { readonly [name: string]: AnyTensor };

/** Tensors of symbolic dimensions become tensors with numbers in them, also inside objects. */
export type Concrete<X> = X extends AnyTensor<Dims> ? ConcreteTensor : { readonly [K in keyof X]: Concrete<X[K]> };

type ConcreteArguments<A extends readonly object[]> = { [I in keyof A]: Concrete<A[I]> };

type WeightNames<A extends readonly object[]> = {
  [I in keyof A]: A[I] extends AnyTensor<Dims> ? never : Extract<keyof A[I], string>;
}[number];

/** How a layer is bound to the names of the world: see docs/language.md. Texts and tables only; nothing of it is executed. */
export interface LayerOptions<Parameters extends string = string, Weights extends string = string> {
  /** How parameters read from a config.json: `H: "hidden_size"`, `S: "moe_intermediate_size * n_shared_experts"`, `scale: "factor ?? 1"`. */
  readonly config?: { readonly [N in Parameters]?: string };
  /** What a config must say for the layer to be right: `hidden_act: "silu"`, `"norm_topk_prob ?? false": true`. */
  readonly requires?: { readonly [expression: string]: ConfigLiteral | readonly ConfigLiteral[] };
  /**
   * The published tensor names of weights, by the names that the layer gives them. `{e}` stands for the expert's number:
   * the tensors of all experts are stacked along the first dimension. A tensor of another layout tells its dimensions; of
   * several, the first that a checkpoint has counts. A weight that is not listed is found under its own name.
   */
  readonly weights?: { readonly [N in Weights]?: WeightBinding };
}

/**
 * A layer. As a function of concrete tensors it computes by the reference meaning of each op, step by step:
 * `myLayer.with({ H: 4 })(x, w)`.
 */
export interface LayerFunction<P extends Params, A extends readonly object[], R> {
  (...args: ConcreteArguments<A>): Concrete<R>;
  /** The values of the parameters. */
  readonly params: P;
  /** The same layer with other values for some parameters. Throws IrError for a name that is no parameter. */
  with(values: Partial<P>): LayerFunction<P, A, R>;
  /**
   * The same layer with values of run-time sizes, such as T, that its body names as text: `slice(x, "P", "T")`. Compiled, they
   * come from the shapes of the inputs; concrete tensors do not carry the names of their dimensions.
   */
  at(sizes: { readonly [name: string]: number }): LayerFunction<P, A, R>;
}

/** Declares a layer: its parameters with defaults, optionally the published names of its weights, and its body. */
export function layer<P extends Params, A extends readonly object[], R extends Result>(
  params: P,
  body: (p: P, ...args: A) => R,
): LayerFunction<P, A, R>;
export function layer<P extends Params, A extends readonly object[], R extends Result>(
  params: P,
  options: LayerOptions<NoInfer<Extract<keyof P, string>>, NoInfer<WeightNames<A>>>,
  body: (p: P, ...args: A) => R,
): LayerFunction<P, A, R>;
export function layer<P extends Params, A extends readonly object[], R extends Result>(
  params: P,
  ...rest: readonly [(p: P, ...args: A) => R] | readonly [LayerOptions, (p: P, ...args: A) => R]
): LayerFunction<P, A, R> {
  const body = rest.length === 1 ? rest[0] : rest[1];
  const make = (values: P, sizes: Params): LayerFunction<P, A, R> =>
    Object.assign(
      (...args: ConcreteArguments<A>) => run({ ...sizes, ...values }, () => body(values, ...(args as unknown as A))),
      {
        params: values,
        at: (more: Params) => make(values, { ...sizes, ...more }),
        with: (changes: Partial<P>) => {
          for (const name of Object.keys(changes)) {
            if (!Object.hasOwn(values, name)) {
              throw new IrError(`${name} is no parameter`, `The parameters are ${Object.keys(values).join(", ")}.`);
            }
          }
          return make({ ...values, ...changes }, sizes);
        },
      },
    );
  return make(params, {});
}

/** Parameters and run-time sizes of the layers that run, the innermost last. */
const running: Params[] = [];

/** Values of the parameters of the layer that runs, and of the run-time sizes that it was given; none outside of a layer. */
export const parameterValues = (): Params => running.at(-1) ?? {};

function run<R extends Result>(sizes: Params, body: () => R): Concrete<R> {
  running.push(sizes);
  let result: unknown;
  try {
    result = body();
  } finally {
    running.pop();
  }
  if (typeof result === "object" && result !== null && Object.getPrototypeOf(result) === Object.prototype) {
    for (const [name, value] of Object.entries(result)) concrete(value, `result ${name}`);
  } else concrete(result, "the result of the layer");
  return result as Concrete<R>;
}
