import type { Layer, Operation, Value } from "../../ir/core/layer.ts";
import { opDefinition } from "../../ir/ops/index.ts";
import { formatAttribute } from "../../ir/text/printer.ts";
import { rewriteLayer } from "./rewrite.ts";

const chooses = (operation: Operation): boolean => opDefinition(operation.op).chooses === true;

/** Operations whose results nobody uses are removed. Choices stay: every compiled layer tells which experts it chose. */
export function removeDeadCode(layer: Layer): Layer {
  const live = new Set<Value>(layer.results.map((r) => r.value));
  const kept: Operation[] = [];
  const uses = (operation: Operation): readonly Value[] => [
    ...operation.operands,
    ...operation.regions.flatMap((r) => [...r.results, ...r.body.flatMap(uses)]),
  ];
  for (const operation of [...layer.body].reverse()) {
    if (!chooses(operation) && !operation.results.some((r) => live.has(r))) continue;
    kept.unshift(operation);
    for (const value of uses(operation)) live.add(value);
  }
  return { ...layer, body: kept };
}

/** Of operations that compute the same from the same operands, the first serves all. */
export function eliminateCommon(layer: Layer): Layer {
  const identity = new Map<Value, number>();
  const id = (value: Value): number => {
    const known = identity.get(value) ?? identity.size;
    identity.set(value, known);
    return known;
  };
  const seen = new Map<string, Operation>();
  const results = new Set(layer.results.map((r) => r.value));
  /** New values that the layer gives. Each of its results stays a value of its own, even where two are equal. */
  const given = new Set<Value>();
  return rewriteLayer(layer, (operation, to) => {
    if (operation.regions.length > 0 || chooses(operation)) return false;
    const operands = operation.operands.map((v) => id(to.get(v)));
    const key = `${operation.op}(${operands.join(",")}){${formatAttribute(operation.attributes)}}`;
    const earlier = seen.get(key);
    const isGiven = operation.results.some((r) => results.has(r));
    if (earlier === undefined || (isGiven && earlier.results.some((r) => given.has(r)))) {
      to.copy(operation);
      const copy = to.body.at(-1) as Operation;
      if (earlier === undefined) seen.set(key, copy);
      if (isGiven) for (const r of copy.results) given.add(r);
    } else {
      if (isGiven) for (const r of earlier.results) given.add(r);
      operation.results.forEach((r, i) => {
        to.replace(r, earlier.results[i] as Value);
      });
    }
    return true;
  });
}
