// What the tests of this folder share: its modules in processes of their own, because a library once mapped into a process
// stays there, and because how a process ends is part of what is tested.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** How a child process ended, and what it printed. */
interface Ended {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A temporary folder with this folder's modules as JavaScript, and an empty cache folder. */
export interface Bench {
  readonly cache: string;
  /** Runs a program that may import "./index.js"; environment variables given as undefined are unset. */
  run(program: string, environment?: Record<string, string | undefined>): Promise<Ended>;
  remove(): void;
}

/** Makes a bench. */
export function makeBench(): Bench {
  const folder = mkdtempSync(join(tmpdir(), "unmoor-adapter-"));
  const here = fileURLToPath(new URL("./", import.meta.url));
  const sources = readdirSync(here).filter((name) => !/test(ing)?\.ts$/.test(name));
  for (const path of [join(root, "backends", "backend.ts"), ...sources.map((name) => join(here, name))]) {
    const target = join(folder, relative(root, path).replace(/\.ts$/, ".js"));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, ts.transpile(readFileSync(path, "utf8"), options));
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const cache = join(folder, "cache");
  let count = 0;
  return {
    cache,
    run(program, environment = {}) {
      const file = join(folder, "backends", "wgsl", "adapter", `program-${count++}.js`);
      writeFileSync(file, program);
      return start(file, { XDG_CACHE_HOME: cache, UNMOOR_ADAPTER: undefined, ...environment });
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};

function start(file: string, environment: Record<string, string | undefined>): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file], {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 60_000,
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}
