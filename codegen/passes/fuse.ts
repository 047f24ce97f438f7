import { formatOf, isBlockFormat, partsOf } from "../../ir/core/block-formats.ts";
import { Dim } from "../../ir/core/dim.ts";
import type { Layer, Operation, Value } from "../../ir/core/layer.ts";
import { formatScalar, type ScalarFunction, substitute, variable } from "../../ir/core/scalar.ts";
import { isFloat } from "../../ir/core/types.ts";
import { isScalarFunction } from "../../ir/ops/attributes.ts";
import type { Beside } from "../../ir/ops/product-beside.ts";
import type { Target } from "../target.ts";
import { parameter, sameDims } from "./fuse-maps.ts";
import { addScaled } from "./remove-zero-experts.ts";
import { producers, rewriteLayer, useCounts } from "./rewrite.ts";

/** Whether two functions are the same but for the names of their parameters. */
const sameFunction = (a: ScalarFunction, b: ScalarFunction): boolean => {
  const renamed = substitute(a.body, new Map(a.params.map((p, i) => [p, variable(b.params[i] ?? p, "f32")])));
  return a.params.length === b.params.length && formatScalar(renamed) === formatScalar(b.body);
};

const isProduct = (operation: Operation | undefined): operation is Operation =>
  operation?.op === "linear" || operation?.op === "grouped_linear";

/** Number of operands of a product before its weights: x, and offsets, and slots where rows are gathered. */
export const leadingOperands = (product: Operation): number =>
  product.op !== "grouped_linear" ? 1 : product.attributes.gather === undefined ? 2 : 3;

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
      const other = isOwn(operand) && p && goTogether(first, p) ? undefined : besideOf(operand, result, first);
      if (other) {
        beside.push(other);
        params.beside.push(param);
      } else if (p && isOwn(operand) && goTogether(first, p)) {
        products.push(p);
        params.products.push(param);
      } else return undefined;
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

/** Buffers of a kernel whose epilogue reads more than sums, which only those in registers do. */
const mostBuffers = ({ matmul, limits }: Target): number =>
  matmul.kind === "registers" ? (limits.buffersPerKernel ?? Number.POSITIVE_INFINITY) : 0;

/** A grouped product reads the tokens of its rows in place instead of from a permuted copy. */
export function fuseGather(layer: Layer): Layer {
  const made = producers(layer);
  return rewriteLayer(layer, (operation, to) => {
    const [rows, offsets, ...weights] = operation.operands;
    const [result] = operation.results;
    if (operation.op !== "grouped_linear" || !rows || !offsets || !result || operation.attributes.gather !== undefined)
      return false;
    const permute = made.get(rows);
    const [tokens, slots] = permute?.operands ?? [];
    const topK = permute?.attributes.top_k;
    if (permute?.op !== "permute" || !tokens || !slots || topK === undefined) return false;
    const operands = [tokens, offsets, slots, ...weights].map((v) => to.get(v));
    to.replace(
      result,
      to.one("grouped_linear", operands, { ...operation.attributes, gather: topK }, operation.span, result.name),
    );
    return true;
  });
}

/** y + x·w over a mixture joins the combine that makes y: the zero experts' share is added where the sum is made. */
export function fuseZeroExperts(layer: Layer): Layer {
  const made = producers(layer);
  const uses = useCounts(layer);
  const plan = (operation: Operation): Operation | undefined => {
    const [y, x, w] = operation.operands;
    const fn = operation.attributes.fn;
    if (operation.op !== "map" || !y || !x || !w || operation.operands.length !== 3 || !isScalarFunction(fn))
      return undefined;
    if (!sameFunction(fn, addScaled)) return undefined;
    const combine = made.get(y);
    if (combine?.op !== "combine" || combine.operands.length !== 3 || uses.get(y) !== 1) return undefined;
    const perToken = w.type.dims.length === 2 && w.type.dims[1]?.equals(Dim.of(1));
    return perToken && x.type.dims.length === 2 ? combine : undefined;
  };
  const planned = new Map(
    layer.body.flatMap((o) => {
      const c = plan(o);
      return c ? [[o, c] as const] : [];
    }),
  );
  const absorbed = new Set(planned.values());
  return rewriteLayer(layer, (operation, to) => {
    if (absorbed.has(operation)) return true;
    const combine = planned.get(operation);
    const [result] = operation.results;
    if (!combine || !result) return false;
    const operands = [...combine.operands, ...operation.operands.slice(1)].map((v) => to.get(v));
    to.replace(result, to.one("combine", operands, combine.attributes, operation.span, result.name));
    return true;
  });
}
