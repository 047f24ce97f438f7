import type { Layer } from "../ir/core/layer.ts";
import { checkLegality, checkStorage } from "./legality.ts";
import { lowerLayer } from "./lower.ts";
import { type Pass, passesFor, runPasses } from "./passes/index.ts";
import { at } from "./place.ts";
import type { Program } from "./program.ts";
import type { Storage, Target } from "./target.ts";

/** A layer on its way to a target: the IR after each pass, and the program. */
export interface Compilation {
  readonly target: Target;
  readonly storage: Storage;
  readonly stages: readonly { readonly pass: Pass | undefined; readonly layer: Layer }[];
  /** The layer with its weights' storage chosen and nothing else changed: what the oracle computes. */
  readonly stored: Layer;
  /** The layer after all passes that touch numbers: its roundings are those that kernels may make. */
  readonly rounded: Layer;
  /** The layer after the last pass. */
  readonly lowered: Layer;
  readonly program: Program;
}

/** Compiles a layer for a target. Throws DiagnosticError where the target cannot do what the layer needs. */
export function compileLayer(layer: Layer, target: Target, storage: Storage): Compilation {
  checkStorage(layer, target, storage);
  const stages = at(layer.span, () => runPasses(layer, passesFor(target, storage)));
  const lowered = stages.at(-1)?.layer ?? layer;
  const after = (name: string): Layer => stages.find((s) => s.pass?.name === name)?.layer ?? layer;
  const program = at(layer.span, () => lowerLayer(lowered, target));
  checkLegality(layer, program, target);
  return {
    target,
    storage,
    stages,
    stored: after("select-storage"),
    rounded: after("convert-activations"),
    lowered,
    program,
  };
}
