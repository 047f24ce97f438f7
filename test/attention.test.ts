/** Attention over more keys than a stretch holds, with stretches that end within what queries see, and with keys left over. Seed 1. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { compileLayer } from "../codegen/compile.ts";
import { loadBackend } from "../runtime/backends.ts";
import { seededTensor } from "../runtime/check/cases.ts";
import { compareWithOracle, differingOutput } from "../runtime/check/compare.ts";
import { readLayer } from "../runtime/source.ts";
import { variants } from "./support.ts";

const file = join(import.meta.dirname, "layers/attention.ts");
const params = { A: 6, G: 2, D: 40, M: 24, W: 70 };
const sizes = [
  { T: 1, P: 200, S: 129 },
  { T: 5, P: 123, S: 64 },
  { T: 33, P: 95, S: 191 },
];

test.concurrent.each((await variants()).filter(([name]) => name !== "ascend"))(
  "%s %s agrees beyond one stretch of keys, the same bits for any number of threads",
  async (name, isa) => {
    const backend = await loadBackend(name);
    const layer = await readLayer({ file, params, cache: undefined });
    const compilation = compileLayer(layer, backend.target(isa), "f32");
    const loaded = await backend.load(compilation.program, compilation.target);
    try {
      for (const dims of sizes) {
        const tensors = new Map(layer.args.map((a) => [a.value.name, seededTensor(layer, a, dims, 1)] as const));
        const given = (role: string) =>
          new Map([...tensors].filter(([n]) => layer.args.some((a) => a.value.name === n && a.role === role)));
        await loaded.setWeights(given("weight"));
        const { outputs } = await loaded.run(given("input"), dims);
        const { disagreements, maxErrorOverBound } = compareWithOracle(compilation, tensors, dims, outputs);
        expect(disagreements, JSON.stringify(dims)).toEqual([]);
        expect(maxErrorOverBound).toBeGreaterThan(0);
        const again = await loaded.run(given("input"), dims, { threads: 1 });
        expect(differingOutput(outputs, again.outputs)).toBeUndefined();
      }
    } finally {
      await loaded.close();
    }
  },
);
