import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Backend } from "../../backends/backend.ts";
import type { Storage, Target } from "../../codegen/target.ts";
import { layerHash } from "../../ir/core/hash.ts";
import type { Layer } from "../../ir/core/layer.ts";
import { textHash } from "../cache.ts";
import { writeWhole } from "../files.ts";
import { recordPrefix } from "./prefix.ts";

/** What tuning found for one layer and storage on one device. */
const choiceSchema = z.object({
  layer: z.string(),
  params: z.record(z.string(), z.number()),
  storage: z.string(),
  /** The name of the schedule: one of the backend's `tunings`. */
  tuning: z.string(),
  /** Hash of its description: a schedule that means something else by now is not used. */
  description: z.string(),
  evidence: z.enum(["measured", "emulated", "modelled"]),
  /** Per number of tokens, how many times as fast as the default it was: the median over pairs of runs. */
  speedups: z.array(z.object({ tokens: z.number(), ratio: z.number() })),
});
export type TuningChoice = z.infer<typeof choiceSchema>;

const recordSchema = z.object({
  format: z.literal("unmoor-tuning"),
  version: z.literal(1),
  target: z.string(),
  isa: z.string(),
  device: z.string(),
  /** By hash of layer and storage. */
  choices: z.record(z.string(), choiceSchema),
});

const pathOf = (folder: string, backend: Backend, isa: string, device: string): string =>
  join(folder, `${recordPrefix(backend, isa)}${textHash(device).slice(0, 16)}.json`);
const keyOf = (layer: Layer, storage: Storage): string => textHash(JSON.stringify([layerHash(layer), storage]));

/** Changes when what a schedule is told does. */
export const descriptionHash = (target: Target): string => textHash(JSON.stringify(target));

function choicesAt(path: string, device: string): Readonly<Record<string, TuningChoice>> {
  const parsed = recordSchema.safeParse(readJson(path));
  return parsed.success && parsed.data.device === device ? parsed.data.choices : {};
}

/** The description that tuning chose; undefined where it chose none, or one that the backend has no longer. */
export function chosenTuning(
  folder: string,
  backend: Backend,
  isa: string,
  device: string,
  layer: Layer,
  storage: Storage,
): Target | undefined {
  const choice = choicesAt(pathOf(folder, backend, isa, device), device)[keyOf(layer, storage)];
  const tunings = backend.tunings?.(isa) ?? [];
  return tunings.find((t) => t.tuning === choice?.tuning && descriptionHash(t) === choice?.description);
}

/**
 * Enters a choice in the device's record; without one, takes out what was there. Returns the record's path.
 * @throws DiagnosticError where the record cannot be written
 */
export async function recordChoice(
  folder: string,
  backend: Backend,
  isa: string,
  device: string,
  layer: Layer,
  storage: Storage,
  choice: TuningChoice | undefined,
): Promise<string> {
  const path = pathOf(folder, backend, isa, device);
  const key = keyOf(layer, storage);
  const { [key]: _, ...others } = choicesAt(path, device);
  const choices = choice === undefined ? others : { ...others, [key]: choice };
  const record: z.infer<typeof recordSchema> = {
    format: "unmoor-tuning",
    version: 1,
    target: backend.name,
    isa,
    device,
    choices,
  };
  await writeWhole(path, `${JSON.stringify(record, null, 2)}\n`);
  return path;
}

/** The content of a JSON file; undefined where there is none, or no JSON. */
function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
