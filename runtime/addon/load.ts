import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** What the addon exports, as runtime/addon/src/addon.h declares it. Sizes and offsets are in bytes. */
export interface Addon {
  openLibrary(path: string): number;
  /** Returns the number of runs in flight; the library was closed only when that is 0. */
  closeLibrary(id: number): number;
  hasSymbol(id: number, symbol: string): boolean;
  callText(id: number, symbol: string): string | null;
  run(
    id: number,
    symbol: string,
    buffers: readonly (ArrayBuffer | ArrayBufferView)[],
    offsets: readonly number[],
    dims: readonly number[],
    threads: number,
    repeat: number,
    done: (error: Error | null, status: number, nanoseconds: Float64Array) => void,
  ): void;
  allocateMemory(bytes: number): ArrayBuffer;
  mapFile(path: string, offset: number, bytes: number): ArrayBuffer;
  freeMemory(buffer: ArrayBuffer): void;
  memoryInUse(): number;
}

let loaded: Addon | undefined;

/**
 * The native addon, loaded on first use.
 * @throws Error with the command that mends it when the addon is not built, or was built for another node
 */
export function addon(): Addon {
  loaded ??= load();
  return loaded;
}

function load(): Addon {
  const path = addonPath();
  if (!existsSync(path)) {
    throw new Error(`the native addon is not built: ${path} does not exist. Run: npm run setup`);
  }
  try {
    return createRequire(import.meta.url)(path) as Addon;
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw new Error(
      `the native addon cannot be loaded by node ${process.version}: ${reason}\nBuild it again with: npm run setup`,
      { cause: error },
    );
  }
}

/** The built file lies beside the sources also when this module runs from dist/. */
function addonPath(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    const home = join(folder, "runtime", "addon");
    if (existsSync(join(home, "binding.gyp"))) return join(home, "build", "Release", "unmoor.node");
    if (folder === dirname(folder)) {
      throw new Error(`the native addon's sources (runtime/addon) are missing above ${start}: install unmoor again`);
    }
  }
}
