import type { Layer } from "../../ir/core/layer.ts";
import { parseLayer, printLayer } from "../../ir/text/index.ts";

/** An example as the page carries it: compiled, since the TypeScript compiler is too large for a page. */
export interface Example {
  /** Its file below examples/, which names it: "olmoe.ts". */
  readonly file: string;
  /** The layer's name, as its author exports it. */
  readonly name: string;
  /** The DSL source files that it is made of, by path from the checkout; its own is the first. */
  readonly sources: Readonly<Record<string, string>>;
  /** The layer in textual form, with spans, at the page's sizes. */
  readonly text: string;
  readonly params: Readonly<Record<string, number>>;
  /** Parameters on which nothing in the text but their own value depends: they may be chosen on the page. */
  readonly free: readonly string[];
}

/** The layer with other values of parameters that are free. Every node is made, and so checked, again. */
export function withParams(layer: Layer, params: Readonly<Record<string, number>>): Layer {
  return parseLayer(printLayer({ ...layer, params: { ...layer.params, ...params } }, { spans: true }));
}
