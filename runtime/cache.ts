import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { deserialize, serialize } from "node:v8";
import { installFolder, unmoorVersion } from "./version.ts";

/** The user's folder of what was compiled: layers and sources, by the hash of what they were made of. */
export const compiledFolder = (env: NodeJS.ProcessEnv = process.env): string =>
  join(env.XDG_CACHE_HOME?.startsWith("/") ? env.XDG_CACHE_HOME : join(homedir(), ".cache"), "unmoor", "ir");

/** SHA-256 in hex. */
export const textHash = (text: string): string => createHash("sha256").update(text).digest("hex");

/** What `keep` wrote there; undefined where there is nothing, or nothing whole. */
export function readKept(path: string): unknown {
  try {
    return deserialize(readFileSync(path));
  } catch {
    return undefined;
  }
}

/** Writes a value, bytes among it as they are, whole or not at all. A cache that cannot be written only costs time. */
export function keep(path: string, value: unknown): void {
  const temporary = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(temporary, serialize(value));
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
 * Changes when this compiler does: its version, and the files of some of its rooms, each looked at once in a process.
 * @param rooms "ir", or "ir", "codegen" and "backends"
 */
export const compilerStamp = (rooms: readonly string[]): string =>
  textHash([unmoorVersion(), ...rooms.map(roomStamp)].join("\n"));

const stamps = new Map<string, string>();

function roomStamp(room: string): string {
  const here = join(dirname(fileURLToPath(import.meta.url)), "..");
  // Files that programs are written from lie beside the TypeScript sources, also when this module runs from dist/.
  const support = here === installFolder() ? [] : filesOf(join(installFolder(), room), /\.(js|h|cpp)$/);
  const stamp =
    stamps.get(room) ?? [...filesOf(join(here, room), /(?<!\.test|\.d)\.([jt]s|h|cpp)$/), ...support].join("\n");
  stamps.set(room, stamp);
  return stamp;
}

const filesOf = (folder: string, name: RegExp): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && name.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => {
      const { size, mtimeMs } = statSync(path);
      return `${path} ${size} ${mtimeMs}`;
    });
