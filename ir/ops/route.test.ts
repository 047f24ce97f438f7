import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Tensor } from "../core/tensor.ts";
import { evaluateOp, f32Tensor, numbers, randomF32, uniform } from "./testing.ts";

const seed = 20260712;
const plain = { score: "none" } as const;
const route = (logits: Tensor, attributes: Parameters<typeof evaluateOp>[2], choice?: number[], bias?: Tensor) => {
  const operands = bias === undefined ? [logits] : [logits, bias];
  const { results, outcome } = evaluateOp("route", operands, attributes, {
    ...(choice === undefined ? {} : { choice: Int32Array.from(choice) }),
  });
  return { ids: numbers(results[0]), weights: numbers(results[1]), ...outcome };
};
/** Logits that are off by up to `error`. */
const inexact = (values: number[], error: number): Tensor => ({
  dtype: "f32",
  dims: [1, values.length],
  data: Float64Array.from(values),
  bound: new Float64Array(values.length).fill(error),
});

describe("numbers by hand", () => {
  test("the largest keys, in descending order", () => {
    const logits = f32Tensor([2, 4], [1, 4, 2, 3, -1, -2, 0, -3]);
    expect(route(logits, { ...plain, top_k: 3 })).toEqual({
      ids: [1, 3, 2, 2, 0, 1],
      weights: [4, 3, 2, 0, -1, -2],
      ambiguous: [],
      wrong: [],
    });
  });

  test("softmax over all, weights unbiased, scaled", () => {
    const logits = f32Tensor([1, 3], [Math.log(1), Math.log(2), Math.log(5)]);
    const bias = f32Tensor([3], [1, 0, 0]);
    const { ids, weights } = route(logits, { score: "softmax", select: "biased", top_k: 2, scale: 6 }, undefined, bias);
    expect(ids).toEqual([0, 2]);
    expect(weights[0]).toBeCloseTo(6 / 8, 6);
    expect(weights[1]).toBeCloseTo(30 / 8, 6);
  });

  test("sigmoid, renormalised", () => {
    const logits = f32Tensor([1, 3], [0, Math.log(3), -100]);
    const { ids, weights } = route(logits, { score: "sigmoid", top_k: 2, renormalise: "sum" });
    expect(ids).toEqual([1, 0]);
    expect(weights[0]).toBeCloseTo(0.75 / 1.25, 6);
    expect(weights[1]).toBeCloseTo(0.5 / 1.25, 6);
  });

  test("a masked expert weighs nothing", () => {
    const { ids, weights } = route(f32Tensor([1, 3], [0, Number.NEGATIVE_INFINITY, 0]), { score: "softmax", top_k: 3 });
    expect(ids).toEqual([0, 2, 1]);
    expect(weights).toEqual([0.5, 0.5, 0]);
  });

  test("top_k over the experts there are", () => {
    expect(() => route(f32Tensor([1, 2], [0, 0]), { ...plain, top_k: 3 })).toThrow("there are only 2 experts");
  });
});

describe("ties and ambiguity", () => {
  test("exactly equal keys go to the lowest id, and are not ambiguous", () => {
    const logits = f32Tensor([1, 5], [1, 2, 2, 1, 2]);
    expect(route(logits, { ...plain, top_k: 4 })).toMatchObject({ ids: [1, 2, 4, 0], ambiguous: [] });
    // The tie rule holds for a given choice as well.
    expect(route(logits, { ...plain, top_k: 4 }, [1, 4, 2, 0])).toMatchObject({ ids: [1, 2, 4, 0], wrong: [0] });
    expect(route(logits, { ...plain, top_k: 4 }, [1, 2, 4, 3])).toMatchObject({ wrong: [0] });
  });

  test("keys within their bounds are ambiguous at the boundary and among the chosen, not below", () => {
    expect(route(inexact([3, 2, 1.95, 1], 0.03), { ...plain, top_k: 2 }).ambiguous).toEqual([0]);
    expect(route(inexact([3, 2.95, 2, 1], 0.03), { ...plain, top_k: 2 }).ambiguous).toEqual([0]);
    expect(route(inexact([3, 2.5, 1, 0.99], 0.03), { ...plain, top_k: 2 }).ambiguous).toEqual([]);
    expect(route(inexact([3, 2, 1.95, 1], 0.02), { ...plain, top_k: 2 }).ambiguous).toEqual([]);
  });

  test("an equal key beyond the first in doubt counts", () => {
    const logits = inexact([3, 2.99, 2.98, 0], 0);
    const bound = Float64Array.from([0.5, 0.001, 0.5, 0]);
    expect(route({ ...logits, bound }, { ...plain, top_k: 1 }).ambiguous).toEqual([0]);
  });
});

describe("choices", () => {
  const logits = inexact([3, 2, 1.95, 1], 0.03);
  const k2 = { ...plain, top_k: 2 };

  test("one that rounding explains is followed, and its weights with it", () => {
    expect(route(logits, k2, [0, 2])).toEqual({ ids: [0, 2], weights: [3, 1.95], ambiguous: [0], wrong: [] });
    expect(route(inexact([3, 2.95, 1], 0.03), k2, [1, 0])).toMatchObject({ ids: [1, 0], wrong: [] });
  });

  test.each([
    ["a much smaller key", [0, 3]],
    ["order against clear keys", [1, 0]],
    ["the same expert twice", [0, 0]],
    ["an expert that does not exist", [0, 4]],
    ["a negative id", [-1, 0]],
  ])("one that nothing explains is wrong: %s", (_, choice) => {
    expect(route(logits, k2, choice)).toMatchObject({ ids: [0, 1], wrong: [0] });
  });

  test("of the wrong length is refused", () => {
    expect(() => route(logits, k2, [0])).toThrow("a choice of 1 experts is given for 1 tokens with 2 experts each");
  });

  test(`what any rounding within the bounds chooses is accepted (seed ${seed})`, () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 30 }),
        fc.constantFrom(1e-3, 0.1, 1),
        (data, experts, error) => {
          const random = uniform(data);
          const exact = numbers(randomF32([1, experts], random));
          const seen = exact.map((x) => x + (2 * random() - 1) * error);
          const k = 1 + Math.floor(random() * experts);
          const choice = seen
            .map((key, id) => ({ key, id }))
            .sort((a, b) => b.key - a.key || a.id - b.id)
            .slice(0, k)
            .map(({ id }) => id);
          const result = route(inexact(exact, error), { ...plain, top_k: k }, choice);
          expect(result.wrong).toEqual([]);
          expect(result.ids).toEqual(choice);
          const own = route(inexact(exact, error), { ...plain, top_k: k }).ids;
          if (own.some((id, i) => id !== choice[i])) expect(result.ambiguous).toEqual([0]);
        },
      ),
      { seed, numRuns: 200 },
    );
  });
});
