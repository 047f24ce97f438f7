import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of this installation: the one with its package.json, also when this module runs from dist/. */
export function installFolder(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json"))) return folder;
    if (folder === dirname(folder)) throw new Error(`package.json is missing above ${start}: install unmoor again`);
  }
}

/** Unmoor's version, as in its package.json. */
export function unmoorVersion(): string {
  const { version } = JSON.parse(readFileSync(join(installFolder(), "package.json"), "utf8")) as { version: string };
  return version;
}
