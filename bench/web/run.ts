import { createRunner, LaunchError } from "../../backends/wgsl/support/run.js";
import { differingOutput } from "../../runtime/check/compare.ts";
import type { RemoteSession } from "./calls.ts";
import type { Choice } from "./form.ts";
import { openGpu } from "./gpu.ts";
import { clockStep, type RunRecord, verdictFields } from "./record.ts";
import type { CompiledLayer } from "./session.ts";

/** Runs that are not timed: the first ones wait for the device's compiler. */
const WARM_UP = 2;

/**
 * Runs a compiled layer on the visitor's GPU, holds the result against the oracle, and times it. A wrong result has no figure.
 * @param say told of each step
 * @param signal gives the run up: the device goes, and whatever waits for it fails
 * @throws Error in words for a visitor
 */
export async function runLayer(
  choice: Choice,
  compiled: CompiledLayer,
  session: RemoteSession,
  version: string,
  say: (step: string) => void,
  signal: AbortSignal,
): Promise<RunRecord> {
  say("Opening the GPU …");
  const gpu = await openGpu(compiled.loaded.plan);
  signal.addEventListener("abort", () => gpu.device.destroy());
  signal.throwIfAborted();
  const errors: string[] = [];
  gpu.device.addEventListener("uncapturederror", (event) => {
    event.preventDefault();
    errors.push(event.error.message);
  });
  try {
    say("Making weights and inputs …");
    const { weights, inputs, dims } = await session.data(choice.tokens, choice.seed);
    say(`Compiling the kernels on ${gpu.name} …`);
    const runner = await createRunner(gpu.device, compiled.loaded);
    await runner.setWeights(weights);
    say("Running …");
    const first = await runner.run(inputs, dims);
    say("Computing the oracle …");
    const verdict = verdictFields(await session.compare(first.outputs));
    const milliseconds: number[] = [];
    let { agrees, disagreements } = verdict;
    if (agrees) {
      say("Timing …");
      signal.throwIfAborted();
      await runner.run(inputs, dims, { repeat: WARM_UP });
      const timed = await runner.run(inputs, dims, { repeat: choice.runs });
      const changed = differingOutput(new Map(Object.entries(first.outputs)), new Map(Object.entries(timed.outputs)));
      if (changed === undefined) milliseconds.push(...[...timed.nanoseconds].map((ns) => ns / 1e6));
      else disagreements = [`${changed}: another run gave other bits`];
    }
    if (errors.length > 0) disagreements = [...disagreements, ...errors];
    agrees = disagreements.length === 0;
    return {
      format: "unmoor-web-run-1",
      unmoor: version,
      layer: choice.example.name,
      file: choice.example.file,
      hash: compiled.hash,
      params: compiled.loaded.plan.params,
      storage: choice.storage,
      dims,
      seed: choice.seed,
      evidence: gpu.software ? "emulated" : "measured",
      adapter: { name: gpu.name, ...gpu.info },
      browser: navigator.userAgent,
      ...verdict,
      agrees,
      disagreements,
      milliseconds: agrees ? milliseconds : [],
      clock_step_ms: clockStep(),
    };
  } catch (error) {
    if (error instanceof LaunchError && error.kind === "limit")
      throw new Error(`${gpu.name}: ${error.message}. Choose smaller sizes.`);
    throw error;
  } finally {
    gpu.device.destroy();
  }
}
