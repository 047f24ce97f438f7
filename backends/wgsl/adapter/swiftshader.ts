// SwiftShader is Google's software Vulkan driver, under Apache-2.0. The package @sparticuz/chromium (MIT) carries it as
// built for Chromium, with a Vulkan loader beside it (Apache-2.0). Nothing of it is part of this project: it is unpacked
// on the user's own machine from the package that npm installed there.
import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { LackError } from "../../backend.ts";
import { type ArchiveFile, readTarBr } from "./archive.ts";

const require = createRequire(import.meta.url);
const DRIVER = "libvk_swiftshader.so";
const LOADER = "libvulkan.so.1";
const ICD = "vk_swiftshader_icd.json";
const NEEDED = [DRIVER, LOADER, ICD];
const MANIFEST = "manifest.json";
const NOTE = "LICENSE-NOTE.txt";

/** An unpacked SwiftShader. */
export interface SwiftShader {
  /** Where it is, below the user's cache folder. */
  readonly folder: string;
  /** The JSON file that names the driver to a Vulkan loader. */
  readonly icd: string;
  /** The Vulkan loader that came with it, for machines that have none. */
  readonly loader: string;
  /** Whether this call unpacked it; false: it was there and whole. */
  readonly installed: boolean;
}

interface FileRecord {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
}

/** Whether the archive's libraries run on this kind of machine. */
export function hasSwiftShader(): boolean {
  return process.platform === "linux" && process.arch === "x64";
}

/**
 * Unpacks SwiftShader into the user's cache folder, unless it is there and whole: each file is verified by size and
 * SHA-256. Several processes may do so at once; the last step is one rename.
 * @throws LackError where the archive is missing or damaged, or the cache folder cannot be written
 */
export async function installSwiftShader(): Promise<SwiftShader> {
  if (!hasSwiftShader())
    throw new LackError(
      `SwiftShader comes built for Linux on x64 only, and this is ${process.platform} on ${process.arch}`,
      process.platform === "linux" ? "install Mesa's lavapipe 25 or newer" : "use the system's own GPU driver",
    );
  const source = locateArchive();
  const cache = join(cacheHome(), "unmoor");
  const version = await packageVersion(source.manifest);
  const folder = join(cache, `swiftshader-${version}`);
  if (await isWhole(folder)) return describe(folder, false);
  try {
    return describe(folder, await unpack(source.archive, cache, folder, version));
  } catch (error) {
    if (error instanceof LackError) throw error;
    throw new LackError(
      `SwiftShader cannot be unpacked into ${folder}: ${reason(error)}`,
      `make that folder writable, or remove it, or point XDG_CACHE_HOME at another one, and run again`,
    );
  }
}

function describe(folder: string, installed: boolean): SwiftShader {
  return { folder, icd: join(folder, ICD), loader: join(folder, LOADER), installed };
}

function locateArchive(): { archive: string; manifest: string } {
  let entry: string;
  try {
    entry = require.resolve("@sparticuz/chromium");
  } catch {
    throw new LackError("the package @sparticuz/chromium, which carries SwiftShader, is not installed", "run: npm ci");
  }
  const root = dirname(dirname(entry));
  return { archive: join(root, "bin", "swiftshader.tar.br"), manifest: join(root, "package.json") };
}

async function packageVersion(manifest: string): Promise<string> {
  const parsed: unknown = JSON.parse(await readFile(manifest, "utf8"));
  if (typeof parsed === "object" && parsed !== null && "version" in parsed && typeof parsed.version === "string")
    return parsed.version;
  throw new LackError(`${manifest} states no version`, "run: npm ci");
}

/** The user's cache folder, by the XDG rules: a relative path is ignored. */
function cacheHome(): string {
  const stated = process.env.XDG_CACHE_HOME;
  return stated !== undefined && isAbsolute(stated) ? stated : join(homedir(), ".cache");
}

/** Unpacks beside the final folder and renames. Returns false where another process was first. */
async function unpack(archive: string, cache: string, folder: string, version: string): Promise<boolean> {
  const files = await neededFiles(archive);
  await mkdir(cache, { recursive: true, mode: 0o700 });
  await sweep(cache);
  const temporary = await mkdtemp(join(cache, ".unpack-"));
  try {
    for (const file of files) await writeFile(join(temporary, file.name), file.content, { mode: 0o600 });
    await writeFile(join(temporary, NOTE), licenceNote(version), { mode: 0o600 });
    await writeFile(join(temporary, MANIFEST), `${JSON.stringify(files.map(record), null, 2)}\n`, { mode: 0o600 });
    await chmod(temporary, 0o700);
    return await moveInto(temporary, folder);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function moveInto(temporary: string, folder: string): Promise<boolean> {
  try {
    await rename(temporary, folder);
    return true;
  } catch (error) {
    if (!isTaken(error)) throw error;
  }
  if (await isWhole(folder)) return false;
  const info = await lstat(folder);
  if (!info.isDirectory() || info.uid !== process.getuid?.())
    throw new LackError(`${folder} is no folder of the user who runs this`, `remove it: rm -rf ${folder}`);
  // Damaged: mended file by file, because a process that found it whole may be about to load from it.
  await chmod(folder, 0o700);
  for (const name of [...NEEDED, NOTE, MANIFEST]) await rename(join(temporary, name), join(folder, name));
  return true;
}

/** Removes what unpacking left behind when it was killed more than an hour ago. */
async function sweep(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (!name.startsWith(".unpack-")) continue;
    const path = join(cache, name);
    const info = await stat(path).catch(() => undefined);
    if (info !== undefined && Date.now() - info.mtimeMs > 3_600_000) await rm(path, { recursive: true, force: true });
  }
}

async function neededFiles(archive: string): Promise<ArchiveFile[]> {
  const mend = "run: rm -rf node_modules/@sparticuz && npm ci";
  let all: ArchiveFile[];
  try {
    all = readTarBr(await readFile(archive));
  } catch (error) {
    throw new LackError(`${archive} cannot be read: ${reason(error)}`, mend);
  }
  return NEEDED.map((name) => {
    const file = all.find((each) => each.name.replace(/^\.\//, "") === name);
    if (file === undefined) throw new LackError(`${archive} does not contain ${name}`, mend);
    return { name, content: file.content };
  });
}

function record({ name, content }: ArchiveFile): FileRecord {
  return { name, size: content.length, sha256: createHash("sha256").update(content).digest("hex") };
}

/** Whether a folder holds every needed file as it was unpacked, and only its owner could have changed it. */
async function isWhole(folder: string): Promise<boolean> {
  try {
    const info = await lstat(folder);
    // A library out of somebody else's hands must not be loaded.
    if (!info.isDirectory() || info.uid !== process.getuid?.() || (info.mode & 0o022) !== 0) return false;
    const records: unknown = JSON.parse(await readFile(join(folder, MANIFEST), "utf8"));
    if (!Array.isArray(records)) return false;
    for (const name of NEEDED) {
      const stated: unknown = records.find((each: unknown) => isRecord(each) && each.name === name);
      if (!isRecord(stated)) return false;
      const path = join(folder, name);
      if ((await stat(path)).size !== stated.size) return false;
      const found = record({ name, content: await readFile(path) });
      if (found.sha256 !== stated.sha256) return false;
    }
    return true;
  } catch {
    return false;
  }
}

function isRecord(value: unknown): value is FileRecord {
  return typeof value === "object" && value !== null && "name" in value && "size" in value && "sha256" in value;
}

function isTaken(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOTDIR";
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function licenceNote(version: string): string {
  return `Unmoor unpacked these files from the npm package @sparticuz/chromium ${version} (MIT).

${DRIVER}, ${ICD}: SwiftShader, copyright The SwiftShader Authors, Apache License 2.0.
  https://swiftshader.googlesource.com/SwiftShader
${LOADER}: the Khronos Vulkan loader, copyright The Khronos Group Inc. and others, Apache License 2.0.
  https://github.com/KhronosGroup/Vulkan-Loader

The licence's text: https://www.apache.org/licenses/LICENSE-2.0
This folder may be deleted at any time; it is made again when it is needed.
`;
}
