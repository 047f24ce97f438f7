import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildKey, cachedLibrary, cacheFolder } from "../toolchain/cache.ts";
import { buildLibrary, type Compiler } from "../toolchain/compiler.ts";
import { cppCompiler, emulatorHeaders, emulatorInclude } from "./support.ts";

/** What kernels are compiled with for the emulator. */
export interface EmulatorBuild {
  readonly flags: readonly string[];
  /** Object files to link. */
  readonly objects: readonly string[];
  /** Stands for the emulator and the flags in the keys of what is built with it. */
  readonly key: string;
}

/** What a failure to build with it says. */
export const emulated = {
  title: "the kernels for the Ascend emulator",
  mend: `install g++ 10 or newer (${cppCompiler.mend})`,
};

const language = ["-std=c++17", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden"];

const builds = new Map<string, Promise<EmulatorBuild>>();

/**
 * Flags and objects for kernels. With g++ what kernels have in common is compiled once per version of the emulator and kept in the
 * user's cache, as an object with optimisation and as a precompiled header: a kernel then takes a tenth of the time to compile. With
 * clang the headers are compiled with each kernel.
 * @throws LackError where the compiler or the cache does not work
 */
export function emulatorBuild(compiler: Compiler, env: NodeJS.ProcessEnv = process.env): Promise<EmulatorBuild> {
  const folder = cacheFolder("ascend", env);
  const known = `${compiler.command.join(" ")}\n${compiler.version}\n${folder}`;
  const started = builds.get(known);
  if (started) return started;
  const build = make(compiler, folder);
  builds.set(known, build);
  // What failed may be mended before the next call.
  build.catch(() => builds.delete(known));
  return build;
}

async function make(compiler: Compiler, folder: string): Promise<EmulatorBuild> {
  const headers = ["-I", emulatorInclude()];
  const keyOf = (flags: readonly string[]): string =>
    buildKey(emulatorHeaders(), [...compiler.command, compiler.version, ...flags]);
  if (compiler.version.includes("clang")) {
    const flags = [...language, "-O1", ...headers];
    return { flags, objects: [], key: keyOf(flags) };
  }
  const kernel = [...language, "-fno-gnu-unique", "-O0", "-DUNMOOR_EMULATOR_LINKED"];
  const common = [...language, "-fno-gnu-unique", "-O2", "-DUNMOOR_EMULATOR_BUILD"];
  const include = '#include "unmoor/ascend_host.h"\n';
  const instances = ["-include", "unmoor/emulator/instances.h"];
  const compile = (args: readonly string[], extension: string): Promise<string> =>
    cachedLibrary(
      folder,
      keyOf(args),
      () =>
        buildLibrary(compiler, new Map([["emulator.cpp", include]]), [...args, ...headers], ["emulator.cpp"], emulated),
      extension,
    );
  const [object, header] = await Promise.all([
    compile([...common, ...instances, "-c"], "o"),
    compile([...kernel, "-x", "c++-header"], "gch"),
  ]);
  // The compiler looks for NAME.gch first, and reads NAME where it cannot use that.
  const name = header.slice(0, -".gch".length);
  await writeFile(name, include);
  await dropOldHeaders(folder, header);
  const flags = [...kernel, "-include", name, ...instances, ...headers];
  return { flags, objects: [object], key: keyOf([...common, ...kernel]) };
}

const week = 7 * 24 * 3600 * 1000;

/** Deletes precompiled headers but one, which are large, where they are older than a week: those of earlier versions. */
export async function dropOldHeaders(folder: string, keep: string): Promise<void> {
  for (const file of await readdir(folder)) {
    const path = join(folder, file);
    if (!file.endsWith(".gch") || path === keep) continue;
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (mtimeMs > Date.now() - week) continue;
    for (const gone of [path, path.slice(0, -".gch".length)]) await rm(gone, { force: true });
  }
}
