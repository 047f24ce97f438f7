import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Layer } from "../ir/core/layer.ts";
import { type ConfigFile, compileSource } from "../ir/frontend/index.ts";
import { parseLayer, printLayer } from "../ir/text/index.ts";
import { compilerStamp, keep, readKept, textHash } from "./cache.ts";

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

/**
 * The IR of a layer. It comes from the cache when nothing that it was made of has changed: the file, all that it imports,
 * the parameters, this compiler. TypeScript is loaded only when it does not.
 * @throws DiagnosticError with everything found wrong in the source
 */
export async function readLayer(request: SourceRequest): Promise<Layer> {
  const { file, layer, params = {}, config, cache } = request;
  const named = [process.cwd(), file, layer ?? null, Object.entries(params).sort(), config ?? null];
  const key = textHash(JSON.stringify([compilerStamp(["ir"]), ...named]));
  const path = cache === undefined ? undefined : join(cache, `${key}.layer`);
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
  if (path !== undefined) keep(path, entryOf(compiled, texts));
  return compiled;
}

function readEntry(path: string): Layer | undefined {
  const entry = asEntry(readKept(path));
  if (!entry || !Object.entries(entry.reads).every(([name, hash]) => hashOf(readText(name)) === hash)) return undefined;
  try {
    return parseLayer(entry.layer);
  } catch {
    return undefined; // damaged: the source says the same
  }
}

/** Hashes of all files that reading the layer looked for, null for those that were not there; and the layer, with its spans. */
interface Entry {
  readonly reads: Readonly<Record<string, string | null>>;
  readonly layer: string;
}

/** What `readLayer` wrote; undefined for anything else. Loading a schema library would take longer than the rest. */
function asEntry(value: unknown): Entry | undefined {
  if (typeof value !== "object" || value === null || !("reads" in value) || !("layer" in value)) return undefined;
  const { reads, layer } = value;
  if (typeof layer !== "string" || typeof reads !== "object" || reads === null) return undefined;
  const isHash = (entry: [string, unknown]): entry is [string, string | null] =>
    entry[1] === null || typeof entry[1] === "string";
  const hashes = Object.entries(reads);
  return hashes.every(isHash) ? { reads: Object.fromEntries(hashes), layer } : undefined;
}

function entryOf(layer: Layer, texts: ReadonlyMap<string, string | undefined>): Entry {
  const reads = Object.fromEntries([...texts].map(([name, text]) => [resolve(name), hashOf(text)]));
  return { reads, layer: printLayer(layer, { spans: true }) };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

const hashOf = (text: string | undefined): string | null => (text === undefined ? null : textHash(text));
