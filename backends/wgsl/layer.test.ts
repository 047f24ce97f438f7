import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compileLayer } from "../../codegen/compile.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import { compileSource } from "../../ir/frontend/index.ts";
import { interpret } from "../../ir/interpreter/index.ts";
import { createWgsl } from "./backend.ts";
import { wgslTarget } from "./target.ts";
import { f32s, random } from "./testing.ts";

const file = "examples/longcat-moe.ts";
const source = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
const compileExample = (params: Readonly<Record<string, number>>) =>
  compileSource({ host: { read: (path) => (path === file ? source : undefined) }, entry: file, params });

describe("the example layer on WebGPU", () => {
  it.each([
    { H: 32, I: 16, E: 4, Z: 2, K: 2, scale: 6 },
    // Nothing a multiple of four.
    { H: 30, I: 13, E: 5, Z: 1, K: 3, scale: 2 },
    { H: 8, I: 4, E: 16, Z: 8, K: 4, scale: 1 },
  ])("agrees with the oracle within the bound (%o)", async (params) => {
    const layer = await compileExample(params);
    const { program } = compileLayer(layer, wgslTarget, "f32");
    const seeds = layer.args.map((arg, i) => ({ arg, seed: 100 + i }));
    const tensor = (name: string, seed: number, dims: readonly number[]): Tensor => {
      const factor = name === "x" ? 1 : 0.3;
      return f32s(
        dims,
        random(
          seed,
          dims.reduce((a, b) => a * b, 1),
        ).map((v) => v * factor),
      );
    };
    const tensors = (T: number) =>
      new Map(
        seeds.map(({ arg, seed }) => {
          const dims = arg.value.type.dims.map((d) => d.evaluate({ ...params, T }));
          return [arg.value.name, tensor(arg.value.name, seed, dims)] as const;
        }),
      );
    const loaded = await createWgsl().load(program, wgslTarget);
    try {
      const all = tensors(1);
      await loaded.setWeights(all);
      for (const T of [0, 1, 3, 4, 5, 33]) {
        const given = tensors(T);
        const { outputs } = await loaded.run(given, { T });
        const [routing] = program.choices;
        const ids = outputs.get(routing?.ids ?? "")?.data;
        const name = layer.body.find((o) => o.op === "route")?.results[0]?.name ?? "";
        const choices = new Map(ids instanceof Int32Array ? [[name, ids]] : []);
        const oracle = interpret(layer, { dims: { T }, tensors: given, choices });
        expect(
          oracle.choices.flatMap((r) => r.outcome.wrong),
          `seeds 100 …, T = ${T}`,
        ).toEqual([]);
        for (const { name: result, buffer } of program.results) {
          const expected = oracle.results.get(result);
          const found = outputs.get(buffer);
          expect(found?.dims).toEqual(expected?.dims);
          for (const [i, x] of (expected?.data ?? []).entries())
            expect(
              Math.abs((found?.data[i] ?? Number.NaN) - x),
              `seeds 100 …, T = ${T}, ${result}[${i}]: expected ${x}, found ${found?.data[i]}`,
            ).toBeLessThanOrEqual(expected?.bound?.[i] ?? 0);
        }
      }
    } finally {
      await loaded.close();
    }
  });
});
