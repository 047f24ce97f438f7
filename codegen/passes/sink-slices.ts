import { type Layer, type Operation, type Value, walk } from "../../ir/core/layer.ts";
import { type Slice, sliceAttributes, sliceOf } from "../../ir/ops/slice.ts";
import { formatAttribute } from "../../ir/text/printer.ts";
import { type Rewriter, rewriteLayer, type Visit } from "./rewrite.ts";

/**
 * Some columns of a product are a product with those rows of its weight: gate and up, stored as one matrix, become two weights,
 * sliced once at load, whose products fuse like those of two matrices. Slices go through elementwise functions and through the
 * choice of an expert's tensor.
 */
export function sinkSlices(layer: Layer): Layer {
  const all = [...walk(layer.body)];
  const made = new Map(all.flatMap((o) => o.results.map((r) => [r, o] as const)));
  /** Values that exist only in a region. */
  const inner = new Set<Value>(
    all.flatMap((o) => o.regions.flatMap((r) => [...r.args, ...r.body.flatMap((i) => i.results)])),
  );
  const known = new Map<Value, Map<string, Value>>();
  const sliced = (to: Rewriter, value: Value, slice: Slice): Value => {
    const place = inner.has(value) ? to : (to.outer ?? to);
    const attributes = sliceAttributes(slice);
    const key = formatAttribute(attributes);
    const before = known.get(value)?.get(key);
    if (before) return before;
    const result =
      sink(place, made.get(value), slice) ??
      place.one("slice", [place.get(value)], attributes, spanOf(value), `${value.name}_part`);
    known.set(value, (known.get(value) ?? new Map<string, Value>()).set(key, result));
    return result;

    function sink(at: Rewriter, producer: Operation | undefined, s: Slice): Value | undefined {
      const [first, second] = producer?.operands ?? [];
      if (!producer || !first) return undefined;
      const name = `${value.name}_part`;
      if (
        producer.op === "linear" &&
        s.axis === -1 &&
        second &&
        producer.operands.length === 2 &&
        producer.attributes.epilogue === undefined
      ) {
        const weight = sliced(to, second, { ...s, axis: -2 });
        return at.one("linear", [at.get(first), weight], producer.attributes, producer.span, name);
      }
      if (producer.op === "index" && second && first.type.dims.length + s.axis > 0)
        return at.one("index", [sliced(to, first, s), at.get(second)], {}, producer.span, name);
      if (producer.op === "map" && s.axis === -1) {
        const parts = producer.operands.map((v) => {
          const last = v.type.dims.at(-1);
          return last === undefined || last.constant === 1 ? at.get(v) : sliced(to, v, s);
        });
        return at.one("map", parts, producer.attributes, producer.span, name);
      }
      return undefined;
    }
  };
  const spanOf = (value: Value) => made.get(value)?.span ?? layer.span;
  const visit: Visit = (operation, to) => {
    const [x] = operation.operands;
    const [result] = operation.results;
    if (operation.op === "slice" && x && result) {
      to.replace(result, sliced(to, x, sliceOf(operation.attributes)));
      return true;
    }
    if (operation.regions.length === 0) return false;
    to.copy(operation, visit);
    return true;
  };
  return rewriteLayer(layer, visit);
}
