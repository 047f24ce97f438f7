import type { Layer, Value } from "../../ir/core/layer.ts";
import { dtypeBytes } from "../../ir/core/types.ts";
import type { RegisterMatmul } from "../target.ts";
import { rewriteLayer } from "./rewrite.ts";

/**
 * An input whose rows lie where they compete for the same cache lines is copied once, for the products that read it: rows of the
 * compiler's own buffers are padded apart when the layer is lowered.
 */
export function stageInputs(layer: Layer, padding: NonNullable<RegisterMatmul["rowPadding"]>): Layer {
  const inputs = new Set(layer.args.filter((a) => a.role === "input").map((a) => a.value));
  const staged = new Map<Value, Value>();
  const competes = ({ type }: Value): boolean => {
    const columns = type.dims.at(-1)?.substitute(layer.params).constant;
    return columns !== undefined && (columns * dtypeBytes[type.dtype]) % padding.every === 0;
  };
  return rewriteLayer(layer, (operation, to) => {
    const [x, ...others] = operation.operands;
    const [result] = operation.results;
    const isProduct = operation.op === "linear" || operation.op === "grouped_linear";
    if (!isProduct || !x || !result || !inputs.has(x) || !competes(x)) return false;
    const copy = staged.get(x) ?? to.one("cast", [to.get(x)], { to: x.type.dtype }, operation.span, `${x.name}_staged`);
    staged.set(x, copy);
    const operands = [copy, ...others.map((v) => to.get(v))];
    to.replace(result, to.one(operation.op, operands, operation.attributes, operation.span, result.name));
    return true;
  });
}
