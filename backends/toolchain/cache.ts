import { createHash, randomBytes } from "node:crypto";
import { chmod, lstat, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
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
 * the hash of its content, and the hash is verified before the path is given away: a damaged file is built anew, with a warning.
 * Written atomically, so several processes may build at once. Throws LackError where the folder cannot be used.
 * @param extension of the file's name, for other results of a compiler
 */
export async function cachedLibrary(
  folder: string,
  key: string,
  build: () => Promise<Buffer>,
  extension = "so",
): Promise<string> {
  await preparePrivateFolder(folder);
  for (const name of await readdir(folder)) {
    const match = /^([0-9a-f]{32})-([0-9a-f]{32})\.([a-z]+)$/.exec(name);
    if (match?.[1] !== key || match[3] !== extension) continue;
    const path = join(folder, name);
    const content = await readFile(path).catch(() => undefined);
    if (content !== undefined && hash([content]) === match[2]) return path;
    process.emitWarning(`the compiled library ${path} is not what was written there: it is built anew`);
    await rm(path, { force: true });
  }
  const content = await build();
  const path = join(folder, `${key}-${hash([content])}.${extension}`);
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

/**
 * Code is loaded from here: nobody else may be able to write to it, or to put another folder in its place. What others could
 * have written while they were able to is not trusted afterwards either, so such a folder is refused and not just closed.
 */
async function preparePrivateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const user = process.getuid?.();
    if (user === undefined) return;
    const [own, above] = [await lstat(folder), await stat(dirname(folder))];
    if (!own.isDirectory()) throw new Error("it is no folder but a link or a file");
    if (own.uid !== user) throw new Error("it belongs to another user");
    if ((own.mode & WRITABLE_BY_OTHERS) !== 0) throw new Error("others may write to it, and may have put code there");
    if ((above.mode & WRITABLE_BY_OTHERS) !== 0 && (above.mode & STICKY) === 0)
      throw new Error(`others may write to ${dirname(folder)}, and put another folder in its place`);
    if ((own.mode & 0o777) !== 0o700) await chmod(folder, 0o700);
  } catch (error) {
    throw unusable(folder, error);
  }
}

const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

const unusable = (folder: string, error: unknown): LackError =>
  new LackError(
    `expected a private folder for compiled libraries at ${folder}: ${error instanceof Error ? error.message : String(error)}`,
    "delete it, make the folder above it writable for you alone, or set XDG_CACHE_HOME to a folder of yours",
  );
