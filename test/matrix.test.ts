/**
 * Every example, on every target, in every storage that the target reads, against the oracle. Seed 1. Each target's best variant
 * here; with UNMOOR_TEST_ALL=1 (npm run test:all) every variant that this machine runs.
 */
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { targetNames } from "../codegen/target.ts";
import { loadBackend } from "../runtime/backends.ts";
import { checkTarget } from "../runtime/check/check.ts";
import { readLayer } from "../runtime/source.ts";

const folder = resolve(import.meta.dirname, "../examples");

/** Small sizes for each example, some of which no tile divides. */
const sizes: Readonly<Record<string, readonly Readonly<Record<string, number>>[]>> = {
  "longcat-moe.ts": [
    { H: 64, I: 32, E: 8, Z: 4, K: 3, scale: 6 },
    { H: 37, I: 21, E: 5, Z: 3, K: 2, scale: 2.5 },
  ],
  "dbrx.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "deepseek-v2.ts": [{ H: 37, I: 21, S: 19, E: 12, K: 3, G: 4, M: 2 }],
  "deepseek-v3.ts": [{ H: 37, I: 21, S: 19, E: 12, K: 3, G: 4, M: 2 }],
  "deepseek-v4-hash.ts": [{ H: 37, I: 21, E: 12, K: 3, V: 7 }],
  "deepseek-v4.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "ernie45.ts": [{ H: 37, I: 21, S: 19, E: 12, K: 3 }],
  "gemma4.ts": [{ H: 37, I: 21, D: 19, E: 12, K: 3 }],
  "gpt-oss.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "granite-moe.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "kimi-k3.ts": [{ H: 37, L: 23, I: 21, S: 19, E: 12, K: 3 }],
  "llama4.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "mixtral.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "nemotron3.ts": [{ H: 37, I: 21, S: 19, E: 12, K: 3 }],
  "olmoe.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "phi35-moe.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
  "qwen2-moe.ts": [{ H: 37, I: 21, S: 19, E: 12, K: 3 }],
  "qwen3-moe.ts": [{ H: 37, I: 21, E: 12, K: 3 }],
};

const variants = (
  await Promise.all(
    targetNames.map(async (name) => {
      const backend = await loadBackend(name);
      const best = backend.isas.indexOf(await backend.bestIsa());
      const end = process.env.UNMOOR_TEST_ALL === "1" ? undefined : best + 1;
      return backend.isas.slice(best, end).map((isa) => [name, isa] as const);
    }),
  )
).flat();

describe.each(readdirSync(folder).filter((f) => f.endsWith(".ts")))("%s", (file) => {
  test("has sizes to be tested at", () => {
    expect(sizes[file]?.length ?? 0, `give sizes for ${file} in test/matrix.test.ts`).toBeGreaterThan(0);
  });
  for (const params of sizes[file] ?? []) {
    test.each(variants)(`%s %s agrees at ${JSON.stringify(params)}`, async (name, isa) => {
      const layer = await readLayer({ file: join(folder, file), params, cache: undefined });
      const backend = await loadBackend(name);
      for (const storage of backend.target(isa).storages) {
        const { cases, agrees } = await checkTarget(layer, backend, isa, storage, 1);
        expect(cases.flatMap((c) => c.disagreements)).toEqual([]);
        expect(agrees).toBe(true);
        expect(cases.length).toBeGreaterThan(4);
      }
    });
  }
});
