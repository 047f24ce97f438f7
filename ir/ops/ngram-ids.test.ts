import { describe, expect, test } from "vitest";
import { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import { formatType, tensorType } from "../core/types.ts";
import { opDefinition } from "./index.ts";
import { evaluateOp, i32Tensor, numbers, uniform } from "./testing.ts";

const ids = (tokens: readonly number[], previous: readonly number[], attributes: AttributeMap): number[][] => {
  const operands = [i32Tensor([tokens.length], tokens), i32Tensor([previous.length], previous)];
  const [y] = evaluateOp("ngram_ids", operands, attributes).results;
  const columns = y.dims[1] ?? 0;
  return tokens.map((_, i) => numbers(y).slice(i * columns, (i + 1) * columns));
};

test("each column is a number of n tokens, the newest last, modulo its own number of rows", () => {
  // Bigrams in tables of 1001 and 1003 rows, trigrams in tables of 1005 and 1007; base 10.
  const found = ids([3, 7, 1], [9, 8], { heads: 2, rows: 1000, vocab: 10 });
  expect(found).toEqual([
    [83, 83, 983, 983],
    [37, 37, 837, 837],
    [71, 71, 371, 371],
  ]);
  expect(ids([3], [9, 8], { heads: 1, rows: 6, vocab: 10 })).toEqual([[83 % 7, 983 % 9]]);
});

test("the newest token has the power 0: vocab multiplies those before it", () => {
  expect(ids([3], [8], { heads: 1, rows: 1000, vocab: 100 })).toEqual([[803]]);
});

test("looking back ends at negative tokens and at eos, which may be the newest token itself", () => {
  const attributes = { heads: 1, rows: 1000, vocab: 10, eos: 5 };
  expect(ids([3], [9, -1], attributes)).toEqual([[3, 3]]);
  expect(ids([3], [-1, 8], attributes)).toEqual([[83, 83]]);
  expect(ids([3, 5, 4, 6], [9, 8], attributes)).toEqual([
    [83, 983],
    [35, 835],
    [4, 4],
    [46, 46],
  ]);
  expect(ids([3, 5, 4], [9, 8], { heads: 1, rows: 1000, vocab: 10 })).toEqual([
    [83, 983],
    [35, 835],
    [54, 354],
  ]);
  expect(ids([-4], [9, 8], attributes)).toEqual([[0, 0]]);
});

test("one token at a time gives what all at once do, at published sizes (seed 7)", () => {
  const random = uniform(7);
  const tokens = Array.from({ length: 40 }, () => Math.floor(random() * 163840));
  const attributes = { heads: 4, rows: 16_480_000, vocab: 163_840, eos: tokens[20] as number };
  const all = ids(tokens, [-1, -1, -1, -1], attributes);
  const padded = [-1, -1, -1, -1, ...tokens];
  tokens.forEach((token, i) => {
    expect(ids([token], padded.slice(i, i + 4), attributes)).toEqual([all[i]]);
  });
  // By powers that are reduced first, as published kernels do, in numbers that f64 holds.
  const [size, at] = [16_480_000 + 2 * 15 + 1, 10];
  let sum = 0;
  let power = 1;
  for (let j = 0; j < 5; j++) {
    sum = (sum + (tokens[at - j] as number) * power) % size;
    power = (power * 163_840) % size;
  }
  expect(all[at]?.[15]).toBe(sum);
});

describe("types", () => {
  const i32 = (...dims: (string | number)[]) => tensorType("i32", dims);
  const sizes = { heads: Dim.symbol("K"), rows: Dim.symbol("M"), vocab: 10 };
  const definition = opDefinition("ngram_ids");

  test("columns are heads times the lengths", () => {
    expect(definition.infer([i32("T"), i32("B")], sizes, []).map(formatType)).toEqual(["i32[T, B*K]"]);
  });

  test.each<[ReturnType<typeof i32>[], AttributeMap, string]>([
    [[i32("T", 1), i32("B")], sizes, "tokens of ngram_ids has 1 dimension [T]"],
    [[tensorType("f32", ["T"]), i32("B")], sizes, "tokens of ngram_ids holds whole numbers"],
    [[i32("T")], sizes, "tokens and the tokens before them"],
    [[i32("T"), i32("B")], { heads: 1, rows: 9 }, "vocab of ngram_ids is a whole number or a dimension, found nothing"],
    [[i32("T"), i32("B")], { ...sizes, eos: -1 }, "eos of ngram_ids is no id of a token"],
  ])("%j %j: %s", (operands, attributes, message) => {
    expect(() => definition.infer(operands, attributes, [])).toThrow(message);
  });

  test("sizes beyond what 32 bits compute, or known at run time only, are refused", () => {
    const check = (back: string | number, attributes: AttributeMap) =>
      definition.checkSizes?.([i32("T"), i32(back)], attributes);
    check(4, { heads: 4, rows: 16_480_000, vocab: 163_840 });
    expect(() => check(4, { heads: 4, rows: 2 ** 30, vocab: 10 })).toThrow("is too large for n-gram ids");
    expect(() => check(4, { heads: 4, rows: 9, vocab: 2 ** 30 + 1 })).toThrow("is too large for n-gram ids");
    expect(() => check("P", { heads: 4, rows: 9, vocab: 9 })).toThrow(
      "not known when the layer is compiled: previous [P]",
    );
  });
});
