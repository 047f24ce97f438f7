import { expect, test } from "vitest";
import { Dim } from "../../ir/core/dim.ts";
import { kernelBuilder, load } from "../tile/builder.ts";
import { runKernel } from "../tile/interpreter.ts";
import { walkRows } from "./rows.ts";

/** Sizes of the tiles, by first row, that walkRows gives `count` rows when `parts` blocks share them. */
function tilesOf(sizes: readonly number[], count: number, parts: number): number[] {
  const b = kernelBuilder("walk", {
    op: "test",
    summary: "tiles",
    span: { file: "", line: 0, column: 0, length: 0 },
  });
  const rows = b.read({ name: "rows", dtype: "i32", dims: [1] });
  const taken = b.write({ name: "taken", dtype: "i32", dims: [Dim.symbol("N")] });
  const part = b.grid("part", parts);
  const limit = b.letScalar("limit", load(rows, 0));
  walkRows(b, sizes, limit, { part, parts }, (size, row) => b.set(taken, row, size));
  const found = new Int32Array(count);
  runKernel(
    b.build(),
    new Map([
      ["rows", Int32Array.of(count)],
      ["taken", found],
    ]),
    { N: count },
  );
  return [...found];
}

/** The tiles one after the other; each must begin where the one before ends. */
function inOrder(found: readonly number[]): number[] {
  const sizes: number[] = [];
  for (let row = 0; row < found.length; row += sizes.at(-1) as number) {
    expect(found[row], `row ${row} of ${found}`).toBeGreaterThan(0);
    sizes.push(found[row] as number);
  }
  expect(sizes.reduce((a, b) => a + b, 0)).toBe(found.length);
  expect(found.filter((s) => s > 0).length).toBe(sizes.length);
  return sizes;
}

test.each([
  [[12, 8, 6, 4, 3, 2, 1]],
  [[12, 8, 4, 3, 2, 1]],
  [[6, 5, 4, 3, 2, 1]],
  [[6, 4, 2, 1]],
  [[4, 3, 2, 1]],
  [[1]],
])("sizes %j cover each row once", (sizes) => {
  for (const parts of [1, 3]) for (let count = 0; count <= 50; count++) inOrder(tilesOf(sizes, count, parts));
});

test("neighbouring sizes leave no tile of one or two rows, but for 1, 2 and 5 rows", () => {
  const sizes = [12, 8, 6, 4, 3, 2, 1];
  expect(inOrder(tilesOf(sizes, 13, 1))).toEqual([4, 6, 3]);
  expect(inOrder(tilesOf(sizes, 22, 1))).toEqual([12, 4, 6]);
  for (let count = 1; count <= 60; count++) {
    const small = inOrder(tilesOf(sizes, count, 1)).filter((s) => s < 3);
    expect(small, `${count} rows`).toEqual(count === 1 ? [1] : count === 2 || count === 5 ? [2] : []);
  }
});

test("sizes without neighbours are taken greedily", () => {
  expect(inOrder(tilesOf([6, 4, 2, 1], 17, 1))).toEqual([6, 6, 4, 1]);
});
