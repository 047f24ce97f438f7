import { Dim } from "../../ir/core/dim.ts";
import type { Layer } from "../../ir/core/layer.ts";
import { apply, type ScalarFunction, variable } from "../../ir/core/scalar.ts";
import { rewriteLayer } from "./rewrite.ts";

/** y + x·w, elementwise: how the zero experts' share joins a mixture. */
export const addScaled: ScalarFunction = {
  params: ["y", "x", "w"],
  body: apply("add", variable("y", "f32"), apply("mul", variable("x", "f32"), variable("w", "f32"))),
};

/**
 * Identity experts are never computed: their weights fold into one number per token, and the mixture
 * keeps only the FFN experts. `mix {ffn, identity}` becomes `mix {ffn} + x · Σ weights of ids ≥ ffn`.
 */
export function removeZeroExperts(layer: Layer): Layer {
  return rewriteLayer(layer, (operation, to) => {
    if (operation.op !== "mix") return false;
    const { ffn, identity } = operation.attributes;
    if (!(identity instanceof Dim) || identity.constant === 0) return false;
    const span = operation.span;
    const [result] = operation.results;
    const [x, ids, weights] = operation.operands.map((v) => to.get(v));
    if (result === undefined || x === undefined || ids === undefined || weights === undefined || ffn === undefined)
      return false;
    to.copy({
      ...operation,
      attributes: { ...operation.attributes, identity: Dim.of(0) },
      results: [{ ...result, name: `${result.name}_ffn` }],
    });
    const mixed = to.body.at(-1)?.results[0] ?? result;
    const weight = to.one("zero_expert_weight", [ids, weights], { ffn, identity }, span, `${result.name}_zero_weight`);
    to.replace(result, to.one("map", [mixed, x, weight], { fn: addScaled }, span, result.name));
    return true;
  });
}
