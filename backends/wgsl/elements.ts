import type { Program } from "../../codegen/program.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import type { Elements } from "./support/run.js";

/** The tensors' elements, as the device takes them. Sizes are checked by the run module. */
export function elementsOf(
  program: Program,
  given: ReadonlyMap<string, Tensor>,
  role: "weight" | "input",
): Record<string, Elements> {
  const found: Record<string, Elements> = {};
  for (const { name, dtype } of program.buffers.filter((b) => b.role === role)) {
    const tensor = given.get(name);
    if (!tensor) continue;
    const { data } = tensor;
    if (tensor.dtype !== dtype)
      throw new IrError(`${role} ${name} is ${dtype}, found ${tensor.dtype}`, "Convert it to the layer's dtype.");
    // What the oracle made is in f64.
    if (data instanceof Float64Array) found[name] = dtype === "i32" ? Int32Array.from(data) : Float32Array.from(data);
    else if (!(data instanceof Uint32Array)) found[name] = data;
  }
  return found;
}
