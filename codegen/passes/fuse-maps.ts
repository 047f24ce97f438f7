import type { Layer, Operation, Value } from "../../ir/core/layer.ts";
import { type ScalarExpr, substitute, variable } from "../../ir/core/scalar.ts";
import { typesEqual } from "../../ir/core/types.ts";
import { isFunction } from "./fuse.ts";
import { producers, rewriteLayer, useCounts } from "./rewrite.ts";

/** An elementwise function of elementwise functions is one function: nothing between them is stored. */
export function fuseMaps(layer: Layer): Layer {
  const made = producers(layer);
  const uses = useCounts(layer);
  /** Maps that one other map alone uses, element for element. */
  const absorbed = new Set<Operation>();
  for (const operation of layer.body) {
    if (operation.op !== "map") continue;
    for (const operand of new Set(operation.operands)) {
      const producer = made.get(operand);
      const once = uses.get(operand) === operation.operands.filter((v) => v === operand).length;
      if (producer?.op === "map" && once && sameDims(operand, operation.results[0])) absorbed.add(producer);
    }
  }
  return rewriteLayer(layer, (operation, to) => {
    if (absorbed.has(operation)) return true;
    const [result] = operation.results;
    if (operation.op !== "map" || !result) return false;
    const inputs: Value[] = [];
    const body = inline(operation, inputs);
    const fn = { params: inputs.map((_, i) => parameter(i)), body };
    const operands = inputs.map((v) => to.get(v));
    to.replace(result, to.one("map", operands, { ...operation.attributes, fn }, operation.span, result.name));
    return true;
  });

  /** The body of a map over `inputs`, which grows by what it and the maps absorbed into it read. */
  function inline(operation: Operation, inputs: Value[]): ScalarExpr {
    const { fn } = operation.attributes;
    if (!isFunction(fn)) throw new Error("a map has a function");
    const values = operation.operands.map((operand) => {
      const producer = made.get(operand);
      if (producer && absorbed.has(producer)) return inline(producer, inputs);
      if (!inputs.includes(operand)) inputs.push(operand);
      return variable(parameter(inputs.indexOf(operand)), "f32");
    });
    return substitute(fn.body, new Map(fn.params.map((p, i) => [p, values[i] as ScalarExpr])));
  }
}

const parameter = (i: number): string => String.fromCharCode(97 + (i % 26)) + (i < 26 ? "" : Math.floor(i / 26));

const sameDims = (a: Value, b: Value | undefined): boolean =>
  b !== undefined && typesEqual({ ...a.type, dtype: b.type.dtype }, b.type);
