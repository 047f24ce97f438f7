import type { Layer, Operation, Value } from "../../ir/core/layer.ts";
import type { Storage, Target } from "../target.ts";
import { leadingOperands } from "./fuse.ts";
import { producers, rewriteLayer, useCounts } from "./rewrite.ts";

/** Matrices whose storage the author left open are stored as `storage`. Vectors (biases, norms) stay f32. */
export function selectStorage(layer: Layer, storage: Storage): Layer {
  return rewriteLayer(
    layer,
    () => false,
    (argument) =>
      argument.role === "weight" && argument.storage === "auto" && argument.value.type.dims.length >= 2
        ? {
            ...argument,
            storage: "fixed",
            value: { ...argument.value, type: { ...argument.value.type, dtype: storage } },
          }
        : argument,
  );
}

/**
 * Where a target multiplies in a narrower type than f32, a product's activations are converted to it: once per value,
 * before rows are permuted, and at the end of the product that makes them where the target has epilogues.
 */
export function convertActivations(layer: Layer, target: Target): Layer {
  const made = producers(layer);
  const uses = useCounts(layer);
  const wanted = (product: Operation): "f32" | "bf16" => {
    const weight = product.operands[leadingOperands(product)]?.type.dtype;
    const dot = weight === "f32" || weight === "bf16" ? target.matmul.dot[weight] : undefined;
    return dot?.activations === "bf16" ? "bf16" : "f32";
  };
  const isProduct = (o: Operation): boolean => ["linear", "grouped_linear", "head_linear"].includes(o.op);
  /** Products that alone feed one bf16 product can give bf16 at once. */
  const givesBf16 = new Set<Operation>();
  if (target.matmul.kind === "registers") {
    for (const consumer of layer.body.filter(isProduct)) {
      const x = consumer.operands[0] as Value;
      const producer = made.get(x);
      if (wanted(consumer) === "bf16" && producer && isProduct(producer) && uses.get(x) === 1) givesBf16.add(producer);
    }
  }
  const converted = new Map<Value, Value>();
  return rewriteLayer(layer, (operation, to) => {
    const [result] = operation.results;
    const [first] = operation.operands;
    if (!result || !first) return false;
    if (operation.op === "permute") {
      // A permuted copy is made of what its products read.
      const consumers = layer.body.filter((o) => o.operands.includes(result));
      if (!consumers.every((o) => isProduct(o) && o.operands[0] === result && wanted(o) === "bf16")) return false;
      const operands = [convert(first), ...operation.operands.slice(1).map((v) => to.get(v))];
      to.replace(result, to.one("permute", operands, operation.attributes, operation.span, result.name));
      return true;
    }
    if (!isProduct(operation)) return false;
    const x = wanted(operation) === "bf16" ? convert(first) : to.get(first);
    const operands = [x, ...operation.operands.slice(1).map((v) => to.get(v))];
    const attributes = givesBf16.has(operation) ? { ...operation.attributes, result: "bf16" } : operation.attributes;
    to.replace(result, to.one(operation.op, operands, attributes, operation.span, result.name));
    return true;

    function convert(value: Value): Value {
      const now = to.get(value);
      if (now.type.dtype === "bf16") return now;
      const known = converted.get(now);
      if (known) return known;
      const cast = to.one("cast", [now], { to: "bf16" }, operation.span, `${now.name}_bf16`);
      converted.set(now, cast);
      return cast;
    }
  });
}
