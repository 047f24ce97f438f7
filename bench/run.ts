import { compileLayer } from "../codegen/compile.ts";
import { programWeights } from "../codegen/program-weights.ts";
import type { Storage } from "../codegen/target.ts";
import type { Layer } from "../ir/core/layer.ts";
import type { ChosenTarget } from "../runtime/backends.ts";
import { weightBytes } from "../runtime/check/check.ts";
import { requireMemory } from "../runtime/machine.ts";
import { targetFor } from "../runtime/tune/target.ts";
import { type Measurement, type MeasureOptions, measure, seededWeights } from "./measure.ts";

/**
 * Measures a layer with seeded weights on one target, at several numbers of tokens.
 * @param onRow told of each measurement when it is done
 */
export async function benchTarget(
  layer: Layer,
  chosen: ChosenTarget,
  storage: Storage,
  tokens: readonly number[],
  options: MeasureOptions,
  onRow: (measurement: Measurement) => void = () => {},
): Promise<readonly Measurement[]> {
  const { backend } = chosen;
  const compilation = compileLayer(layer, await targetFor(chosen, layer, storage), storage);
  requireMemory(
    weightBytes(compilation) * 3,
    `measuring ${layer.name} at these sizes`,
    "choose smaller sizes with --param",
  );
  const weights = seededWeights(compilation, options.seed);
  const loaded = await backend.load(compilation.program, compilation.target);
  try {
    await loaded.setWeights(programWeights(compilation.program, weights));
    const measurements: Measurement[] = [];
    for (const count of tokens) {
      const measurement = await measure(compilation, loaded, weights, count, options);
      measurements.push(measurement);
      onRow(measurement);
    }
    return measurements;
  } finally {
    await loaded.close();
  }
}
