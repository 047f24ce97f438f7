import { Dim } from "../core/dim.ts";
import { elementCount } from "../core/types.ts";
import { onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { floats, gamma, intsOf, realsOf } from "./reals.ts";
import { expectRouting } from "./routing-types.ts";
import { dimAt, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

const op = "zero_expert_weight";

/** What a token's zero-computation experts weigh together. */
export const zeroExpertWeight: OpDefinition = {
  name: op,
  summary:
    "ids i32[T, K], weights [T, K] → f32[T, 1]: the sum, in slot order, of the weights of ids from ffn on, of `identity` of them where it is given",
  infer(operands, attributes, regions) {
    onlyAttributes(op, attributes, ["ffn", "identity"]);
    expectOperands(op, operands, 2, 2, "ids and weights");
    expectNoRegions(op, regions);
    expectRouting(op, operandAt(operands, 0), operandAt(operands, 1));
    sizeAttribute(op, attributes, "ffn");
    if (attributes.identity !== undefined) sizeAttribute(op, attributes, "identity", 0);
    return [{ dtype: "f32", dims: [dimAt(operandAt(operands, 0), 0), Dim.of(1)] }];
  },
  evaluate(operands, attributes, _, context) {
    const ids = intsOf(operands[0]);
    const w = operands[1];
    const [tokens = 0, k = 0] = w.dims;
    const weights = realsOf(w);
    const ffn = sizeAttribute(op, attributes, "ffn").evaluate(context.dims);
    const end =
      attributes.identity === undefined
        ? Number.POSITIVE_INFINITY
        : ffn + sizeAttribute(op, attributes, "identity", 0).evaluate(context.dims);
    const data = new Float64Array(tokens);
    const bound = new Float64Array(tokens);
    for (let t = 0; t < tokens; t++) {
      let sum = 0;
      let reach = 0;
      let error = 0;
      for (let i = t * k; i < (t + 1) * k; i++) {
        if (ids[i] < ffn || ids[i] >= end) continue;
        const e = w.bound?.[i] ?? 0;
        sum += weights[i];
        reach += Math.abs(weights[i]) + e;
        error += e;
      }
      data[t] = sum;
      bound[t] = error + gamma(k) * reach;
    }
    return [floats("f32", [tokens, 1], data, bound)];
  },
  flops: (operands, _, __, dims) => elementCount(operandAt(operands, 1)).evaluate(dims),
};
