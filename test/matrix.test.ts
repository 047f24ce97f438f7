/** Every example, on every target, in the storages that the target reads, against the oracle. */
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { exampleSizes } from "../bench/example-sizes.ts";
import { type Storage, storages, type TargetName } from "../codegen/target.ts";
import { expectAgreement, variants } from "./support.ts";

const folder = resolve(import.meta.dirname, "../examples");
const all = process.env.UNMOOR_TEST_ALL === "1";

// In the long run every run on the Ascend emulator takes ten orders of its blocks and pipes.
if (all) process.env.UNMOOR_ASCEND_SEEDS ??= "10";

/** Those that are held to it in more storages than f32 and bf16; all are to all storages in the long run of tests. */
const inMore = new Set(["longcat-moe.ts", "gpt-oss.ts", "kimi-k3.ts", "llama4.ts"]);

/** Kernels for the Ascend emulator take their time to compile: most examples are held to one storage there. */
const storagesOf = (file: string, target: TargetName): readonly Storage[] => {
  if (all) return storages;
  if (inMore.has(file)) return ["f32", "bf16", "q8_0", "q4_0"];
  return target === "ascend" ? ["bf16"] : ["f32", "bf16"];
};

const targets = await variants();

/** Milliseconds. Several tests share one thread while they wait for compilers, on a machine that may be busy; ten seeds of a decoder layer take minutes. */
const patience = all ? 1_800_000 : 600_000;

describe.concurrent.each(readdirSync(folder).filter((f) => f.endsWith(".ts")))("%s", { timeout: patience }, (file) => {
  test("has sizes to be tested at", () => {
    expect(exampleSizes[file]?.length ?? 0, `give sizes for ${file} in bench/example-sizes.ts`).toBeGreaterThan(0);
  });
  for (const params of exampleSizes[file] ?? [])
    test.each(targets)(`%s %s agrees at ${JSON.stringify(params)}`, (name, isa) =>
      expectAgreement(join(folder, file), params, name, isa, storagesOf(file, name)),
    );
});
