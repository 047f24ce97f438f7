import { join } from "node:path";
import { expect, test } from "vitest";
import { interpret } from "../ir/interpreter/index.ts";
import { randomF32, uniform } from "../ir/ops/testing.ts";
import { readLayer } from "../runtime/source.ts";

const file = join(import.meta.dirname, "layers/mla.ts");

test.each([
  { seed: 1, T: 1, P: 7 },
  { seed: 2, T: 5, P: 0 },
  { seed: 3, T: 4, P: 3 },
  { seed: 4, T: 0, P: 2 },
])("attention in the space of latents is attention of the heads (seed $seed, T $T, P $P)", async ({ seed, T, P }) => {
  const layer = await readLayer({ file, params: {}, cache: undefined });
  const random = uniform(seed);
  const tensors = new Map(
    layer.args.map(({ value }) => {
      const dims = value.type.dims.map((d) => d.evaluate({ ...layer.params, T, P }));
      return value.type.dtype === "i32"
        ? ([value.name, { dtype: "i32", dims, data: Int32Array.from({ length: T }, (_, t) => P + t) }] as const)
        : ([value.name, randomF32(dims, random, 0.5)] as const);
    }),
  );
  const { results } = interpret(layer, { dims: { T, P }, tensors });
  const [plain, absorbed, latents] = ["plain", "absorbed", "latents"].map((name) => results.get(name));
  expect(latents?.dims).toEqual([T, 32]);
  expect(plain?.data.length).toBe(T * 32);
  plain?.data.forEach((value, i) => {
    const difference = Math.abs(value - (absorbed?.data[i] ?? Number.NaN));
    // The oracle computes with reals, where both are the same; what machines may differ by is far more.
    expect(difference).toBeLessThanOrEqual(1e-12 * (1 + Math.abs(value)));
    expect(difference).toBeLessThanOrEqual((plain.bound?.[i] ?? 0) + (absorbed?.bound?.[i] ?? 0));
  });
});
