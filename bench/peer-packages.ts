import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { LackError } from "../backends/backend.ts";
import { installFolder } from "../runtime/version.ts";

export const run = promisify(execFile);

/** Programs to compare with: a folder of bench/ with a package.json and a lock of its own, which nothing else needs. */
export interface PeerPackages {
  readonly folder: string;
  /** Where they are installed. */
  readonly modules: string;
  /** The package.json. */
  readonly manifest: unknown;
  require(name: string): unknown;
  version(name: string): string;
  /** Whether they are installed as the package.json and lock say. */
  installed(): boolean;
  /**
   * Installs them, unless they are there. Their own install scripts do not run.
   * @param complete what there is to do besides, before they count as installed
   * @throws LackError where they cannot be installed
   */
  install(complete?: () => Promise<void>): Promise<void>;
}

export function peerPackages(name: string): PeerPackages {
  const folder = join(installFolder(), "bench", name);
  const modules = join(folder, "node_modules");
  const stamp = join(modules, ".unmoor-stamp");
  const textOf = (file: string): string => readFileSync(join(folder, file), "utf8");
  const pinned = (): string => textOf("package.json") + textOf("package-lock.json");
  const require = createRequire(join(folder, "package.json"));
  const installed = (): boolean => existsSync(stamp) && readFileSync(stamp, "utf8") === pinned();
  return {
    folder,
    modules,
    get manifest(): unknown {
      return JSON.parse(textOf("package.json"));
    },
    require,
    version: (name) =>
      (JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8")) as { version: string }).version,
    installed,
    async install(complete) {
      if (installed()) return;
      await orLack(folder, "with the network at hand, run: npm ci --ignore-scripts", async () => {
        await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: folder });
      });
      await complete?.();
      writeFileSync(stamp, pinned());
    },
  };
}

/** Does a step of installing; where it fails, that is a lack of this machine, which `mend` mends. */
export async function orLack(folder: string, mend: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const said = error instanceof Error ? error.message.split("\n").slice(0, 3).join(" ") : String(error);
    throw new LackError(`the peers could not be installed in ${folder}: ${said}`, mend);
  }
}
