import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { VectorIsa } from "../../codegen/emit/c/index.ts";

/** The support headers that the generated source of variants needs, and those named: file name → text. */
export function supportHeaders(isas: readonly VectorIsa[], more: readonly string[] = []): Map<string, string> {
  const folder = supportFolder();
  const names = new Set(["unmoor_threads.h", ...more]);
  for (const isa of isas) {
    for (const include of isa.includes) {
      const [, name] = /^"(.+)"$/.exec(include) ?? [];
      if (name !== undefined) names.add(name);
    }
  }
  if (isas.some((isa) => isa.architecture === "wasm32"))
    for (const name of ["math.h", "string.h"]) names.add(`wasm/${name}`);
  return new Map([...names].sort().map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

/** The headers lie beside the TypeScript sources, also when this module runs from dist/. */
function supportFolder(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    const candidate = join(folder, "backends", "simd-c", "support");
    if (existsSync(candidate)) return candidate;
    if (folder === dirname(folder)) {
      throw new Error(`the support headers (backends/simd-c/support) are missing above ${start}: install unmoor again`);
    }
  }
}
