import { expect, test } from "vitest";
import { Dim } from "../../ir/core/dim.ts";
import { kernelBuilder, load } from "../tile/builder.ts";
import { eq } from "../tile/fold.ts";
import { runKernel } from "../tile/interpreter.ts";
import { leastOfSeveral, rowWalk } from "./rows.ts";

/** Sizes of the tiles, by first row, that a walk gives `count` rows when `parts` blocks share them; those of all blocks, or of one. */
function tilesOf(sizes: readonly number[], count: number, parts: number, only?: number): number[] {
  const b = kernelBuilder("walk", {
    op: "test",
    summary: "tiles",
    span: { file: "", line: 0, column: 0, length: 0 },
  });
  const rows = b.read({ name: "rows", dtype: "i32", dims: [1] });
  const taken = b.write({ name: "taken", dtype: "i32", dims: [Dim.symbol("N")] });
  const part = b.grid("part", parts);
  const limit = b.letScalar("limit", load(rows, 0));
  rowWalk(b, sizes, limit, { part, parts })((size, row) => {
    if (only === undefined) b.set(taken, row, size);
    else b.when(eq(part, only), () => b.set(taken, row, size));
  });
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

/** All sizes from the largest to 1. */
const upTo = (most: number): number[] => Array.from({ length: most }, (_, i) => most - i);

test.each([[upTo(12)], [upTo(7)], [upTo(3)], [[12, 8, 4, 3, 2, 1]], [[6, 4, 2, 1]], [[2, 1]], [[1]]])(
  "sizes %j cover each row once",
  (sizes) => {
    for (const parts of [1, 3]) for (let count = 0; count <= 50; count++) inOrder(tilesOf(sizes, count, parts));
  },
);

test("all sizes from the largest on: as few tiles as there can be, of equal rows", () => {
  expect(inOrder(tilesOf(upTo(12), 13, 1))).toEqual([7, 6]);
  for (const most of [3, 7, 12])
    for (let count = 1; count <= 60; count++) {
      const tiles = inOrder(tilesOf(upTo(most), count, 1));
      expect(tiles.length, `${count} rows`).toBe(Math.ceil(count / most));
      expect(Math.max(...tiles) - Math.min(...tiles), `${count} rows`).toBeLessThanOrEqual(1);
      // Those that look at the next panel are told by their rows alone.
      if (tiles.length > 1) expect(Math.min(...tiles)).toBeGreaterThanOrEqual(leastOfSeveral(upTo(most)));
    }
});

test("blocks take balanced tiles in turn", () => {
  const owners = (part: number): number[] => {
    const taken = tilesOf(upTo(4), 17, 3, part);
    return taken.flatMap((size, row) => (size > 0 ? [row] : []));
  };
  // 17 rows in tiles of 4, 4, 3, 3, 3.
  expect([0, 1, 2].map(owners)).toEqual([[0, 11], [4, 14], [8]]);
});

test("other sizes are taken greedily", () => {
  expect(inOrder(tilesOf([6, 4, 2, 1], 17, 1))).toEqual([6, 6, 4, 1]);
});

test("where the smallest size is not 1, the last tile is the smallest that holds what is left", () => {
  expect(tilesOf([8, 4], 3, 1)).toEqual([4, 0, 0]);
  expect(tilesOf([8, 4], 5, 1)).toEqual([8, 0, 0, 0, 0]);
  const sizes = [16, 8, 4];
  for (const parts of [1, 3])
    for (let count = 0; count <= 60; count++) {
      let row = 0;
      while (row < count) {
        const left = count - row;
        const size = tilesOf(sizes, count, parts)[row] ?? 0;
        expect(size, `row ${row} of ${count}`).toBe(sizes.findLast((s) => s >= left) ?? 16);
        row += size;
      }
    }
});
