import { IrError } from "../core/diagnostic.ts";
import type { AttributeMap } from "../core/layer.ts";
import { tensorType } from "../core/types.ts";
import { onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { floats } from "./reals.ts";
import { expectNoRegions, expectOperands } from "./shapes.ts";

const op = "constant";

/** The numbers of a constant, at least one, all finite. */
export function constantValues(attributes: AttributeMap): readonly number[] {
  onlyAttributes(op, attributes, ["values"]);
  const { values } = attributes;
  const list: readonly unknown[] = Array.isArray(values) ? values : [];
  const numbers = list.flatMap((v) => (typeof v === "number" && Number.isFinite(v) ? [v] : []));
  if (numbers.length === 0 || numbers.length !== list.length)
    throw new IrError("values of constant are not finite numbers", "Give a list of at least one finite number.");
  return numbers;
}

/** Numbers that are known when the layer is compiled. A machine holds each as the nearest f32. */
export const constant: OpDefinition = {
  name: op,
  summary: "→ f32[n]: n numbers",
  infer(operands, attributes, regions) {
    expectOperands(op, operands, 0, 0, "no operands");
    expectNoRegions(op, regions);
    return [tensorType("f32", [constantValues(attributes).length])];
  },
  evaluate(_, attributes) {
    const values = Float64Array.from(constantValues(attributes));
    return [
      floats(
        "f32",
        [values.length],
        values,
        values.map((v) => Math.abs(v - Math.fround(v))),
      ),
    ];
  },
  flops: () => 0,
};
