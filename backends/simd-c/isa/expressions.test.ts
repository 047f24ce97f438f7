import { runInNewContext } from "node:vm";
import { describe, expect, it, test } from "vitest";
import { InstructionTable } from "../../../codegen/emit/c/isa.ts";
import { LaneFunctions } from "../../../codegen/emit/c/lanes.ts";
import { Scope } from "../../../codegen/emit/c/scope.ts";
import { Names } from "../../../codegen/emit/c-family/names.ts";
import { atom, bare, operand } from "../../../codegen/emit/c-family/parentheses.ts";
import { CodeWriter } from "../../../codegen/emit/c-family/writer.ts";
import { staticValue } from "../../../codegen/tile/fold.ts";
import { seeded } from "../../../codegen/tile/testing.ts";
import { apply, bool, i32, type ScalarExpr, substitute, variable } from "../../../ir/core/scalar.ts";
import { scalar } from "./scalar.ts";

const names = ["row", "least", "n"];

/** A scope in which the names are variables. */
function scopeOf(): Scope {
  const table = new InstructionTable(scalar);
  const taken = new Names(names);
  const file = { table, scalars: table, functions: new LaneFunctions(taken) };
  const scope = new Scope(file, new CodeWriter(taken), taken, "kernel");
  for (const name of names) scope.bind(name, { kind: "scalar", name, type: "i32" });
  return scope;
}

/** A random expression of integers or truth values, without division by what may be 0. */
function randomExpression(random: () => number, type: "i32" | "bool", depth: number): ScalarExpr {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const of = (t: "i32" | "bool"): ScalarExpr => randomExpression(random, t, depth - 1);
  if (type === "bool") {
    if (depth <= 0) return bool(random() < 0.5);
    const op = pick(["lt", "le", "eq", "and", "or", "not"] as const);
    if (op === "not") return apply(op, of("bool"));
    const operands = op === "and" || op === "or" ? "bool" : "i32";
    return apply(op, of(operands), of(operands));
  }
  if (depth <= 0) return random() < 0.5 ? i32(Math.floor(random() * 19) - 9) : variable(pick(names), "i32");
  const op = pick(["add", "sub", "mul", "neg", "abs", "min", "max", "select", "floorDiv", "mod"] as const);
  if (op === "neg" || op === "abs") return apply(op, of("i32"));
  if (op === "select") return apply(op, of("bool"), of("i32"), of("i32"));
  if (op === "floorDiv" || op === "mod") return apply(op, of("i32"), i32(1 + Math.floor(random() * 7)));
  // Products stay below 2^53.
  return apply(op, of("i32"), op === "mul" ? randomExpression(random, "i32", 0) : of("i32"));
}

const evaluate = (expr: ScalarExpr, values: Readonly<Record<string, number>>): number | undefined =>
  staticValue(substitute(expr, new Map(Object.entries(values).map(([name, value]) => [name, i32(value)]))));

describe("what is printed means what was said", () => {
  for (let seed = 1; seed <= 400; seed++) {
    test(`random expression, seed ${seed}`, () => {
      const random = seeded(seed);
      const scope = scopeOf();
      const expr = randomExpression(random, "i32", 1 + Math.floor(random() * 5));
      const condition = randomExpression(random, "bool", 1 + Math.floor(random() * 4));
      const values = Object.fromEntries(names.map((name) => [name, Math.floor(random() * 41) - 20]));
      const functions = {
        unmoor_floor_div: (a: number, b: number) => Math.floor(a / b),
        unmoor_mod: (a: number, b: number) => a - b * Math.floor(a / b),
      };
      // Of these operators C and JavaScript have the same meaning.
      const run = (text: string): number => Number(runInNewContext(text, { ...values, ...functions }));
      const index = scope.index(expr);
      const expected = evaluate(expr, values);
      for (const text of [index.alone, `0 + ${index.toString() || "0"}`, scope.scalar(expr)])
        expect(run(text) + 0, text).toBe(Number(expected) + 0);
      const text = scope.scalar(condition);
      expect(run(text), text).toBe(evaluate(condition, values));
    });
  }
});

const [row, least, n] = names.map((name) => variable(name, "i32")) as [ScalarExpr, ScalarExpr, ScalarExpr];
const six = apply("eq", least, i32(6));

it.each([
  ["row - n * least", apply("sub", row, apply("mul", n, least))],
  ["row - n * 3", apply("sub", row, apply("mul", i32(3), n))],
  ["5 - row", apply("sub", i32(5), row)],
  ["-row - 5", apply("sub", apply("sub", i32(0), row), i32(5))],
  ["least == 6 ? 0 : row", apply("select", six, i32(0), row)],
  ["(least == 6 ? 0 : row) + n", apply("add", apply("select", six, i32(0), row), n)],
  ["n + 2 < 64 ? n + 2 : 64", apply("min", apply("add", n, i32(2)), i32(64))],
])("writes integers as one would: %s", (text, expr) => {
  expect(scopeOf().index(expr).alone).toBe(text);
});

it.each([
  ["a + b", "*", undefined, "(a + b)"],
  ["a * b", "+", undefined, "a * b"],
  ["a - b", "-", undefined, "(a - b)"],
  ["a - b", undefined, "-", "a - b"],
  ["a < b", "==", undefined, "(a < b)"],
  ["a && b", undefined, "||", "(a && b)"],
  ["a && b", undefined, "&&", "a && b"],
  ["a & b", undefined, "+", "(a & b)"],
  ["a + b", "&", undefined, "(a + b)"],
  ["(int64_t)a", "*", undefined, "(int64_t)a"],
  ["(int64_t)(a)", "cast", undefined, "((int64_t)(a))"],
  ["-a", "-", undefined, "(-a)"],
  ["-a", undefined, "-", "-a"],
  ["f(a + b)[c - d]", "cast", "cast", "f(a + b)[c - d]"],
  ["args->T", "*", undefined, "args->T"],
])("puts %s between %s and %s as %s", (text, before, after, expected) => {
  expect(operand(text, before, after)).toBe(expected);
});

it("knows what is closed and what is all in parentheses", () => {
  expect(["x", "f(x)", "(a + b)", "a[0]", "v<float>(a)"].map(atom)).toEqual([
    "x",
    "f(x)",
    "(a + b)",
    "a[0]",
    "v<float>(a)",
  ]);
  expect(["(a) + (b)", "(int)x", "-x"].map(atom)).toEqual(["((a) + (b))", "((int)x)", "(-x)"]);
  expect(["(a + b)", "(a) + (b)", "f(a)", "(int)x", "(int)(x)"].map(bare)).toEqual([
    "a + b",
    "(a) + (b)",
    "f(a)",
    "(int)x",
    "(int)(x)",
  ]);
});
