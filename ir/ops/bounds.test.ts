/**
 * Bounds are sound: whatever rounds every step to f32, in any order of summation, with exp as loose as WGSL allows, stays
 * within them. And they are not silly: far below a thousandth of the numbers they belong to.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bf16ToF32, f32ToBf16 } from "../core/float16.ts";
import { apply, f32, type ScalarExpr, type ScalarFunction, scalarOp, silu, variable } from "../core/scalar.ts";
import type { Tensor } from "../core/tensor.ts";
import { evaluateOp, f32Tensor, normal, numbers, randomF32, uniform } from "./testing.ts";

const seed = 20260711;
const runs = { seed, numRuns: 60 };
const r = Math.fround;

/** Ways to sum: each rounds every step to f32. */
const sums: readonly ((terms: readonly number[]) => number)[] = [
  (terms) => terms.reduce((a, b) => r(a + b), 0),
  (terms) => terms.reduceRight((a, b) => r(a + b), 0),
  function pairwise(terms): number {
    if (terms.length <= 2) return terms.reduce((a, b) => r(a + b), 0);
    const half = terms.length >> 1;
    return r(pairwise(terms.slice(0, half)) + pairwise(terms.slice(half)));
  },
  (terms) => {
    const lanes = [0, 0, 0, 0, 0, 0, 0, 0];
    terms.forEach((term, i) => {
      lanes[i % 8] = r(lanes[i % 8] + term);
    });
    return lanes.reduce((a, b) => r(a + b), 0);
  },
];
const fused = (a: readonly number[], b: readonly number[]): number => a.reduce((s, x, i) => r(s + x * b[i]), 0);
const machineDots = (a: readonly number[], b: readonly number[]): number[] => [
  ...sums.map((sum) => sum(a.map((x, i) => r(x * b[i])))),
  fused(a, b),
];
/** exp within 3 + 2|x| units in the last place. */
const machineExp = (x: number, random: () => number): number =>
  r(Math.exp(x) * (1 + (2 * random() - 1) * 0.99 * (3 + 2 * Math.abs(x)) * 2 ** -23));

function within(machine: number, oracle: Tensor, i: number, what = ""): void {
  const error = Math.abs(machine - oracle.data[i]);
  const bound = oracle.bound?.[i] ?? 0;
  if (!(error <= bound))
    throw new Error(`${what} element ${i}: ${machine} is ${error} from ${oracle.data[i]}, bound ${bound}`);
}

const bf16 = (x: number): number => bf16ToF32(f32ToBf16(x));
const row = (t: ArrayLike<number>, i: number, k: number): number[] => Array.from(t).slice(i * k, (i + 1) * k);

describe(`soundness (seed ${seed})`, () => {
  const shape = fc.record({
    data: fc.integer(),
    m: fc.integer({ min: 1, max: 6 }),
    n: fc.integer({ min: 1, max: 4 }),
    k: fc.integer({ min: 1, max: 300 }),
    scale: fc.constantFrom(1e-3, 1, 50),
  });

  test("linear, in five orders", () => {
    fc.assert(
      fc.property(shape, ({ data, m, n, k, scale }) => {
        const random = uniform(data);
        const x = randomF32([m, k], random, scale);
        const w = randomF32([n, k], random);
        const [y] = evaluateOp("linear", [x, w], {}).results;
        for (let i = 0; i < m; i++)
          for (let j = 0; j < n; j++)
            for (const dot of machineDots(row(x.data, i, k), row(w.data, j, k))) within(dot, y, i * n + j);
      }),
      runs,
    );
  });

  test("linear of operands that may be rounded to bf16, to a bf16 result", () => {
    fc.assert(
      fc.property(shape, ({ data, m, n, k, scale }) => {
        const random = uniform(data);
        const x = randomF32([m, k], random, scale);
        const w = randomF32([n, k], random);
        const [xc] = evaluateOp("cast", [x], { to: "bf16" }).results;
        const [wc] = evaluateOp("cast", [w], { to: "bf16" }).results;
        const [y] = evaluateOp("linear", [xc, wc], { result: "bf16" }).results;
        for (let i = 0; i < m; i++)
          for (let j = 0; j < n; j++) {
            const [a, b] = [row(x.data, i, k), row(w.data, j, k)];
            for (const [p, q] of [
              [a, b],
              [a.map(bf16), b],
              [a.map(bf16), b.map(bf16)],
            ])
              for (const dot of machineDots(p, q)) {
                within(dot, y, i * n + j);
                within(bf16(dot), y, i * n + j);
              }
          }
      }),
      runs,
    );
  });

  test.each(["x", "w"] as const)("linear of %s rounded to bf16: its error alone is carried through", (which) => {
    fc.assert(
      fc.property(shape, ({ data, m, n, k, scale }) => {
        const random = uniform(data);
        const exact = { x: randomF32([m, k], random, scale), w: randomF32([n, k], random) };
        const [cast] = evaluateOp("cast", [exact[which]], { to: "bf16" }).results;
        const given = { ...exact, [which]: cast };
        const [y] = evaluateOp("linear", [given.x, given.w], {}).results;
        const machine = { x: numbers(exact.x), w: numbers(exact.w), [which]: numbers(exact[which]).map(bf16) };
        for (let i = 0; i < m; i++)
          for (let j = 0; j < n; j++)
            for (const dot of machineDots(row(machine.x, i, k), row(machine.w, j, k))) within(dot, y, i * n + j);
      }),
      runs,
    );
  });

  const machineScalar = (expr: ScalarExpr, values: Record<string, number>, random: () => number): number => {
    if (expr.kind === "const") return r(expr.value);
    if (expr.kind === "var") return values[expr.name];
    if (expr.kind !== "apply") throw new Error("no elements here");
    const [a = 0, b = 0, c = 0] = expr.args.map((e) => machineScalar(e, values, random));
    return expr.op === "exp" ? machineExp(a, random) : r(scalarOp(expr.op).evaluate(a, b, c));
  };
  const [x, y] = [variable("x", "f32"), variable("y", "f32")];
  const functions: [string, ScalarFunction][] = [
    ["silu(x)·y", { params: ["x", "y"], body: apply("mul", silu(x), y) }],
    [
      "(y + 1)·x·sigmoid(1.702x)",
      { params: ["x", "y"], body: apply("mul", apply("add", y, f32(1)), silu(apply("mul", f32(1.702), x))) },
    ],
    [
      "x < y ? x·x : sqrt(abs(y))",
      {
        params: ["x", "y"],
        body: apply("select", apply("lt", x, y), apply("mul", x, x), apply("sqrt", apply("abs", y))),
      },
    ],
    [
      "max(x − y, 0)/(1 + abs(x))",
      {
        params: ["x", "y"],
        body: apply("div", apply("max", apply("sub", x, y), f32(0)), apply("add", f32(1), apply("abs", x))),
      },
    ],
    ["log(1 + exp(x))", { params: ["x"], body: apply("log", apply("add", f32(1), apply("exp", x))) }],
  ];
  test.each(functions)("map %s, also of operands with errors", (_, fn) => {
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(0.1, 3, 120), fc.boolean(), (data, scale, inexact) => {
        const random = uniform(data);
        const exact = fn.params.map(() => randomF32([40], random, scale));
        const operands = inexact ? exact.map((t) => evaluateOp("cast", [t], { to: "bf16" }).results[0]) : exact;
        const [result] = evaluateOp("map", operands, { fn }).results;
        for (let i = 0; i < 40; i++) {
          const values = Object.fromEntries(
            fn.params.map((p, j) => [p, inexact ? bf16(exact[j].data[i]) : exact[j].data[i]]),
          );
          within(machineScalar(fn.body, values, random), result, i);
        }
      }),
      runs,
    );
  });

  test("a comparison that rounding may turn allows both results", () => {
    const fn = { params: ["x"], body: apply("select", apply("lt", x, f32(1.0009765625)), f32(5), f32(-5)) };
    const [cast] = evaluateOp("cast", [f32Tensor([1], [1.001])], { to: "bf16" }).results;
    const [result] = evaluateOp("map", [cast], { fn }).results;
    within(5, result, 0);
    within(-5, result, 0);
  });

  const routing = fc.record({
    data: fc.integer(),
    experts: fc.integer({ min: 1, max: 70 }),
    scale: fc.constantFrom(0.1, 2, 40),
    logitError: fc.constantFrom(0, 1e-6, 1e-3, 0.5),
  });
  test.each(["softmax", "sigmoid"] as const)(
    "route with %s scores, renormalised or not, of logits with errors",
    (score) => {
      fc.assert(
        fc.property(routing, fc.boolean(), ({ data, experts, scale, logitError }, renormalise) => {
          const random = uniform(data);
          const logits = randomF32([1, experts], random, scale);
          const wrong = numbers(logits).map((l) => r(l + (2 * random() - 1) * 0.999 * logitError));
          const bound = Float64Array.from(numbers(logits), (l, i) => Math.abs(wrong[i] - l));
          const attributes = { score, top_k: experts, scale: 2.5, renormalise: renormalise ? "sum" : "none" };
          const { results } = evaluateOp(
            "route",
            [{ ...logits, data: Float64Array.from(logits.data), bound }],
            attributes,
          );
          const [ids, weights] = results;
          for (const sum of sums) {
            const m = Math.max(...wrong);
            const terms = wrong.map((l) => machineExp(r(l - m), random));
            const total = sum(terms);
            const scores =
              score === "softmax"
                ? terms.map((t) => (random() < 0.5 ? r(t / total) : r(t * r(1 / total))))
                : wrong.map((l) => r(1 / r(1 + machineExp(-l, random))));
            const chosen = numbers(ids).map((id) => scores[id]);
            const denominator = sum(chosen);
            chosen.forEach((s, i) => {
              within(r((renormalise ? r(s / denominator) : s) * 2.5), weights, i, `${score} of ${wrong.length}`);
            });
          }
        }),
        runs,
      );
    },
  );

  test("combine, and zero experts' weights, in slot order", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 12 }), (data, k) => {
        const random = uniform(data);
        const y = randomF32([k, 3], random);
        const weights = randomF32([1, k], random);
        const x = randomF32([1, 3], random);
        const ids = {
          dtype: "i32",
          dims: [1, k],
          data: Int32Array.from({ length: k }, () => Math.floor(random() * 8)),
        } as const;
        const rows = {
          dtype: "i32",
          dims: [k],
          data: Int32Array.from(ids.data, (id, i) => (id < 4 ? i : -1)),
        } as const;
        const [xw] = evaluateOp("zero_expert_weight", [ids, weights], { ffn: 4 }).results;
        const zero = numbers(weights).filter((_, i) => ids.data[i] >= 4);
        const machineZero = zero.reduce((a, b) => r(a + b), 0);
        within(machineZero, xw, 0);
        const [out] = evaluateOp("combine", [y, rows, weights, x, xw], {}).results;
        for (let j = 0; j < 3; j++) {
          let sum = 0;
          for (let i = 0; i < k; i++) if (rows.data[i] >= 0) sum = r(sum + r(weights.data[i] * y.data[i * 3 + j]));
          within(r(sum + r(machineZero * x.data[j])), out, j);
        }
      }),
      runs,
    );
  });
});

test(`bounds are far below a thousandth of the numbers (seed ${seed})`, () => {
  const random = uniform(seed);
  const k = 512;
  const x = randomF32([8, k], random);
  const w = f32Tensor(
    [16, k],
    Array.from({ length: 16 * k }, () => normal(random) / Math.sqrt(k)),
  );
  const [y] = evaluateOp("linear", [x, w], {}).results;
  const typical = (t: Tensor): number => {
    const bounds = Array.from(t.bound ?? []).sort((a, b) => a - b);
    const size = Math.sqrt(numbers(t).reduce((s, v) => s + v * v, 0) / t.data.length);
    return bounds[bounds.length >> 1] / size;
  };
  expect(typical(y)).toBeLessThan(1e-3);
  expect(typical(y)).toBeGreaterThan(2 ** -24);
  const [h] = evaluateOp("map", [y], { fn: { params: ["x"], body: silu(variable("x", "f32")) } }).results;
  expect(typical(h)).toBeLessThan(1e-3);
  const { results, outcome } = evaluateOp("route", [y], { score: "softmax", top_k: 4 });
  expect(typical(results[1])).toBeLessThan(1e-3);
  expect(outcome?.ambiguous.length).toBeLessThan(3);
});
