import { checkLayer } from "../../ir/core/builder.ts";
import type { Layer } from "../../ir/core/layer.ts";
import { hasEpilogues, type Storage, type Target } from "../target.ts";
import { eliminateCommon, removeDeadCode } from "./clean.ts";
import { fuseGather, fuseZeroExperts } from "./fuse.ts";
import { fuseEpilogue } from "./fuse-epilogue.ts";
import { fuseMaps } from "./fuse-maps.ts";
import { groupExperts } from "./group-experts.ts";
import { packWeights } from "./pack-weights.ts";
import { removeZeroExperts } from "./remove-zero-experts.ts";
import { sinkSlices } from "./sink-slices.ts";
import { stageInputs } from "./stage-inputs.ts";
import { convertActivations, selectStorage } from "./storage.ts";

/** A step from layer IR to layer IR. Each keeps what the layer computes, within the bounds of its dtypes. */
export interface Pass {
  readonly name: string;
  /** What it does, in a sentence for `unmoor explain`. */
  readonly summary: string;
  run(layer: Layer): Layer;
}

/** The passes for a target, in order. */
export function passesFor(target: Target, storage: Storage): readonly Pass[] {
  const { matmul } = target;
  const passes: Pass[] = [
    {
      name: "select-storage",
      summary: `store matrices left open as ${storage}`,
      run: (l) => selectStorage(l, storage),
    },
    { name: "sink-slices", summary: "columns of a product become rows of its weight", run: sinkSlices },
    { name: "remove-zero-experts", summary: "fold identity experts into one weight per token", run: removeZeroExperts },
    {
      name: "group-experts",
      summary: "one expert's body becomes products over rows sorted by expert",
      run: groupExperts,
    },
    { name: "eliminate-common", summary: "compute equal operations once", run: eliminateCommon },
    { name: "fuse-maps", summary: "elementwise functions of elementwise functions become one", run: fuseMaps },
    { name: "fuse-zero-experts", summary: "add the identity share where slots are combined", run: fuseZeroExperts },
  ];
  if (hasEpilogues(target))
    passes.push({
      name: "fuse-epilogue",
      summary: "products and the function of their sums in one sweep",
      run: (l) => fuseEpilogue(l, target),
    });
  if (matmul.kind === "registers")
    passes.push({ name: "fuse-gather", summary: "products read their tokens in place", run: fuseGather });
  passes.push({
    name: "convert-activations",
    summary: "activations in the type that the target multiplies",
    run: (l) => convertActivations(l, target),
  });
  if (matmul.kind === "registers" && matmul.rowPadding) {
    const { rowPadding } = matmul;
    passes.push({
      name: "stage-inputs",
      summary: "copy inputs whose rows compete for cache lines",
      run: (l) => stageInputs(l, rowPadding),
    });
  }
  if (matmul.kind === "registers" && (matmul.dot[storage]?.packed ?? matmul.packed)) {
    passes.push({
      name: "pack-weights",
      summary: "weights in panels, packed once at load",
      run: (l) => packWeights(l, matmul),
    });
  }
  passes.push({ name: "remove-dead-code", summary: "drop what nobody uses", run: removeDeadCode });
  return passes;
}

/** A layer after each pass, beginning with the layer as written (pass undefined). */
export function runPasses(
  layer: Layer,
  passes: readonly Pass[],
): readonly { readonly pass: Pass | undefined; readonly layer: Layer }[] {
  const stages: { pass: Pass | undefined; layer: Layer }[] = [{ pass: undefined, layer: checkLayer(layer) }];
  let current = layer;
  for (const pass of passes) {
    current = checkLayer(pass.run(current));
    stages.push({ pass, layer: current });
  }
  return stages;
}
