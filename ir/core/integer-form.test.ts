import { describe, expect, test } from "vitest";
import { Cursor } from "../text/cursor.ts";
import { parseScalarFunction } from "../text/scalar-parser.ts";
import { divides, integerForm } from "./integer-form.ts";
import { formatScalar } from "./scalar.ts";

const form = (text: string): string => formatScalar(integerForm(parseScalarFunction(new Cursor(text, "test"))).body);

test.each([
  ["(a, b) => ((a + b) * 2.0)", "((a + b) * 2)"],
  ["(a) => neg(a)", "(0 - a)"],
  ["(a) => abs(a)", "max(a, (0 - a))"],
  ["(a) => floor(a)", "a"],
  ["(a) => floor((a / 7.0))", "(a // 7)"],
  ["(a, b) => select(((a < b) && not((a == 3.0))), 1.0, -0.0)", "select(((a < b) && not((a == 3))), 1, 0)"],
  ["(a, b) => min(a, max(b, -5.0))", "min(a, max(b, -5))"],
])("%s is %s", (text, expected) => {
  expect(form(text)).toBe(expected);
});

describe("refuses what gives no whole number", () => {
  test.each([
    ["(a) => (a * 0.5)", "0.5 is no whole number of 32 bits"],
    ["(a) => (a + 3e9)", "3000000000 is no whole number of 32 bits"],
    ["(a, b) => (a / b)", "a quotient of i32 may be no whole number"],
    ["(a, b) => floor((a / b))", "divided by a constant above 0"],
    ["(a) => floor((a / -2.0))", "divided by a constant above 0"],
    ["(a) => floor((a / 0.0))", "divided by a constant above 0"],
    ["(a) => exp(a)", "exp of i32 gives no whole number"],
  ])("%s", (text, message) => {
    expect(() => form(text)).toThrow(message);
  });
});

test("knows where whole numbers are divided", () => {
  const body = (text: string) => integerForm(parseScalarFunction(new Cursor(text, "test"))).body;
  expect(divides(body("(a) => (a - floor((a / 2.0)))"))).toBe(true);
  expect(divides(body("(a) => (a - 2.0)"))).toBe(false);
});
