import { expect, test } from "vitest";
import { erf } from "./erf.ts";

// Abramowitz and Stegun, table 7.1; erfc by the DLMF's table 7.23.
test.each([
  [0, 0],
  [0.1, 0.1124629160182849],
  [0.5, 0.5204998778130465],
  [1, 0.8427007929497149],
  [2, 0.9953222650189527],
  [2.999999, 0.9999779092],
  [3, 0.9999779095030014],
  [5, 0.9999999999984626],
  [30, 1],
  [Number.POSITIVE_INFINITY, 1],
])("erf(%d)", (x, expected) => {
  expect(erf(x)).toBeCloseTo(expected, x === 2.999999 ? 9 : 14);
  expect(erf(-x)).toBe(-erf(x));
});

test("is a number only of numbers", () => expect(erf(Number.NaN)).toBeNaN());
