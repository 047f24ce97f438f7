import { describe, expect, it } from "vitest";
import { cubeTiling, epilogueRows } from "../../codegen/schedule/cube-tiling.ts";
import { cubeTarget } from "../../codegen/testing.ts";
import { ascendTargetOf, type SocName } from "./target.ts";

const up = (n: number, unit: number): number => Math.ceil(n / unit) * unit;

describe.each(["910B1", "910B3"] as const)("tiles for a %s", (soc: SocName) => {
  const target = ascendTargetOf(soc);
  const { matmul, spaces } = target;
  if (matmul.kind !== "cube") throw new Error("a cube");

  it.each([1, 15, 16, 17, 127, 512, 513, 896, 2048, 8191, 8192])(
    "of %i columns fit every memory, at any depth",
    (columns) => {
      for (const depth of [1, 15, 16, 40, 513, 2048, 8192])
        for (const bytes of [2, 4])
          for (const [matrices, sums] of [
            [1, 1],
            [48, 1],
            [1, 2],
            [48, 2],
            [48, 3],
          ] as const) {
            const t = cubeTiling(target, matmul, { matrices, columns, depth, bytes, sums });
            const what = JSON.stringify({ depth, bytes, matrices, sums, t });
            expect(t.rows % 16, what).toBe(0);
            expect(t.columns % 16, what).toBe(0);
            expect(t.panel % t.columns, what).toBe(0);
            expect(t.l1Depth % t.l0Depth, what).toBe(0);
            expect((t.l0Depth * bytes) % 32, what).toBe(0);
            expect(sums * up(t.rows, 16) * t.columns * 4, what).toBeLessThanOrEqual(spaces.l0c?.capacity ?? 0);
            // Two of each, so that one is filled while the other is used.
            expect(2 * t.rows * t.l0Depth * bytes, what).toBeLessThanOrEqual(spaces.l0a?.capacity ?? 0);
            expect(2 * sums * t.columns * t.l0Depth * bytes, what).toBeLessThanOrEqual(spaces.l0b?.capacity ?? 0);
            expect(2 * (t.rows + sums * t.columns) * t.l1Depth * bytes, what).toBeLessThanOrEqual(
              spaces.l1?.capacity ?? 0,
            );
            // The vector cores take the rows of a tile in equal parts, each of no more than they take of any row.
            const part = epilogueRows(target, t);
            expect(t.rows % part, what).toBe(0);
            expect(part === 16 || part * t.columns <= target.vector.width, what).toBe(true);
          }
    },
  );

  it("give every core columns of a single matrix, and fill L0C where there are many", () => {
    const single = cubeTiling(target, matmul, { matrices: 1, columns: 2048, depth: 8192, bytes: 2 });
    expect(Math.ceil(2048 / single.panel)).toBeGreaterThan(matmul.cores / 2);
    const many = cubeTiling(target, matmul, { matrices: 768, columns: 2048, depth: 8192, bytes: 2 });
    expect(many.rows * many.columns * 4).toBe(spaces.l0c?.capacity);
  });
});

it("needs the capacities of a cube core", () => {
  const { matmul } = cubeTarget;
  if (matmul.kind !== "cube") throw new Error("a cube");
  expect(() =>
    cubeTiling({ ...cubeTarget, spaces: {} }, matmul, { matrices: 1, columns: 16, depth: 16, bytes: 2 }),
  ).toThrow("the capacity of l0c is not known");
});
