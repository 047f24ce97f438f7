/**
 * Takes the calls that order pipes and cores out of the generated Ascend kernels (see bench/removals.ts): the emulator must notice
 * within twenty seeds. What it does not notice is not needed, and the generator should not have printed it. The one exception is a
 * queue beside another queue of the same pipes that hands over later: its own flag is needed by the protocol, not for the order.
 * Seed 1. One example here; with UNMOOR_TEST_ALL=1 (npm run test:all) every example and every layer of test/layers.
 */
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { createAscend } from "../backends/ascend/index.ts";
import { exampleSizes } from "../bench/example-sizes.ts";
import { removeCalls } from "../bench/removals.ts";
import { compileLayer } from "../codegen/compile.ts";
import * as native from "../runtime/native.ts";
import { readLayer } from "../runtime/source.ts";

const all = process.env.UNMOOR_TEST_ALL === "1";

const examples = resolve(import.meta.dirname, "../examples");
const small = resolve(import.meta.dirname, "layers");
const files = all
  ? [
      ...readdirSync(examples).flatMap(
        (f) => exampleSizes[f]?.map((params) => [join(examples, f), params] as const) ?? [],
      ),
      ...(await Promise.all(
        readdirSync(small).map(async (f) => {
          const { sizes }: { sizes: readonly Readonly<Record<string, number>>[] } = await import(join(small, f));
          return sizes.map((params) => [join(small, f), params] as const);
        }),
      ).then((lists) => lists.flat())),
    ]
  : [[join(examples, "longcat-moe.ts"), { H: 37, I: 21, E: 5, Z: 3, K: 2, scale: 2.5 }] as const];

describe("calls that order the pipes of generated kernels", () => {
  for (const [file, params] of files)
    test.each(all ? (["f32", "bf16"] as const) : (["bf16"] as const))(
      `are all needed in ${file.split("/").slice(-2).join("/")} at ${JSON.stringify(params)} in %s`,
      async (storage) => {
        const layer = await readLayer({ file, params, cache: undefined });
        const target = createAscend(native).target("dav-2201");
        const { tried, reported, differing, covered, unnoticed } = await removeCalls(
          compileLayer(layer, target, storage),
          20,
        );
        expect(unnoticed).toEqual([]);
        expect(tried).toBeGreaterThan(10);
        expect(reported + differing + covered.length).toBe(tried);
        expect(covered.length).toBeLessThan(tried / 10);
      },
      600_000,
    );
});
