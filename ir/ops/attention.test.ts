import { describe, expect, test } from "vitest";
import { tensorType } from "../core/types.ts";
import { keysOf } from "./attention.ts";
import { opDefinition } from "./index.ts";
import { evaluateOp, f32Tensor, numbers, randomF32, uniform } from "./testing.ts";

const r = Math.fround;
const attention = opDefinition("attention");
const infer = (shapes: readonly (readonly (number | string)[])[], attributes = {}) =>
  attention.infer(
    shapes.map((dims) => tensorType("f32", dims)),
    { causal: true, ...attributes },
    [],
  );

describe("what a query sees", () => {
  test("causal attention ends at the query's own position among the keys", () => {
    expect(keysOf(0, 3, 3, { causal: true, window: undefined })).toEqual({ from: 0, end: 1 });
    expect(keysOf(2, 3, 8, { causal: true, window: undefined })).toEqual({ from: 0, end: 8 });
    expect(keysOf(0, 3, 2, { causal: true, window: undefined })).toEqual({ from: 0, end: 0 });
    expect(keysOf(1, 3, 8, { causal: true, window: 2 })).toEqual({ from: 5, end: 7 });
    expect(keysOf(1, 3, 8, { causal: false, window: undefined })).toEqual({ from: 0, end: 8 });
  });
});

describe("attention", () => {
  // Scores are 0, so that weights are even: what is seen can be read off the mean.
  const zeros = (tokens: number, heads: number) => f32Tensor([tokens, heads, 2], new Float32Array(tokens * heads * 2));
  const even = (tokens: number, keys: number, attributes: object, sinks?: readonly number[]) =>
    numbers(
      evaluateOp(
        "attention",
        [
          zeros(tokens, 1),
          zeros(keys, 1),
          f32Tensor(
            [keys, 1, 1],
            Array.from({ length: keys }, (_, j) => j + 1),
          ),
          ...(sinks ? [f32Tensor([1], sinks)] : []),
        ],
        { causal: true, ...attributes },
      ).results[0],
    );

  test("means over all keys, earlier keys, recent keys", () => {
    expect(even(2, 4, { causal: false })).toEqual([2.5, 2.5]);
    expect(even(3, 3, {})).toEqual([1, 1.5, 2]);
    expect(even(2, 4, {})).toEqual([2, 2.5]);
    expect(even(3, 4, { window: 2 })).toEqual([1.5, 2.5, 3.5]);
    expect(even(2, 2, { window: 9 })).toEqual([1, 1.5]);
  });

  test("gives zeros where there is no key", () => {
    expect(even(3, 1, {})).toEqual([0, 0, 1]);
    expect(even(2, 0, { causal: false })).toEqual([0, 0]);
    expect(even(2, 0, { causal: false }, [3])).toEqual([0, 0]);
    expect(even(0, 3, {})).toEqual([]);
  });

  test("a sink takes weight and gives nothing", () => {
    const [first, second] = even(2, 2, {}, [Math.log(3)]);
    expect(first).toBeCloseTo(1 / 4, 6);
    expect(second).toBeCloseTo(3 / 5, 6);
  });

  test("query heads share key heads in order; scale and soft cap apply to scores", () => {
    const q = f32Tensor([1, 4, 1], [1, 2, 3, 4]);
    const k = f32Tensor([2, 2, 1], [0, 0, 1, -1]);
    const v = f32Tensor([2, 2, 1], [0, 0, 1, 1]);
    const weight = (s: number) => 1 / (1 + Math.exp(-s));
    const of = (attributes: object) =>
      numbers(evaluateOp("attention", [q, k, v], { causal: true, ...attributes }).results[0]);
    [1, 2, -3, -4].forEach((s, i) => {
      expect(of({ scale: 0.5 })[i]).toBeCloseTo(weight(0.5 * s), 12);
      expect(of({ scale: 0.5, soft_cap: 0.7 })[i]).toBeCloseTo(weight(0.7 * Math.tanh((0.5 * s) / 0.7)), 12);
      expect(of({})[i]).toBeCloseTo(weight(s), 12);
    });
  });

  test("counts the pairs that are seen", () => {
    const types = [
      [3, 2, 4],
      [5, 1, 4],
      [5, 1, 6],
    ].map((d) => tensorType("f32", d));
    const perPair = 2 * (2 * 4 + 3 + 2 * 6);
    expect(attention.flops(types, { causal: true }, [], {})).toBe((3 + 4 + 5) * perPair);
    expect(attention.flops(types, { causal: true, window: 2 }, [], {})).toBe(6 * perPair);
    expect(attention.flops(types, { causal: false }, [], {})).toBe(15 * perPair);
  });
});

describe("the bound", () => {
  /** Streams over keys in stretches, each step rounded to f32, exp as loose as WGSL allows. */
  function machine(
    q: ArrayLike<number>,
    k: ArrayLike<number>,
    v: ArrayLike<number>,
    size: number,
    scale: number,
    random: () => number,
  ) {
    const depth = q.length;
    const columns = (v.length / k.length) * depth;
    const exp = (x: number): number => r(Math.exp(x) * (1 + (2 * random() - 1) * (3 + 2 * Math.abs(x)) * 2 ** -23));
    let largest = -1e30;
    let total = 0;
    const sums = new Float32Array(columns);
    for (let from = 0; from * depth < k.length; from += size) {
      const scores: number[] = [];
      for (let j = from; j < Math.min(from + size, k.length / depth); j++) {
        let s = 0;
        for (let i = 0; i < depth; i++) s = r(s + r(r(q[i] * r(scale)) * k[j * depth + i]));
        scores.push(s);
      }
      const grown = Math.max(largest, ...scores);
      const factor = exp(r(largest - grown));
      const weights = scores.map((s) => exp(r(s - grown)));
      total = r(r(total * factor) + weights.reduce((a, b) => r(a + b), 0));
      for (let c = 0; c < columns; c++) {
        let sum = r(sums[c] * factor);
        weights.forEach((w, j) => {
          sum = r(sum + r(w * v[(from + j) * columns + c]));
        });
        sums[c] = sum;
      }
      largest = grown;
    }
    const inverse = r(1 / total);
    return Array.from(sums, (s) => r(s * inverse));
  }

  test.each([1, 2, 3, 4, 5, 6])("holds for streams in stretches of 1, 7 and 64, and is not silly (seed %i)", (seed) => {
    const random = uniform(seed);
    const [keys, depth, columns] = [[1, 5, 40, 300][seed % 4] as number, [4, 64][seed % 2] as number, 6];
    const spread = seed > 3 ? 3 : 1;
    const q = randomF32([1, 1, depth], random, spread);
    const k = randomF32([keys, 1, depth], random, spread);
    const v = randomF32([keys, 1, columns], random);
    const [exact] = evaluateOp("attention", [q, k, v], { causal: false }).results;
    for (const size of [1, 7, 64]) {
      const found = machine(numbers(q), numbers(k), numbers(v), size, 1 / Math.sqrt(depth), random);
      found.forEach((value, c) => {
        expect(Math.abs(value - exact.data[c]), `stretches of ${size}, column ${c}`).toBeLessThanOrEqual(
          exact.bound?.[c] ?? 0,
        );
      });
    }
    for (const e of exact.bound ?? []) expect(e).toBeLessThan(1e-3);
    expect(exact.bound?.length).toBe(columns);
  });

  test.each([1, 2, 3])("follows errors of queries, keys and values (seed %i)", (seed) => {
    const random = uniform(seed);
    const make = (...dims: number[]) => randomF32(dims, random);
    const exact = [make(1, 1, 32), make(24, 1, 32), make(24, 1, 3)];
    const given = exact.map((t) => evaluateOp("cast", [t], { to: "bf16" }).results[0]);
    const [oracle] = evaluateOp("attention", given, { causal: false }).results;
    for (let trial = 0; trial < 20; trial++) {
      const moved = exact.map((t) =>
        f32Tensor(
          t.dims,
          numbers(t).map((x) => x * (1 + (2 * random() - 1) * 2 ** -8)),
        ),
      );
      const [found] = evaluateOp("attention", moved, { causal: false }).results;
      found.data.forEach((value, c) => {
        expect(Math.abs(value - oracle.data[c])).toBeLessThanOrEqual(oracle.bound?.[c] ?? 0);
      });
    }
    for (const e of oracle.bound ?? []) expect(e).toBeLessThan(0.5);
  });

  test("knows nothing of scores beyond what a machine can tell from the unseen", () => {
    const huge = f32Tensor([1, 1, 1], [1e20]);
    const [y] = evaluateOp("attention", [huge, huge, f32Tensor([1, 1, 1], [1])], { causal: false }).results;
    expect(y.bound?.[0]).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("the verifier", () => {
  test("gives [T, A, M], for symbols too", () => {
    const [y] = infer([["T", "A", "D"], ["P+T", "G", "D"], ["P+T", "G", "M"], ["A"]]);
    expect(y?.dims.join()).toBe("T,A,M");
  });

  test.each([
    [
      [
        ["T", 4, 8],
        ["T", 2, 9],
        ["T", 2, 8],
      ],
      {},
      "inner dimensions of queries and keys of attention differ: 8 vs 9",
    ],
    [
      [
        ["T", 4, 8],
        ["T", 2, 8],
        ["S", 2, 8],
      ],
      {},
      "numbers of keys and values of attention differ: T vs S",
    ],
    [
      [
        ["T", 4, 8],
        ["T", 2, 8],
        ["T", 4, 8],
      ],
      {},
      "heads of keys and values of attention differ: 2 vs 4",
    ],
    [
      [
        ["T", 4, 8],
        ["T", 3, 8],
        ["T", 3, 8],
      ],
      {},
      "4 query heads cannot share 3 key heads evenly",
    ],
    [
      [
        ["T", 4, 8],
        ["T", 8],
        ["T", 2, 8],
      ],
      {},
      "keys of attention has 3 dimensions [S, G, D], found f32[T, 8]",
    ],
    [[["T", 4, 8], ["T", 2, 8], ["T", 2, 8], [2]], {}, "heads of queries and sinks of attention differ: 4 vs 2"],
    [
      [
        ["T", 4, 8],
        ["T", 2, 8],
        ["T", 2, 8],
      ],
      { causal: false, window: 3 },
      "attention with a window is causal",
    ],
    [
      [
        ["T", 4, 8],
        ["T", 2, 8],
        ["T", 2, 8],
      ],
      { causal: 1 },
      "causal of attention is neither true nor false",
    ],
    [
      [
        ["T", 4, 8],
        ["T", 2, 8],
        ["T", 2, 8],
      ],
      { soft_cap: 0 },
      "soft_cap of attention is 0",
    ],
    [
      [
        ["T", 4, 8],
        ["T", 2, 8],
        ["T", 2, 8],
      ],
      { window: 0 },
      "window of attention is 0",
    ],
    [
      [
        ["T", 4, 8],
        ["T", 2, 8],
      ],
      {},
      "attention takes queries, keys, values",
    ],
  ] as const)("refuses %j %j", (shapes, attributes, message) => {
    expect(() => infer(shapes, attributes)).toThrow(message);
  });
});
