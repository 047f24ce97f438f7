import { dirname, join } from "node:path";
import picocolors from "picocolors";
import { type BackendSource, loadBackend } from "../runtime/backends.ts";
import { compiledFolder } from "../runtime/cache.ts";
import { tuningFolder } from "../runtime/tune/target.ts";

/** What the command line needs of the process around it. Tests give their own. */
export interface Environment {
  /** Prints on stdout. */
  out(text: string): void;
  /** Prints on stderr. */
  err(text: string): void;
  readonly colors: ReturnType<typeof picocolors.createColors>;
  readonly backends: BackendSource;
  /** Folder for compiled layers and sources; undefined for none. */
  readonly cache: string | undefined;
  /** Folder of weights that were rounded and laid out before; undefined for none. */
  readonly weights?: string;
  /** Folder of what `unmoor tune` records. */
  readonly tuning: string;
  /** Whether faults are told with their stack. */
  readonly debug: boolean;
}

export function processEnvironment(): Environment {
  for (const stream of [process.stdout, process.stderr]) {
    // A reader that has seen enough, as in `unmoor explain … | head`, is no fault.
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(0);
      throw error;
    });
  }
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    colors: picocolors.createColors(picocolors.isColorSupported && process.stdout.isTTY === true),
    backends: loadBackend,
    cache: compiledFolder(),
    weights: join(dirname(compiledFolder()), "weights"),
    tuning: tuningFolder(),
    debug: process.env.UNMOOR_DEBUG === "1",
  };
}
