import { formatOf, isBlockFormat, partsOf } from "../../ir/core/block-formats.ts";
import { Dim } from "../../ir/core/dim.ts";
import type { Layer, Operation, Value } from "../../ir/core/layer.ts";
import { type ScalarFunction, substitute, variable } from "../../ir/core/scalar.ts";
import { isFloat } from "../../ir/core/types.ts";
import { isScalarFunction } from "../../ir/ops/attributes.ts";
import type { Beside } from "../../ir/ops/product-beside.ts";
import type { Target } from "../target.ts";
import { isProduct, leadingOperands } from "./fuse.ts";
import { parameter, sameDims } from "./fuse-maps.ts";
import { producers, rewriteLayer, useCounts } from "./rewrite.ts";

/**
 * An elementwise function of products of the same rows becomes their epilogue: gate and up in one sweep, the activation
 * applied to the sums before they are stored. What else the function reads stands beside the sums (a bias, of all rows or of each row's
 * expert, a row's weight, what the result is added to), where products are made in registers and the kernel has bindings left for it.
 */
export function fuseEpilogue(layer: Layer, target: Target): Layer {
  const made = producers(layer);
  const uses = useCounts(layer);
  /** Products that become part of another. */
  const absorbed = new Set<Operation>();
  const plans = new Map<Operation, Fusion>();
  for (const operation of layer.body) {
    if (operation.op !== "map") continue;
    const fusion = fusionOf(operation);
    if (!fusion) continue;
    plans.set(operation, fusion);
    for (const p of fusion.products) absorbed.add(p);
  }
  return rewriteLayer(layer, (operation, to) => {
    if (absorbed.has(operation)) return true;
    const fusion = plans.get(operation);
    const [result] = operation.results;
    const [first] = fusion?.products ?? [];
    if (!fusion || !first || !result) return false;
    const lead = leadingOperands(first);
    const weights = fusion.products.map((p) => p.operands[lead] as Value);
    const others = fusion.beside.map(({ value }) => value);
    const operands = [...first.operands.slice(0, lead), ...weights, ...others].map((v) => to.get(v));
    const beside = others.length > 0 ? { beside: fusion.beside.map(({ kind }) => kind) } : {};
    const attributes = { ...first.attributes, ...beside, epilogue: fusion.fn };
    to.replace(result, to.one(first.op, operands, attributes, operation.span, result.name));
    return true;
  });

  function fusionOf(map: Operation): Fusion | undefined {
    const { fn } = map.attributes;
    const [result] = map.results;
    if (!result || !isScalarFunction(fn)) return undefined;
    const isOwn = (operand: Value): boolean => {
      const p = made.get(operand);
      const isFree = isProduct(p) && p.attributes.epilogue === undefined && !absorbed.has(p);
      return isFree && uses.get(operand) === 1 && sameDims(operand, result);
    };
    const first = made.get(map.operands.find(isOwn) ?? result);
    if (!isProduct(first)) return undefined;
    const products: Operation[] = [];
    const beside: Beside<Value>[] = [];
    const params = { products: [] as string[], beside: [] as string[] };
    for (const [i, operand] of map.operands.entries()) {
      const p = made.get(operand);
      const param = fn.params[i] ?? "";
      if (p && isOwn(operand) && goTogether(first, p) && products.length < mostProducts(target)) {
        products.push(p);
        params.products.push(param);
        continue;
      }
      const other = besideOf(operand, result, first);
      if (!other) return undefined;
      beside.push(other);
      params.beside.push(param);
    }
    if (beside.length > 0 && buffersOf(first, products.length) + beside.length > mostBuffers(target)) return undefined;
    // In the order of the alphabet, as fused maps have them.
    const order = [...params.products, ...params.beside];
    const renamed = new Map(order.map((param, i) => [param, variable(parameter(i), "f32")]));
    return { products, beside, fn: { params: order.map((_, i) => parameter(i)), body: substitute(fn.body, renamed) } };
  }

  /** How an operand of a map goes with the result of a product. */
  function besideOf(value: Value, result: Value, product: Operation): Beside<Value> | undefined {
    const { dims } = value.type;
    const all = result.type.dims;
    if (!isFloat(value.type.dtype)) return undefined;
    const isColumns = dims.at(-1)?.equals(all.at(-1) ?? Dim.of(1));
    if (dims.length === 1 && isColumns) return { kind: "columns", value };
    const rows = made.get(value);
    const [own, ids, slots] = rows?.operands ?? [];
    const dispatch = product.op === "grouped_linear" && made.get(product.operands[1] as Value);
    if (rows?.op === "expert_rows" && own && isColumns && dispatch) {
      const isOfRows = dispatch.op === "dispatch" && dispatch.operands[0] === ids && dispatch.results[1] === slots;
      if (isOfRows) return { kind: "expert_columns", value: own };
    }
    if (dims.length !== all.length || !all.slice(0, -1).every((d, i) => dims[i]?.equals(d))) return undefined;
    if (isColumns) return { kind: "elements", value };
    return dims.at(-1)?.constant === 1 ? { kind: "rows", value } : undefined;
  }

  /** Buffers that a kernel of so many products binds at most: codes and what lies beside them are buffers of their own. */
  function buffersOf(first: Operation, products: number): number {
    const lead = leadingOperands(first);
    const [x, weight] = [first.operands[0], first.operands[lead]];
    const gathered = x && made.get(x)?.op === "permute" ? 1 : 0;
    const dtype = weight?.type.dtype ?? "f32";
    const inBlocks = isBlockFormat(dtype);
    const ofWeight = inBlocks ? 1 + partsOf(formatOf(dtype, 1)).length : 1;
    return lead + gathered + (inBlocks ? 2 : 0) + products * ofWeight + 1;
  }
}

/** A map that becomes the epilogue of products: its function takes their sums, and then what stands beside them. */
interface Fusion {
  readonly products: readonly Operation[];
  readonly beside: readonly Beside<Value>[];
  readonly fn: ScalarFunction;
}

/** Whether products multiply the same rows with weights of one type. */
function goTogether(a: Operation, b: Operation): boolean {
  const lead = leadingOperands(a);
  return (
    a.op === b.op &&
    a.attributes.gather === b.attributes.gather &&
    a.operands.slice(0, lead).every((v, k) => v === b.operands[k]) &&
    a.operands[lead]?.type.dtype === b.operands[lead]?.type.dtype
  );
}

/** The columns of a tile in registers are shared by two weights, each with a vector of them at least. */
const mostProducts = ({ matmul }: Target): number => (matmul.kind === "registers" ? 2 : Number.POSITIVE_INFINITY);

/** Buffers of a kernel whose epilogue reads more than sums, which only those in registers do. */
const mostBuffers = ({ matmul, limits }: Target): number =>
  matmul.kind === "registers" ? (limits.buffersPerKernel ?? Number.POSITIVE_INFINITY) : 0;
