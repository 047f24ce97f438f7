import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { Region, Value } from "../core/layer.ts";
import type { Tensor } from "../core/tensor.ts";
import { elementCount, formatType, typesEqual } from "../core/types.ts";
import { onlyAttributes, sizeAttribute } from "./attributes.ts";
import { cast } from "./cast.ts";
import type { OpDefinition } from "./definition.ts";
import { index } from "./expert-index.ts";
import { linear } from "./linear.ts";
import { map } from "./map.ts";
import { floats, gamma, gatherRows, integers, intsOf, realsOf } from "./reals.ts";
import { expectRouting } from "./routing-types.ts";
import { dimAt, expectFloat, expectOperands, expectSame, operandAt } from "./shapes.ts";
import { slice } from "./slice.ts";
import { WeightedSum } from "./weighted-sum.ts";

/** Whether an expert's body may have this op. */
export const isBodyOp = (op: string): boolean => bodyOps.has(op);

/** Ops of an expert's body. All of them work on one more leading dimension as well, so that many tokens run at once. */
const bodyOps: ReadonlyMap<string, OpDefinition> = new Map(
  [linear, map, cast, slice, index].map((op) => [op.name, op]),
);

/**
 * Each token's experts, mixed: Σ over its slots of weight · (expert < ffn ? body(token, expert) : token), where
 * ids from ffn + identity on add nothing: zero experts, or such whose share is added elsewhere. The body may use weights of the layer around it.
 *
 * Its reference meaning runs the body once per expert, on all tokens that chose it, and adds each slot as it comes: over reals
 * the order of a sum has no meaning, and the bound holds for every order, also where the weights of the identity experts are
 * summed before they multiply the token (K − 1 additions, a product, and K additions: 2K roundings).
 *
 * A body that takes the weight as well, f32[1], applies it itself: then what it gives is added as it is.
 */
export const mix: OpDefinition = {
  name: "mix",
  summary:
    "x [T, H], ids i32[T, K], weights [T, K], body (token [H], expert i32[]) → [N]: f32[T, N], each token's experts weighed and summed",
  infer(operands, attributes, regions) {
    onlyAttributes("mix", attributes, ["ffn", "identity"]);
    expectOperands("mix", operands, 3, 3, "tokens, ids and weights");
    const x = operandAt(operands, 0);
    const ids = operandAt(operands, 1);
    expectFloat("mix", "x", x, 2, "[T, H]");
    expectRouting("mix", ids, operandAt(operands, 2));
    expectSame("mix", "tokens of x and ids", dimAt(x, 0), dimAt(ids, 0));
    sizeAttribute("mix", attributes, "ffn");
    const identity = sizeAttribute("mix", attributes, "identity", 0);
    const { token, expert, weight, body, result } = bodyOf(regions);
    const tokenType = { dtype: x.dtype, dims: [dimAt(x, 1)] };
    if (!typesEqual(token.type, tokenType))
      throw new IrError(
        `the token of an expert is ${formatType(tokenType)}, found ${formatType(token.type)}`,
        "Give the body one token of x.",
      );
    if (expert.type.dtype !== "i32" || expert.type.dims.length !== 0)
      throw new IrError(`the expert is i32[], found ${formatType(expert.type)}`, "Give the body an expert's id.");
    if (
      weight !== undefined &&
      (weight.type.dtype !== "f32" || weight.type.dims.length !== 1 || !dimAt(weight.type, 0).equals(Dim.of(1)))
    )
      throw new IrError(
        `the weight is f32[1], found ${formatType(weight.type)}`,
        "Give the body the weight of its expert.",
      );
    checkBody(weight === undefined ? [token] : [token, weight], body);
    expectFloat("mix", "an expert's result", result.type, 1, "[N]");
    const columns = dimAt(result.type, 0);
    if (identity.constant !== 0 && !columns.equals(dimAt(x, 1)))
      throw new IrError(
        `an expert gives ${columns} numbers, but an identity expert gives the token's ${dimAt(x, 1)}`,
        "With identity experts, let the other experts give as many numbers as the token has.",
      );
    return [{ dtype: "f32", dims: [dimAt(x, 0), columns] }];
  },
  evaluate(operands, attributes, regions, context) {
    const [x, idTensor, weights] = operands as [Tensor, Tensor, Tensor];
    const ids = intsOf(idTensor);
    const [tokens = 0, k = 0] = weights.dims;
    const width = x.dims[1] ?? 0;
    const { region, result, weight } = bodyOf(regions);
    const columns = dimAt(result.type, 0).evaluate(context.dims);
    const ffn = sizeAttribute("mix", attributes, "ffn").evaluate(context.dims);
    const all = ffn + sizeAttribute("mix", attributes, "identity", 0).evaluate(context.dims);
    const factors = realsOf(weights);
    const sum = new WeightedSum(tokens, columns, gamma(2 * k));
    const add = (slot: number, y: Float64Array, bound: Float64Array | undefined, start: number) =>
      sum.add(Math.floor(slot / k), factors[slot], weights.bound?.[slot] ?? 0, y, bound, start);
    const values = realsOf(x);
    for (const [expert, slots] of slotsByExpert(ids, all)) {
      if (expert >= ffn) {
        for (const slot of slots) add(slot, values, x.bound, Math.floor(slot / k) * width);
        continue;
      }
      const rows = gatherRows(
        x,
        slots.map((slot) => Math.floor(slot / k)),
      );
      const own = { ...weights, dims: [factors.length, 1] };
      const args = [
        rows,
        integers([], Int32Array.of(expert)),
        ...(weight === undefined ? [] : [gatherRows(own, slots)]),
      ];
      const [y] = context.runRegion(region, args);
      const reals = realsOf(y);
      // A body that does not use its token gives one row for all.
      const stride = y.dims.length === 1 ? 0 : columns;
      slots.forEach((slot, i) => {
        if (weight === undefined) add(slot, reals, y.bound, i * stride);
        else sum.add(Math.floor(slot / k), 1, 0, reals, y.bound, i * stride);
      });
    }
    return [floats("f32", [tokens, columns], sum.values, sum.bound)];
  },
  flops(operands, _, results, dims, regions = []) {
    const slots = elementCount(operandAt(operands, 1)).evaluate(dims);
    const { body } = bodyOf(regions);
    const perToken = body.reduce(
      (total, o) =>
        total +
        (bodyOps.get(o.op)?.flops(
          o.operands.map((v) => v.type),
          o.attributes,
          o.results.map((v) => v.type),
          dims,
        ) ?? 0),
      0,
    );
    return (dims.rows ?? slots) * perToken + 2 * slots * dimAt(operandAt(results, 0), 1).evaluate(dims);
  },
};

function bodyOf(regions: readonly Region[]) {
  const [region] = regions;
  const [token, expert, weight] = region?.args ?? [];
  const [result] = region?.results ?? [];
  if (regions.length !== 1 || region.args.length < 2 || region.args.length > 3 || region.results.length !== 1)
    throw new IrError(
      "mix takes one body (token, expert) or (token, expert, weight) with one result",
      "Write (token, e) => … as the last argument.",
    );
  return { region, token, expert, weight, body: region.body, result };
}

/** Everything computed from the token is a vector: then a batch of tokens is a matrix, and no shape is mistaken for another. */
function checkBody(tokens: readonly Value[], body: Region["body"]): void {
  const fromToken = new Set<Value>(tokens);
  for (const { op, operands, results, span } of body) {
    if (!bodyOps.has(op))
      throw new IrError(
        `${op} is not allowed in an expert's body`,
        `Use ${[...bodyOps.keys()].join(", ")} there.`,
        span,
      );
    const uses = operands.map((v) => fromToken.has(v));
    if (!uses.includes(true)) continue;
    if (op === "index" || (op === "linear" && uses.indexOf(true, 1) > 0))
      throw new IrError(
        `the token takes the place of a weight in ${op}`,
        "Multiply the token by weights, and index weights by the expert.",
        span,
      );
    for (const result of results) {
      if (result.type.dims.length !== 1)
        throw new IrError(
          `an expert's body computes ${formatType(result.type)} from its token, expected a vector`,
          "Combine the token with vectors only.",
          span,
        );
      fromToken.add(result);
    }
  }
}

/** Slots of each expert, by ascending expert. Ids past the experts of this mixture weigh nothing in it. */
function slotsByExpert(ids: Int32Array, experts: number): [number, number[]][] {
  const slots = new Map<number, number[]>();
  ids.forEach((id, slot) => {
    if (id < 0) throw new IrError(`expert ${id} is negative`, "Give ids as route makes them.");
    if (id >= experts) return;
    const list = slots.get(id);
    if (list === undefined) slots.set(id, [slot]);
    else list.push(slot);
  });
  return [...slots].sort(([a], [b]) => a - b);
}
