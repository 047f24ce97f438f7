import { formatOf, isBlockFormat, partsOf } from "../../ir/core/block-formats.ts";
import { Dim } from "../../ir/core/dim.ts";
import type { Layer, Operation, Value } from "../../ir/core/layer.ts";
import { formatScalar, type ScalarFunction, substitute, variable } from "../../ir/core/scalar.ts";
import { isFloat } from "../../ir/core/types.ts";
import { isScalarFunction } from "../../ir/ops/attributes.ts";
import type { Target } from "../target.ts";
import { parameter } from "./fuse-maps.ts";
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
 * applied to the sums before they are stored. Biases, of all rows alike or of each row's expert, are added there too where products
 * are made in registers and the kernel has bindings left for them.
 */
export function fuseEpilogue(layer: Layer, target: Target): Layer {
  const made = producers(layer);
  const uses = useCounts(layer);
  /** Products that a map alone uses, with that map. */
  const absorbed = new Map<Operation, Operation>();
  const plans = new Map<Operation, Fusion>();
  for (const operation of layer.body) {
    if (operation.op !== "map") continue;
    const fusion = fusionOf(operation);
    if (!fusion || new Set(fusion.products).size < fusion.products.length) continue;
    plans.set(operation, fusion);
    for (const p of fusion.products) absorbed.set(p, operation);
  }
  return rewriteLayer(layer, (operation, to) => {
    if (absorbed.has(operation)) return true;
    const fusion = plans.get(operation);
    const [result] = operation.results;
    const [first] = fusion?.products ?? [];
    if (!fusion || !first || !result) return false;
    const lead = leadingOperands(first);
    const weights = fusion.products.map((p) => p.operands[lead] as Value);
    const operands = [...first.operands.slice(0, lead), ...weights, ...fusion.vectors].map((v) => to.get(v));
    const vectors = fusion.vectors.length > 0 ? { vectors: fusion.vectors.length } : {};
    const attributes = { ...first.attributes, ...vectors, epilogue: fusion.fn };
    to.replace(result, to.one(first.op, operands, attributes, operation.span, result.name));
    return true;
  });

  function fusionOf(map: Operation): Fusion | undefined {
    const { fn } = map.attributes;
    if (!isScalarFunction(fn)) return undefined;
    const first = map.operands.map((v) => made.get(v)).find(isProduct);
    if (!first) return undefined;
    const lead = leadingOperands(first);
    const products: Operation[] = [];
    const vectors: Value[] = [];
    const params = { products: [] as string[], vectors: [] as string[] };
    for (const [i, operand] of map.operands.entries()) {
      const p = made.get(operand);
      const param = fn.params[i] ?? "";
      const vector = isProduct(p) ? undefined : vectorOf(operand, first);
      if (vector) {
        vectors.push(vector);
        params.vectors.push(param);
      } else if (
        isProduct(p) &&
        p.op === first.op &&
        p.attributes.epilogue === undefined &&
        p.attributes.gather === first.attributes.gather &&
        p.operands.length === lead + 1 &&
        p.operands.slice(0, lead).every((v, k) => v === first.operands[k]) &&
        p.operands[lead]?.type.dtype === first.operands[lead]?.type.dtype &&
        !absorbed.has(p) &&
        uses.get(operand) === 1
      ) {
        products.push(p);
        params.products.push(param);
      } else return undefined;
    }
    if (vectors.length > 0 && buffersOf(first, products, vectors) > mostBuffers(target)) return undefined;
    // In the order of the alphabet, as fused maps have them.
    const order = [...params.products, ...params.vectors];
    const renamed = new Map(order.map((param, i) => [param, variable(parameter(i), "f32")]));
    return { products, vectors, fn: { params: order.map((_, i) => parameter(i)), body: substitute(fn.body, renamed) } };
  }

  /** What an operand of a map has for each column of a product, in all rows or in those of an expert. */
  function vectorOf(operand: Value, product: Operation): Value | undefined {
    const columns = product.results[0]?.type.dims.at(-1);
    if (!isFloat(operand.type.dtype) || !columns || !operand.type.dims.at(-1)?.equals(columns)) return undefined;
    if (operand.type.dims.length === 1) return operand;
    const rows = made.get(operand);
    const [own, ids, slots] = rows?.operands ?? [];
    const offsets = product.op === "grouped_linear" ? product.operands[1] : undefined;
    const dispatch = offsets && made.get(offsets);
    const isOfRows = dispatch?.op === "dispatch" && dispatch.operands[0] === ids && dispatch.results[1] === slots;
    return rows?.op === "expert_rows" && isOfRows ? own : undefined;
  }

  /** Buffers that a kernel of the products binds at most: codes and what lies beside them are buffers of their own. */
  function buffersOf(first: Operation, products: readonly Operation[], vectors: readonly Value[]): number {
    const lead = leadingOperands(first);
    const [x, weight] = [first.operands[0], first.operands[lead]];
    const gathered = x && made.get(x)?.op === "permute" ? 1 : 0;
    const dtype = weight?.type.dtype ?? "f32";
    const inBlocks = isBlockFormat(dtype);
    const ofWeight = inBlocks ? 1 + partsOf(formatOf(dtype, 1)).length : 1;
    return lead + gathered + (inBlocks ? 2 : 0) + products.length * ofWeight + vectors.length + 1;
  }
}

/** A map that becomes the epilogue of products: its function takes their sums, and then numbers of each column. */
interface Fusion {
  readonly products: readonly Operation[];
  readonly vectors: readonly Value[];
  readonly fn: ScalarFunction;
}

/** Vectors are read where sums lie in registers. */
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
