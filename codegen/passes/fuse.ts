import { Dim } from "../../ir/core/dim.ts";
import type { Layer, Operation } from "../../ir/core/layer.ts";
import { formatScalar, type ScalarFunction, substitute, variable } from "../../ir/core/scalar.ts";
import { isScalarFunction } from "../../ir/ops/attributes.ts";
import { addScaled } from "./remove-zero-experts.ts";
import { producers, rewriteLayer, useCounts } from "./rewrite.ts";

/** Whether two functions are the same but for the names of their parameters. */
const sameFunction = (a: ScalarFunction, b: ScalarFunction): boolean => {
  const renamed = substitute(a.body, new Map(a.params.map((p, i) => [p, variable(b.params[i] ?? p, "f32")])));
  return a.params.length === b.params.length && formatScalar(renamed) === formatScalar(b.body);
};

/** A product whose sums an epilogue may take. */
export const isProduct = (operation: Operation | undefined): operation is Operation =>
  operation?.op === "linear" || operation?.op === "grouped_linear";

/** Number of operands of a product before its weights: x, and offsets, and slots where rows are gathered. */
export const leadingOperands = (product: Operation): number =>
  product.op !== "grouped_linear" ? 1 : product.attributes.gather === undefined ? 2 : 3;

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
