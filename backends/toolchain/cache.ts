import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { LackError, type SourceTree } from "../backend.ts";

/** The user's folder of a target's compiled libraries. */
export const cacheFolder = (target: string, env: NodeJS.ProcessEnv = process.env): string =>
  join(env.XDG_CACHE_HOME?.startsWith("/") ? env.XDG_CACHE_HOME : join(homedir(), ".cache"), "unmoor", target);

const hash = (parts: Iterable<string | Buffer>): string => {
  const sum = createHash("sha256");
  for (const part of parts) {
    // The length keeps neighbouring parts apart.
    sum.update(`${part.length}:`);
    sum.update(part);
  }
  return sum.digest("hex").slice(0, 32);
};

/** The key of a build: everything that its result depends on. */
export const buildKey = (sources: SourceTree, settings: readonly string[]): string =>
  hash([...settings, ...[...sources].sort(([a], [b]) => (a < b ? -1 : 1)).flat()]);

/**
 * The path of the library with a key; `build` makes it where the cache has none. A library's file is named by its key and
 * the hash of its content, and the hash is verified before the path is given away: a damaged file is built anew. Written
 * atomically, so several processes may build at once. Throws LackError where the folder cannot be used.
 */
export async function cachedLibrary(folder: string, key: string, build: () => Promise<Buffer>): Promise<string> {
  await preparePrivateFolder(folder);
  for (const name of await readdir(folder)) {
    const match = /^([0-9a-f]{32})-([0-9a-f]{32})\.so$/.exec(name);
    if (match?.[1] !== key) continue;
    const path = join(folder, name);
    const content = await readFile(path).catch(() => undefined);
    if (content !== undefined && hash([content]) === match[2]) return path;
    await rm(path, { force: true });
  }
  const content = await build();
  const path = join(folder, `${key}-${hash([content])}.so`);
  const temporary = join(folder, `.${key}-${randomBytes(8).toString("hex")}`);
  try {
    await writeFile(temporary, content, { mode: 0o700, flag: "wx" });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw unusable(folder, error);
  }
  return path;
}

/** Code is loaded from here: nobody else may write to it. */
async function preparePrivateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const status = await stat(folder);
    const user = process.getuid?.();
    if (user !== undefined && status.uid !== user) throw new Error("it belongs to another user");
    if ((status.mode & 0o077) !== 0) await chmod(folder, 0o700);
  } catch (error) {
    throw unusable(folder, error);
  }
}

const unusable = (folder: string, error: unknown): LackError =>
  new LackError(
    `expected a private folder for compiled libraries at ${folder}: ${error instanceof Error ? error.message : String(error)}`,
    "make the folder writable for you alone, or set XDG_CACHE_HOME to a folder of yours",
  );
