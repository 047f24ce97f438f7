import { expect, test } from "vitest";
import { fitLine, median, spread } from "./statistics.ts";
import { worstCliff } from "./sweeps/growth.ts";

test("the median of an even count is between the two in the middle", () => {
  expect(median([5, 1, 3])).toBe(3);
  expect(median([4, 1, 3, 10])).toBe(3.5);
  expect(spread([2, 9, 4])).toEqual({ median: 4, least: 2, most: 9 });
});

test("a line is fitted, with its correlation", () => {
  const falling = fitLine([0, 1, 2, 3].map((x) => [x, 12 - 2 * x] as const));
  expect(falling.slope).toBeCloseTo(-2);
  expect(falling.intercept).toBeCloseTo(12);
  expect(falling.correlation).toBeCloseTo(-1);
  expect(
    Math.abs(
      fitLine([
        [0, 1],
        [1, 5],
        [2, 1],
      ]).correlation,
    ),
  ).toBeLessThan(1e-9);
});

test("a cliff is where the share of the roofline falls most", () => {
  const points = [
    { tokens: 1, ms: 1, share: 0.9 },
    { tokens: 2, ms: 1, share: 0.6 },
    { tokens: 4, ms: 1, share: 0.8 },
    { tokens: 8, ms: 1, share: 0.7 },
  ];
  const { ratio, from, to } = worstCliff(points);
  expect([ratio, from, to]).toEqual([expect.closeTo(1.5), 1, 2]);
});
