import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { apply, variable } from "../core/scalar.ts";
import type { Tensor } from "../core/tensor.ts";
import { evaluateOp, f32Tensor, i32Tensor, numbers, randomF32, uniform } from "./testing.ts";

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
    const { ids, weights } = route(
      logits,
      { with: ["select_bias"], score: "softmax", top_k: 2, scale: 6 },
      undefined,
      bias,
    );
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

describe("parts of a router, by hand", () => {
  const ln = Math.log;
  const run = (logits: number[], attributes: Parameters<typeof evaluateOp>[2], ...extras: Tensor[]) => {
    const { results } = evaluateOp("route", [f32Tensor([1, logits.length], logits), ...extras], attributes);
    return { ids: numbers(results[0]), weights: numbers(results[1]).map((w) => Math.round(w * 1e5) / 1e5) };
  };

  test("groups: the best of each, or the two best added; ties go to the lowest group", () => {
    const logits = [1, 5, 4, 4, 0, 6];
    const groups = { count: 3, keep: 1 };
    expect(run(logits, { ...plain, top_k: 2, groups: { ...groups, by: "max" } }).ids).toEqual([5, 4]);
    expect(run(logits, { ...plain, top_k: 2, groups: { ...groups, by: "top2" } }).ids).toEqual([2, 3]);
    expect(run([1, 0, 1, 0], { ...plain, top_k: 2, groups: { count: 2, keep: 1, by: "max" } }).ids).toEqual([0, 1]);
    // Experts left out are not chosen, however small the others are.
    expect(run([-9, -8, -1, -2], { ...plain, top_k: 2, groups: { count: 2, keep: 1, by: "max" } }).ids).toEqual([2, 3]);
  });

  test("a table chooses, the logits weigh", () => {
    const table = i32Tensor([2, 2], [0, 1, 2, 0]);
    const attributes = { with: ["table", "token_ids"], score: "none", top_k: 2, renormalise: "sum" };
    expect(run([1, 5, 3], attributes, table, i32Tensor([1], [1]))).toEqual({ ids: [2, 0], weights: [0.75, 0.25] });
    expect(() => run([1, 5, 3], attributes, table, i32Tensor([1], [2]))).toThrow("token 0 has the id 2");
    expect(() => run([1, 5], attributes, table, i32Tensor([1], [1]))).toThrow("names expert 2, but there are 2");
  });

  test("softmax and sigmoid of the chosen logits; a scale for each expert", () => {
    const logits = [ln(1), ln(3), ln(9)];
    expect(run(logits, { ...plain, top_k: 2, weight: "softmax" })).toEqual({ ids: [2, 1], weights: [0.75, 0.25] });
    expect(run(logits, { ...plain, top_k: 2, weight: "sigmoid" }).weights).toEqual([0.9, 0.75]);
    const scale = f32Tensor([3], [2, 4, 8]);
    const scaled = { ...plain, with: ["expert_scale"], top_k: 2, weight: "softmax", scale: 2 };
    expect(run(logits, scaled, scale).weights).toEqual([12, 2]);
  });

  test("sequential: softmax over what is open and near", () => {
    // 4 and 3.9 are near each other (0.1 ≤ 0.1 · 4), 3 is not near 3.9.
    const { ids, weights } = run([3, 4, 3.9], { ...plain, top_k: 2, weight: { sequential: 0.1 } });
    expect(ids).toEqual([1, 2]);
    expect(weights[0]).toBeCloseTo(1 / (1 + Math.exp(-0.1)), 5);
    expect(weights[1]).toBe(1);
  });

  test.each([
    ["sum", [0.75, 0.25]],
    [{ epsilon: 4 }, [0.375, 0.125]],
    [{ at_least: 8 }, [0.375, 0.125]],
    [{ at_least: 1 }, [0.75, 0.25]],
    [{ norm: 1 }, [0.75, 0.25]],
    [{ norm: 2 }, [0.94868, 0.31623]],
    [{ norm: 3 }, [0.98795, 0.32932]],
  ])("divided by %j", (renormalise, weights) => {
    expect(run([1, 3, 0], { ...plain, top_k: 2, renormalise }).weights).toEqual(weights);
  });

  test("scores: sqrt-softplus, and an own function chosen by the logits", () => {
    expect(run([0], { score: "sqrt_softplus", top_k: 1 }).weights[0]).toBeCloseTo(Math.sqrt(ln(2)), 5);
    const z = variable("z", "f32");
    const score = { params: ["z"], body: apply("mul", z, z) };
    expect(run([1, -3, 2], { score, top_k: 1 })).toEqual({ ids: [1], weights: [9] });
    expect(run([1, -3, 2], { score, key: "logits", top_k: 1 })).toEqual({ ids: [2], weights: [4] });
  });

  test.each<[string, Parameters<typeof evaluateOp>[2]]>([
    ["an unused score", { score: "softmax", key: "logits", weight: "sigmoid", top_k: 1 }],
    ["a table without token ids", { with: ["table"], score: "none", top_k: 1 }],
    ["an unknown operand", { with: ["tables"], score: "none", top_k: 1 }],
    ["two divisors", { score: "none", top_k: 1, renormalise: { epsilon: 1, norm: 2 } }],
    ["groups that do not fit", { score: "none", top_k: 1, groups: { count: 2, keep: 1, by: "max" } }],
  ])("%s is refused", (_, attributes) => {
    expect(() => run([1, 2, 3], attributes)).toThrow();
  });
});

test(`with groups, what any rounding within the bounds chooses is accepted (seed ${seed})`, () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 2, max: 5 }),
      fc.integer({ min: 2, max: 4 }),
      fc.constantFrom("max", "top2"),
      fc.constantFrom(1e-3, 0.1, 1),
      (data, count, size, by, error) => {
        const random = uniform(data);
        const exact = numbers(randomF32([1, count * size], random));
        const seen = exact.map((x) => x + (2 * random() - 1) * error);
        const keep = 1 + Math.floor(random() * count);
        const k = 1 + Math.floor(random() * keep * size);
        const attributes = { ...plain, top_k: k, groups: { count, keep, by } };
        const choice = route(f32Tensor([1, seen.length], seen), attributes).ids;
        expect(route(inexact(exact, error + 1e-6), attributes, choice)).toMatchObject({ wrong: [], ids: choice });
        const own = route(inexact(exact, error + 1e-6), attributes);
        if (own.ids.some((id, i) => id !== choice[i])) expect(own.ambiguous).toEqual([0]);
        // An expert far below all others is explained by nothing.
        const far = exact.map((x, e) => (e === 0 ? -1e3 : x));
        if (k < keep * size) expect(route(inexact(far, error), attributes, [0, ...choice.slice(1)]).wrong).toEqual([0]);
      },
    ),
    { seed, numRuns: 200 },
  );
});
