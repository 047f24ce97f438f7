import { expect, test } from "vitest";
import { DiagnosticError } from "../ir/core/diagnostic.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { parseLayer } from "../ir/text/index.ts";
import { checkIds } from "./ids.ts";

const layer = parseLayer(`layer @l {V = 4, D = 2} (
  input fixed %ids: i32[T], input fixed %slots: i32[T], input fixed %free: i32[T], input auto %x: f32[T, D],
  input auto %cache: f32[P, D], weight auto %table: f32[V, D]
) {
  %embedded = gather(%table, %ids) : f32[T, D]
  %cached = gather(%cache, %ids) : f32[T, D]
  %read = gather(%x, %slots) : f32[T, D]
  %written = scatter(%cache, %free, %x) : f32[P, D]
  return embedded = %embedded, cached = %cached, read = %read, written = %written
}
`);
const ids = (...numbers: number[]): Tensor => ({
  dtype: "i32",
  dims: [numbers.length],
  data: Int32Array.from(numbers),
});
const messages = (tensors: Record<string, Tensor>, dims: Record<string, number>): readonly string[] => {
  try {
    checkIds(layer, new Map(Object.entries(tensors)), "inputs.safetensors", dims);
    return [];
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    return error.diagnostics.map((d) => `${d.code}: ${d.message}`);
  }
};

test("ids of every table that they look up are held to its rows; those that scatter skips are not", () => {
  const good = { ids: ids(0, 3), slots: ids(1, 0), free: ids(-1, 99) };
  expect(messages(good, { T: 2, P: 4 })).toEqual([]);
  expect(messages({ ...good, ids: ids(0, 3) }, { T: 2, P: 3 })).toEqual([
    "U309: element 1 of ids in inputs.safetensors is the id 3, but there are 3 rows of cache",
  ]);
  expect(messages({ ids: ids(1, 4), slots: ids(2, -1) }, { T: 2, P: 9 })).toEqual([
    "U309: element 1 of ids in inputs.safetensors is the id 4, but there are 4 rows of table",
    "U309: element 0 of slots in inputs.safetensors is the id 2, but there are 2 rows of x",
  ]);
  expect(messages({ ids: ids(-1) }, {})).toEqual([
    "U309: element 0 of ids in inputs.safetensors is the id -1, but there are 4 rows of table",
  ]);
});
