/** exec on the tensors of published models, in their own names, layouts and configs, against the oracle on the layer's own. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Json } from "../ir/core/config.ts";
import type { ConfigFile } from "../ir/frontend/index.ts";
import { readLayer } from "../runtime/source.ts";
import { models, published } from "./published/models.ts";
import {
  agreement,
  compiled,
  exec,
  type FileDtype,
  fileTensor,
  fileTensors,
  seed,
  tensorsOf,
  valuesOf,
} from "./published/run.ts";
import { jsonOf } from "./support.ts";

test("every example that reads a config has a published model to be tested on", () => {
  const bound = readdirSync("examples").filter((f) => readFileSync(`examples/${f}`, "utf8").includes("    config: {"));
  expect(Object.keys(models).sort()).toEqual(bound.map((f) => f.replace(/\.ts$/, "")).sort());
});

test.each(Object.entries(published))("%s has the sizes of a published config by default", async (example, sizes) => {
  const file = `examples/${example}.ts`;
  const read = (config?: ConfigFile) =>
    readLayer({ file, cache: undefined, ...(config === undefined ? {} : { config }) });
  const values = { ...models[example]?.config, ...sizes } as Json;
  expect((await read({ path: "config.json", values })).params).toEqual((await read()).params);
});

const dtypes = [
  ["F32", "f32"],
  ["F16", "f16"],
  ["BF16", "bf16"],
] as const;

/** Kernels take their time to compile: examples take turns with the types of files, and have all of them in the long run of tests. */
const dtypesOf = (example: string) => {
  const turn = Object.keys(models).indexOf(example) % dtypes.length;
  return process.env.UNMOOR_TEST_ALL === "1" ? dtypes : dtypes.slice(turn, turn + 1);
};

describe.each(Object.entries(models))("%s", (example, { config, params, prefix, publish }) => {
  test.each(dtypesOf(example))(
    `runs on a layer of its checkpoint in %s, stored as %s (seed ${seed})`,
    async (dtype: FileDtype, storage) => {
      const compilation = await compiled(example, params, storage);
      const tensors = tensorsOf(compilation);
      const published = publish(valuesOf(compilation, tensors, "weight"));
      const weights = fileTensors(published, dtype, prefix);
      // What else a decoder layer has.
      weights.set(`${prefix}rotary_emb.inv_freq`, fileTensor({ shape: [2], data: new Float32Array(2) }, dtype));
      const input = fileTensors(valuesOf(compilation, tensors, "input"), dtype === "F16" ? "F32" : dtype);
      const { ran, folder } = await exec(example, { config, weights, input }, ["--json"]);
      expect(ran).toMatchObject({ status: 0, err: "" });
      const document = jsonOf(ran) as { notes: string[] };
      expect(document).toMatchObject({ params, storage, prefix, dims: { T: 5 } });
      expect(document.notes).toEqual([`1 tensor of the weights file is not used: ${prefix}rotary_emb.inv_freq`]);
      const { disagreements, maxErrorOverBound } = await agreement(compilation, tensors, folder);
      expect(disagreements).toEqual([]);
      expect(maxErrorOverBound).toBeLessThanOrEqual(1);
    },
  );
});
