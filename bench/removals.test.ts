import { join } from "node:path";
import { expect, it } from "vitest";
import { ascendTarget } from "../backends/ascend/target.ts";
import { compileLayer } from "../codegen/compile.ts";
import { readLayer } from "../runtime/source.ts";
import { installFolder } from "../runtime/version.ts";
import { exampleSizes } from "./example-sizes.ts";
import { removeCalls } from "./removals.ts";

// `npm run ascend:removals` does so for every example and storage.
it("no call that orders pipes or cores can be left out unnoticed", { timeout: 300_000 }, async () => {
  const file = "longcat-moe.ts";
  const params = exampleSizes[file]?.at(-1) ?? {};
  const layer = await readLayer({ file: join(installFolder(), "examples", file), params, cache: undefined });
  const { calls, tried, reported, covered, unnoticed } = await removeCalls(
    compileLayer(layer, ascendTarget, "bf16"),
    12,
  );
  expect(calls).toBeGreaterThan(100);
  expect(tried).toBeGreaterThan(calls);
  expect(unnoticed).toEqual([]);
  expect(reported + covered.length).toBe(tried);
});
