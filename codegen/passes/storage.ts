import { isBlockFormat } from "../../ir/core/block-formats.ts";
import { makeOperation } from "../../ir/core/builder.ts";
import { type Argument, type Layer, type Operation, type Value, walk } from "../../ir/core/layer.ts";
import type { DType } from "../../ir/core/types.ts";
import { hasEpilogues, isStorage, type Storage, type Target } from "../target.ts";
import { leadingOperands } from "./fuse.ts";
import { producers, rewriteLayer, useCounts } from "./rewrite.ts";

/**
 * Matrices whose storage the author left open are stored as `storage`. Vectors (biases, norms) stay f32; and, where `storage`
 * is a block format, so does all that `blockWeights` leaves out. What the layer gives keeps its type: parts of a weight (rows of an
 * embedding) are converted back.
 */
export function selectStorage(layer: Layer, storage: Storage): Layer {
  const inBlocks = isBlockFormat(storage) ? new Set(blockWeights(layer)) : undefined;
  const stored = rewriteLayer(
    layer,
    (operation, to) => {
      // An expert's body is written for one type of token.
      const [x] = operation.op === "mix" ? operation.operands : [];
      const now = x && to.get(x);
      if (x && now && now.type.dtype !== x.type.dtype)
        to.replace(x, to.one("cast", [now], { to: x.type.dtype }, operation.span, `${x.name}_${x.type.dtype}`));
      return false;
    },
    (argument) => {
      if (!isOpenMatrix(argument)) return argument;
      const dtype = inBlocks === undefined || inBlocks.has(argument) ? storage : "f32";
      return { ...argument, storage: "fixed", value: { ...argument.value, type: { ...argument.value.type, dtype } } };
    },
  );
  return keepResults(layer, stored);
}

/** Results that have another type than before are converted back. */
function keepResults(before: Layer, after: Layer): Layer {
  const names = new Set(
    [...after.args.map((a) => a.value), ...[...walk(after.body)].flatMap((o) => o.results)].map((v) => v.name),
  );
  const casts: Operation[] = [];
  const results = after.results.map(({ name, value }, i) => {
    const dtype = before.results[i]?.value.type.dtype ?? value.type.dtype;
    if (dtype === value.type.dtype) return { name, value };
    let own = `${value.name}_${dtype}`;
    while (names.has(own)) own = `${own}_1`;
    names.add(own);
    const span = after.body.find((o) => o.results.includes(value))?.span ?? after.span;
    const cast = makeOperation("cast", [value], { to: dtype }, { span, names: [own] });
    casts.push(cast);
    return { name, value: cast.results[0] ?? value };
  });
  return casts.length === 0 ? after : { ...after, body: [...after.body, ...casts], results };
}

const isOpenMatrix = ({ role, storage, value }: Argument): boolean =>
  role === "weight" && storage === "auto" && value.type.dims.length >= 2;

/**
 * The weights that a block format may hold: matrices that only products read, but not those of a product that a router's choice
 * comes from.
 */
export function blockWeights(layer: Layer): readonly Argument[] {
  const all = [...walk(layer.body)];
  const made = new Map(all.flatMap((o) => o.results.map((r) => [r, o] as const)));
  const deciding = new Set<Operation>();
  const visit = (value: Value): void => {
    const operation = made.get(value);
    if (operation === undefined || deciding.has(operation)) return;
    deciding.add(operation);
    // What comes before the product is rounded anyway.
    if (operation.op !== "linear") operation.operands.forEach(visit);
  };
  for (const route of all) if (route.op === "route") route.operands.forEach(visit);
  const isFree = (argument: Argument): boolean => {
    const uses = usesOf(argument.value);
    return uses.length > 0 && uses.every(({ user, at }) => user.op === "linear" && at > 0 && !deciding.has(user));
  };
  /** Who reads a weight: whole, some rows of it, or one expert's part. */
  function usesOf(value: Value): { readonly user: Operation; readonly at: number }[] {
    return all.flatMap((user) =>
      user.operands.flatMap((operand, at) => {
        if (operand !== value) return [];
        const [result] = user.results;
        const passes = (user.op === "index" && at === 0) || (user.op === "slice" && user.attributes.axis === -2);
        return passes && result ? usesOf(result) : [{ user, at }];
      }),
    );
  }
  return layer.args.filter((argument) => isOpenMatrix(argument) && isFree(argument));
}

/**
 * Where a target multiplies in a narrower type than f32, a product's activations are converted to it: once per value,
 * before rows are permuted, and at the end of the product that makes them where the target has epilogues.
 */
export function convertActivations(layer: Layer, target: Target): Layer {
  const made = producers(layer);
  const uses = useCounts(layer);
  const wanted = (product: Operation): DType => {
    const weight = product.operands[leadingOperands(product)]?.type.dtype;
    return (weight !== undefined && isStorage(weight) ? target.matmul.dot[weight]?.activations : undefined) ?? "f32";
  };
  const isProduct = (o: Operation): boolean => ["linear", "grouped_linear", "head_linear"].includes(o.op);
  /** Products that alone feed one product of 16-bit floats can give such at once. */
  const gives = new Map<Operation, DType>();
  if (hasEpilogues(target)) {
    for (const consumer of layer.body.filter(isProduct)) {
      const x = consumer.operands[0] as Value;
      const producer = made.get(x);
      const narrow = wanted(consumer);
      const isNarrow = narrow === "bf16" || narrow === "f16";
      if (isNarrow && producer && isProduct(producer) && uses.get(x) === 1) gives.set(producer, narrow);
    }
  }
  const converted = new Map<Value, Map<DType, Value>>();
  return rewriteLayer(layer, (operation, to) => {
    const [result] = operation.results;
    const [first] = operation.operands;
    if (!result || !first) return false;
    if (operation.op === "permute") {
      // A permuted copy is made of what its products read.
      const consumers = layer.body.filter((o) => o.operands.includes(result));
      const [dtype = "f32", ...others] = new Set(consumers.filter(isProduct).map(wanted));
      const isRead = consumers.every((o) => isProduct(o) && o.operands[0] === result);
      if (!isRead || others.length > 0 || dtype === "f32") return false;
      const operands = [convert(first, dtype), ...operation.operands.slice(1).map((v) => to.get(v))];
      to.replace(result, to.one("permute", operands, operation.attributes, operation.span, result.name));
      return true;
    }
    if (!isProduct(operation)) return false;
    const x = convert(first, wanted(operation));
    const operands = [x, ...operation.operands.slice(1).map((v) => to.get(v))];
    const result16 = gives.get(operation);
    const attributes = result16 === undefined ? operation.attributes : { ...operation.attributes, result: result16 };
    to.replace(result, to.one(operation.op, operands, attributes, operation.span, result.name));
    return true;

    function convert(value: Value, dtype: DType): Value {
      const now = to.get(value);
      if (dtype === "f32" || now.type.dtype === dtype) return now;
      const known = converted.get(now)?.get(dtype);
      if (known) return known;
      const cast = to.one("cast", [now], { to: dtype }, operation.span, `${now.name}_${dtype}`);
      converted.set(now, (converted.get(now) ?? new Map<DType, Value>()).set(dtype, cast));
      return cast;
    }
  });
}
