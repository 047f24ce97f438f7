import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Headers that generated kernels and mains include: file name → text. */
export const supportHeaders = (): Map<string, string> =>
  new Map(
    ["unmoor_kernel.h", "unmoor_draw.h"].map((name) => [
      name,
      readFileSync(join(ascendFolder(), "support", name), "utf8"),
    ]),
  );

/** How to find a C++ compiler for the emulator. */
export const cppCompiler = {
  language: "C++",
  variable: "CXX",
  candidates: ["g++", "clang++"],
  mend: "apt-get install -y g++",
} as const;

/** The folder that kernels include the emulator's headers from. */
export const emulatorInclude = (): string => join(ascendFolder(), "emulator", "include");

let headers: ReadonlyMap<string, string> | undefined;

/** The emulator's headers, by their path below the project: emulator/include/… → text. */
export function emulatorHeaders(): ReadonlyMap<string, string> {
  if (headers) return headers;
  const found = new Map<string, string>();
  const root = ascendFolder();
  for (const entry of readdirSync(emulatorInclude(), { recursive: true, encoding: "utf8" }).sort()) {
    const path = join("emulator", "include", entry);
    if (entry.endsWith(".h")) found.set(path, readFileSync(join(root, path), "utf8"));
  }
  headers = found;
  return found;
}

/** The headers lie beside the TypeScript sources, also when this module runs from dist/. */
function ascendFolder(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    const candidate = join(folder, "backends", "ascend");
    if (existsSync(join(candidate, "emulator", "include"))) return candidate;
    if (folder === dirname(folder))
      throw new Error(`the Ascend headers (backends/ascend) are missing above ${start}: install unmoor again`);
  }
}
