import { describe, expect, test } from "vitest";
import { Dim } from "../../ir/core/dim.ts";
import { bool, evaluateScalar, f32, formatScalar, type ScalarExpr, variable } from "../../ir/core/scalar.ts";
import {
  add,
  and,
  ceilDiv,
  dimExpr,
  eq,
  floorDiv,
  int,
  le,
  lt,
  max,
  min,
  mod,
  mul,
  not,
  or,
  select,
  sub,
} from "./fold.ts";
import { seeded } from "./testing.ts";

const x = variable("x", "i32");
const y = variable("y", "i32");
const c = variable("c", "bool");

test.each<[string, ScalarExpr]>([
  ["x", add(0, x)],
  ["x", add(x, 0)],
  ["(x + 3)", add(add(x, 1), 2)],
  ["(x + 3)", add(1, add(2, x))],
  ["((x + y) + 3)", add(add(x, 1), add(y, 2))],
  ["(x - 2)", add(x, -2)],
  ["x", sub(add(x, 5), 5)],
  ["3", sub(add(x, 5), add(x, 2))],
  ["(4 - x)", sub(4, x)],
  ["x", mul(x, 1)],
  ["0", mul(0, x)],
  ["(x * 4)", mul(4, x)],
  ["(x * 8)", mul(mul(x, 4), 2)],
  ["x", floorDiv(x, 1)],
  ["(x * 2)", floorDiv(mul(x, 8), 4)],
  ["-4", floorDiv(-7, 2)],
  ["(x // 0)", floorDiv(x, 0)],
  ["3", ceilDiv(9, 4)],
  ["((x + 3) // 4)", ceilDiv(x, 4)],
  ["0", mod(mul(x, 8), 4)],
  ["1", mod(-7, 4)],
  ["3", min(3, 4)],
  ["x", max(x, x)],
  ["true", lt(1, 2)],
  ["(x <= 2)", le(x, 2)],
  ["false", eq(2, 3)],
  ["c", and(bool(true), c)],
  ["false", and(c, bool(false))],
  ["true", or(c, bool(true))],
  ["c", or(bool(false), c)],
  ["false", not(bool(true))],
  ["not(c)", not(c)],
  ["x", select(bool(true), x, y)],
  ["select(c, x, 1)", select(c, x, 1)],
  ["(1.0 + 2.0)", add(f32(1), f32(2))],
  ["(T * 4)", dimExpr(Dim.parse("4*T"))],
  ["(((K * T) + E) + 1)", dimExpr(Dim.parse("T*K + E + 1"))],
  ["0", dimExpr(Dim.of(0))],
])("folds to %s", (text, expr) => {
  expect(formatScalar(expr)).toBe(text);
});

test("numbers beyond i32 and fractions are refused", () => {
  expect(() => int(0.5)).toThrow("expected a whole number of 32 bits, found 0.5");
  expect(() => add(2 ** 31, x)).toThrow("found 2147483648");
});

describe("folding keeps the value", () => {
  const two = [add, sub, mul, min, max] as const;
  for (let seed = 1; seed <= 50; seed++) {
    test(`random expression, seed ${seed}`, () => {
      const random = seeded(seed);
      const whole = (n: number): number => Math.floor(random() * n);
      /** An expression, and its value computed without it. */
      const make = (depth: number): [ScalarExpr, (v: Record<string, number>) => number] => {
        if (depth === 0) {
          const k = whole(9) - 4;
          return random() < 0.5 ? [int(k), () => k] : random() < 0.5 ? [x, (v) => v.x] : [y, (v) => v.y];
        }
        const [a, va] = make(depth - 1);
        const [b, vb] = make(depth - 1);
        const n = whole(9);
        const d = 1 + whole(4);
        if (n === 5) return [floorDiv(a, d), (v) => Math.floor(va(v) / d)];
        if (n === 6) return [mod(a, d), (v) => va(v) - d * Math.floor(va(v) / d)];
        if (n === 7) return [select(lt(a, b), a, b), (v) => Math.min(va(v), vb(v))];
        if (n === 8) return [select(or(eq(a, b), not(le(a, b))), a, b), (v) => Math.max(va(v), vb(v))];
        const means = [
          (p: number, q: number) => p + q,
          (p: number, q: number) => p - q,
          (p: number, q: number) => p * q,
          Math.min,
          Math.max,
        ];
        return [two[n](a, b), (v) => means[n](va(v), vb(v))];
      };
      const [expr, value] = make(3);
      for (let i = 0; i < 20; i++) {
        const v = { x: whole(21) - 10, y: whole(21) - 10 };
        expect(evaluateScalar(expr, v) + 0, `${formatScalar(expr)} at ${JSON.stringify(v)}`).toBe(value(v) + 0);
      }
    });
  }
});
