import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

type RunModule = typeof import("./support/run.js");

/** Files that every compiled layer carries, as they stand in the sources: the compiler's own build does not change them. */
const folder = (): string => {
  let root = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(root, "package.json")) && dirname(root) !== root) root = dirname(root);
  return join(root, "backends", "wgsl", "support");
};

/** Names and texts of the support files. */
export function supportFiles(): readonly (readonly [string, string])[] {
  return ["run.js", "run.d.ts"].map((name) => [name, readFileSync(join(folder(), name), "utf8")]);
}

/** The very module that a compiled layer carries. */
export async function loadRunModule(): Promise<RunModule> {
  const module: RunModule = await import(pathToFileURL(join(folder(), "run.js")).href);
  return module;
}
