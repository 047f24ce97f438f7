import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { installFolder, unmoorVersion } from "./version.ts";

/** The user's folder of what was compiled: layers and sources, by the hash of what they were made of. */
export const compiledFolder = (env: NodeJS.ProcessEnv = process.env): string =>
  join(env.XDG_CACHE_HOME?.startsWith("/") ? env.XDG_CACHE_HOME : join(homedir(), ".cache"), "unmoor", "ir");

/** SHA-256 in hex. */
export const textHash = (text: string): string => createHash("sha256").update(text).digest("hex");

/** The content of a JSON file; undefined where there is none, or no JSON. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** Writes a JSON file whole or not at all. A cache that cannot be written only costs time. */
export function writeJson(path: string, value: unknown): void {
  const temporary = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(temporary, JSON.stringify(value));
    renameSync(temporary, path);
  } catch {
    try {
      rmSync(temporary, { force: true });
    } catch {
      // nor can it be removed
    }
  }
}

/**
 * Changes when this compiler does: its version, and the files of some of its rooms.
 * @param rooms "ir", or "ir", "codegen" and "backends"
 */
export function compilerStamp(rooms: readonly string[]): string {
  const here = join(dirname(fileURLToPath(import.meta.url)), "..");
  // Support headers lie beside the TypeScript sources, also when this module runs from dist/.
  const folders = [...new Set([here, ...(rooms.includes("backends") ? [installFolder()] : [])])];
  const files = folders.flatMap((folder) => rooms.flatMap((room) => filesOf(join(folder, room))));
  return textHash([unmoorVersion(), ...files].join("\n"));
}

const filesOf = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /(?<!\.test|\.d)\.([jt]s|h|cpp)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => {
      const { size, mtimeMs } = statSync(path);
      return `${path} ${size} ${mtimeMs}`;
    });
