import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Storage, Target } from "../../codegen/target.ts";
import type { Layer } from "../../ir/core/layer.ts";
import type { ChosenTarget } from "../backends.ts";
import { compiledFolder } from "../cache.ts";
import { recordPrefix } from "./prefix.ts";

/** The user's folder of tuning records. */
export const tuningFolder = (env: NodeJS.ProcessEnv = process.env): string =>
  join(dirname(compiledFolder(env)), "tuning");

/**
 * The description to compile a layer for: the one that tuning chose for it on the device at hand, else the backend's default.
 * The device is asked only where there are records for the variant.
 */
export async function targetFor(
  { backend, isa, records }: ChosenTarget,
  layer: Layer,
  storage: Storage,
): Promise<Target> {
  const usual = backend.target(isa);
  if (records === undefined || !backend.tunings || !backend.deviceName || !existsSync(records)) return usual;
  const known = readdirSync(records).some((name) => name.startsWith(recordPrefix(backend, isa)));
  if (!known) return usual;
  const { chosenTuning } = await import("./record.ts");
  return chosenTuning(records, backend, isa, await backend.deviceName(), layer, storage) ?? usual;
}
