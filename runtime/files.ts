import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir, mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { DiagnosticError } from "../ir/core/diagnostic.ts";
import { noSpan } from "../ir/core/span.ts";

const reasons: Readonly<Record<string, string>> = {
  EACCES: "this user may not write there",
  EPERM: "this user may not write there",
  EROFS: "the file system is read-only",
  ENOTDIR: "a part of the path is a file",
  EEXIST: "a part of the path is a file",
  EISDIR: "it is a folder",
  ENOENT: "the folder does not exist",
  ENOSPC: "the disk is full",
  ENAMETOOLONG: "the name is too long",
};

/** The diagnostic for a destination that the system refuses. */
function unwritable(path: string, error: unknown): DiagnosticError {
  return new DiagnosticError([
    {
      code: "U310",
      span: noSpan,
      message: `${path} cannot be written`,
      expected: "a place that this user may write to",
      found: reasons[errorCode(error)] ?? (error instanceof Error ? error.message : String(error)),
      help: "Give another place, or change its permissions.",
    },
  ]);
}

/**
 * Writes a file whole or not at all: what was there stays until the new text has its name.
 * @throws DiagnosticError where the destination cannot be written
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw unwritable(path, error);
  }
}

/**
 * Asks, before long work, whether a file can be written.
 * @throws DiagnosticError where it cannot
 */
export async function checkWritable(path: string): Promise<void> {
  try {
    const status = await stat(path).catch(() => undefined);
    if (status?.isDirectory()) throw Object.assign(new Error("it is a folder"), { code: "EISDIR" });
    const folder = dirname(resolve(path));
    if (!(await stat(folder)).isDirectory()) throw Object.assign(new Error("not a folder"), { code: "ENOTDIR" });
    await access(folder, constants.W_OK);
  } catch (error) {
    throw unwritable(path, error);
  }
}

/**
 * Writes files below a folder, all or none: they are written beside their places first, and named when all are complete.
 * @param files path below the folder → text or bytes
 * @throws DiagnosticError where the folder cannot be written; what was there is then unchanged
 */
export async function writeTree(folder: string, files: ReadonlyMap<string, string | Uint8Array>): Promise<void> {
  const target = resolve(folder);
  let created: string | undefined;
  let staging: string | undefined;
  try {
    // Whatever of the path was made here goes again when something fails.
    created = await makeFolder(target);
    staging = await mkdtemp(join(target, ".unmoor-"));
    const names = [...files.keys()];
    const folders = new Set(names.map((name) => dirname(name)));
    for (const place of [staging, target]) for (const name of folders) await makeFolder(join(place, name));
    const staged = staging;
    await together([...files].map(([name, text]) => writeFile(join(staged, name), text)));
    const taken = await Promise.all(names.map((name) => stat(join(target, name)).catch(() => undefined)));
    const folder = names.find((_, i) => taken[i]?.isDirectory());
    if (folder !== undefined) throw Object.assign(new Error(`${folder} is a folder`), { code: "EISDIR" });
    await together(names.map((name) => rename(join(staged, name), join(target, name))));
    await rm(staging, { recursive: true, force: true });
  } catch (error) {
    if (staging !== undefined) await rm(staging, { recursive: true, force: true }).catch(() => {});
    if (created !== undefined) await rm(created, { recursive: true, force: true }).catch(() => {});
    throw unwritable(folder, error);
  }
}

/** Waits for all, also where one fails: nobody writes any more when what was made is removed. */
async function together(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((each) => each.status === "rejected");
  if (failed) throw failed.reason;
}

/**
 * Makes a folder and what is missing above it. Returns the uppermost that it made. Node's own recursive mkdir does not end on
 * file systems, such as /proc, that refuse a folder with ENOENT.
 */
async function makeFolder(folder: string): Promise<string | undefined> {
  const status = await stat(folder).catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  });
  if (status?.isDirectory()) return undefined;
  if (status) throw Object.assign(new Error(`${folder} is a file`), { code: "ENOTDIR" });
  const above = folder === dirname(folder) ? undefined : await makeFolder(dirname(folder));
  try {
    await mkdir(folder);
  } catch (error) {
    // Somebody else may have been quicker.
    if (errorCode(error) !== "EEXIST") throw error;
  }
  return above ?? folder;
}

const errorCode = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
