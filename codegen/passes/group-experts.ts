import { IrError } from "../../ir/core/diagnostic.ts";
import { Dim } from "../../ir/core/dim.ts";
import type { Layer, Operation, Value } from "../../ir/core/layer.ts";
import { type Rewriter, rewriteLayer } from "./rewrite.ts";

/**
 * One expert is written, all are computed: the body of `mix` becomes operations over rows sorted by expert.
 * dispatch sorts the chosen slots, permute gathers their tokens, products with an expert's weight become grouped products,
 * combine sums each token's rows in slot order.
 */
export function groupExperts(layer: Layer): Layer {
  return rewriteLayer(layer, (operation, to) => {
    if (operation.op !== "mix") return false;
    groupMix(operation, to);
    return true;
  });
}

function groupMix(mix: Operation, to: Rewriter): void {
  const { span } = mix;
  const region = mix.regions[0];
  const [x, ids, weights] = mix.operands.map((v) => to.get(v));
  const [token, expert, weight] = region?.args ?? [];
  const [mixed] = mix.results;
  const ffn = mix.attributes.ffn;
  if (!region || !x || !ids || !weights || !token || !expert || !mixed || ffn === undefined) {
    throw new IrError("mix expects a body over a token and an expert", "Give mix a function of (token, expert).");
  }
  const topK = ids.type.dims[1] ?? Dim.of(1);
  const [offsets, slots, rowOf] = to.add("dispatch", [ids], { ffn }, { span, names: ["offsets", "slots", "rows"] });
  if (!offsets || !slots || !rowOf) throw new IrError("dispatch has three results", "Report this.");

  /** The row form of values that depend on the token, and the whole weight of an expert's slice. */
  const rows = new Map<Value, Value>([[token, to.one("permute", [x, slots], { top_k: topK }, span, "tokens")]]);
  if (weight) rows.set(weight, to.one("slot_weights", [weights, slots], {}, span, "row_weights"));
  const slices = new Map<Value, Value>();
  /** Numbers of each row's expert, such as its bias, for the slice of one expert. */
  const ofExpert = (slice: Value): Value => {
    const made = rows.get(slice);
    if (made) return made;
    const whole = slices.get(slice) as Value;
    const own = to.one("expert_rows", [whole, ids, slots], {}, span, `${whole.name}_rows`);
    rows.set(slice, own);
    return own;
  };
  for (const operation of region.body) {
    const [result] = operation.results;
    if (!result) continue;
    const [first] = operation.operands;
    if (operation.op === "index" && operation.operands[1] === expert && first) {
      slices.set(result, to.get(first));
      continue;
    }
    const operands = operation.operands.map((v) => rows.get(v) ?? to.get(v));
    const grouped = operation.operands.filter((v) => slices.has(v));
    if (grouped.length === 0) {
      rows.set(result, to.one(operation.op, operands, operation.attributes, operation.span, result.name));
    } else if (
      operation.op === "linear" &&
      operation.operands.slice(1).every((v) => slices.has(v)) &&
      first &&
      rows.has(first)
    ) {
      const all = grouped.map((v) => slices.get(v) as Value);
      rows.set(
        result,
        to.one(
          "grouped_linear",
          [operands[0] as Value, offsets, ...all],
          operation.attributes,
          operation.span,
          result.name,
        ),
      );
    } else if (grouped.every((v) => v.type.dims.length < 2) && operation.op !== "linear") {
      const all = operation.operands.map((v) => (slices.has(v) ? ofExpert(v) : (rows.get(v) ?? to.get(v))));
      rows.set(result, to.one(operation.op, all, operation.attributes, operation.span, result.name));
    } else {
      throw new IrError(
        `${operation.op} uses an expert's own tensor where only a product with a token's row is compiled`,
        "Use an expert's matrix as the second operand of linear, its vectors in elementwise functions.",
      );
    }
  }
  const output = region.results[0] && rows.get(region.results[0]);
  if (!output)
    throw new IrError(
      "the body of mix gives a value that does not depend on its token",
      "Return a value computed from the token.",
    );
  to.replace(mixed, to.one("combine", [output, rowOf, weights], weight ? { weighted: false } : {}, span, mixed.name));
}
