import { expect, test } from "vitest";
import { compileLayer } from "../../codegen/compile.ts";
import { packedTarget } from "../../codegen/testing.ts";
import { readLayer } from "../source.ts";
import { casesFor } from "./cases.ts";

test("a table that chooses experts is steered as scores are, without ties", async () => {
  const file = new URL("../../examples/deepseek-v4-hash.ts", import.meta.url).pathname;
  const params = { H: 24, I: 12, E: 6, K: 3, V: 7 };
  const layer = await readLayer({ file, params, cache: undefined });
  const cases = [...casesFor(compileLayer(layer, packedTarget, "f32"), 5)];
  const rows = (name: string): number[][] => {
    const table = [...(cases.find((c) => c.name === name)?.tensors.get("table")?.data ?? [])];
    return Array.from({ length: params.V }, (_, i) => table.slice(i * params.K, (i + 1) * params.K));
  };
  const ids = (name: string): number[] => [...new Set(rows(name).flat())].sort();
  expect(ids("all tokens on the same experts")).toEqual([0, 1, 2]);
  expect(ids("the last experts only")).toEqual([3, 4, 5]);
  expect(ids("one FFN expert never chosen")).toEqual([1, 2, 3, 4, 5]);
  for (const row of rows("one FFN expert never chosen")) expect(new Set(row).size).toBe(params.K);
  expect(cases.map((c) => c.name)).not.toContain("equal scores");
});
