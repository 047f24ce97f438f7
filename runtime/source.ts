import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Layer } from "../ir/core/layer.ts";
import { type ConfigFile, compileSource } from "../ir/frontend/index.ts";
import { parseLayer, printLayer } from "../ir/text/index.ts";
import { unmoorVersion } from "./version.ts";

export interface SourceRequest {
  /** Path of a DSL file, as it shall stand in diagnostics. */
  readonly file: string;
  readonly layer?: string;
  readonly params?: Readonly<Record<string, number>>;
  /** A config that parameters read from, where the layer says how. */
  readonly config?: ConfigFile;
  /** Folder for compiled IR; undefined for none. */
  readonly cache: string | undefined;
}

/** The user's folder of compiled IR. */
export const irCacheFolder = (env: NodeJS.ProcessEnv = process.env): string =>
  join(env.XDG_CACHE_HOME?.startsWith("/") ? env.XDG_CACHE_HOME : join(homedir(), ".cache"), "unmoor", "ir");

/** Hashes of all files that reading the layer looked for, null for those that were not there; and the layer, with its spans. */
const entrySchema = z.object({ reads: z.record(z.string(), z.string().nullable()), layer: z.string() });

/**
 * The IR of a layer. It comes from the cache when nothing that it was made of has changed: the file, all that it imports,
 * the parameters, this compiler. TypeScript is loaded only when it does not.
 * @throws DiagnosticError with everything found wrong in the source
 */
export async function readLayer(request: SourceRequest): Promise<Layer> {
  const { file, layer, params = {}, config, cache } = request;
  const named = [process.cwd(), file, layer ?? null, Object.entries(params).sort(), config ?? null];
  const key = sha256(JSON.stringify([compilerStamp(), ...named]));
  const path = cache === undefined ? undefined : join(cache, `${key}.json`);
  const known = path === undefined ? undefined : readEntry(path);
  if (known) return known;
  const texts = new Map<string, string | undefined>();
  const host = {
    read: (name: string): string | undefined => {
      if (!texts.has(name)) texts.set(name, readText(name));
      return texts.get(name);
    },
  };
  const compiled = await compileSource({
    host,
    entry: file,
    params,
    ...(layer === undefined ? {} : { layer }),
    ...(config === undefined ? {} : { config }),
  });
  if (path !== undefined) writeEntry(path, compiled, texts);
  return compiled;
}

function readEntry(path: string): Layer | undefined {
  try {
    const { reads, layer } = entrySchema.parse(JSON.parse(readFileSync(path, "utf8")));
    const same = Object.entries(reads).every(([name, hash]) => hashOf(readText(name)) === hash);
    return same ? parseLayer(layer) : undefined;
  } catch {
    return undefined; // not there, or damaged: the source says the same
  }
}

function writeEntry(path: string, layer: Layer, texts: ReadonlyMap<string, string | undefined>): void {
  const reads = Object.fromEntries([...texts].map(([name, text]) => [resolve(name), hashOf(text)]));
  const temporary = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
  } catch {
    return; // a cache that cannot be written only costs time
  }
  try {
    writeFileSync(temporary, JSON.stringify({ reads, layer: printLayer(layer, { spans: true }) }));
    renameSync(temporary, path);
  } catch {
    rmSync(temporary, { force: true });
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

const hashOf = (text: string | undefined): string | null => (text === undefined ? null : sha256(text));

/** Changes when this compiler does: its version, and the files of the room that reads sources. */
function compilerStamp(): string {
  const folder = join(dirname(fileURLToPath(import.meta.url)), "..", "ir");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /(?<!\.test)\.[jt]s$/.test(name))
    .sort()
    .map((name) => {
      const { size, mtimeMs } = statSync(join(folder, name));
      return `${name} ${size} ${mtimeMs}`;
    });
  return sha256([unmoorVersion(), ...files].join("\n"));
}
