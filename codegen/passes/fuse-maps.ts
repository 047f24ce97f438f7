import type { Layer, Operation, Value } from "../../ir/core/layer.ts";
import { type ScalarExpr, substitute, variable } from "../../ir/core/scalar.ts";
import { typesEqual } from "../../ir/core/types.ts";
import { isScalarFunction } from "../../ir/ops/attributes.ts";
import { producers, rewriteLayer, useCounts } from "./rewrite.ts";

/** What a function reads, and how many steps it takes when it is written out. */
interface Extent {
  readonly inputs: ReadonlySet<Value>;
  readonly steps: number;
}

/**
 * How far functions grow. A step that is used twice is written out twice, so growth can be exponential; and devices bind few buffers
 * to a kernel (WebGPU guarantees 8).
 */
const most = { steps: 512, inputs: 6 } as const;

/** An elementwise function of elementwise functions is one function: nothing between them is stored. */
export function fuseMaps(layer: Layer): Layer {
  const made = producers(layer);
  const uses = useCounts(layer);
  /** Maps that one other map alone uses, element for element. */
  const absorbed = new Set<Operation>();
  const extents = new Map<Operation, Extent>();
  for (const operation of layer.body) {
    if (operation.op !== "map") continue;
    let extent = extentOf(operation);
    for (const operand of new Set(operation.operands)) {
      const producer = made.get(operand);
      const once = uses.get(operand) === operation.operands.filter((v) => v === operand).length;
      if (producer?.op !== "map" || !once || !sameDims(operand, operation.results[0])) continue;
      absorbed.add(producer);
      const larger = extentOf(operation);
      if (larger.steps <= most.steps && larger.inputs.size <= most.inputs) extent = larger;
      else absorbed.delete(producer);
    }
    extents.set(operation, extent);
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

  /** How large the function of a map is with all that it absorbs so far. */
  function extentOf(operation: Operation): Extent {
    const { fn } = operation.attributes;
    if (!isScalarFunction(fn)) throw new Error("a map has a function");
    const inputs = new Set<Value>();
    const steps = new Map<string, number>();
    operation.operands.forEach((operand, i) => {
      const producer = made.get(operand);
      const own = producer && absorbed.has(producer) ? extents.get(producer) : undefined;
      for (const value of own?.inputs ?? [operand]) inputs.add(value);
      steps.set(fn.params[i] ?? "", own?.steps ?? 1);
    });
    return { inputs, steps: stepsOf(fn.body, steps) };
  }

  /** The body of a map over `inputs`, which grows by what it and the maps absorbed into it read. */
  function inline(operation: Operation, inputs: Value[]): ScalarExpr {
    const { fn } = operation.attributes;
    if (!isScalarFunction(fn)) throw new Error("a map has a function");
    const values = operation.operands.map((operand) => {
      const producer = made.get(operand);
      if (producer && absorbed.has(producer)) return inline(producer, inputs);
      if (!inputs.includes(operand)) inputs.push(operand);
      return variable(parameter(inputs.indexOf(operand)), "f32");
    });
    return substitute(fn.body, new Map(fn.params.map((p, i) => [p, values[i] as ScalarExpr])));
  }
}

/** Steps of an expression, whose variables stand for so many each. */
function stepsOf(expr: ScalarExpr, of: ReadonlyMap<string, number>): number {
  if (expr.kind === "var") return of.get(expr.name) ?? 1;
  return expr.kind === "apply" ? expr.args.reduce((sum, a) => sum + stepsOf(a, of), 1) : 1;
}

/** Names of a function's parameters: a, b, … */
export const parameter = (i: number): string => String.fromCharCode(97 + (i % 26)) + (i < 26 ? "" : Math.floor(i / 26));

/** Whether two values have the same shape. */
export const sameDims = (a: Value, b: Value | undefined): boolean =>
  b !== undefined && typesEqual({ ...a.type, dtype: b.type.dtype }, b.type);
