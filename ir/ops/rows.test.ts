/** Ops along the last dimension: their meanings, their bounds against machines that round every step to f32, their refusals. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AttributeMap } from "../core/layer.ts";
import type { Tensor } from "../core/tensor.ts";
import { tensorType } from "../core/types.ts";
import { opDefinition } from "./index.ts";
import { bf16Tensor, evaluateOp, f32Tensor, i32Tensor, numbers, randomF32, uniform } from "./testing.ts";

const seed = 20261124;
const runs = { seed, numRuns: 60 };
const r = Math.fround;
const x = f32Tensor([2, 4], [1, -2, 3, 6, 0.5, 0.5, 0.5, 0.5]);
const one = (op: string, operands: readonly Tensor[], attributes: AttributeMap): Tensor =>
  evaluateOp(op, operands, attributes).results[0] as Tensor;
const close = (t: Tensor, expected: readonly number[]): void => {
  expect(t.data.length).toBe(expected.length);
  expected.forEach((e, i) => {
    expect(Number(t.data[i]), `element ${i}`).toBeCloseTo(e, 12);
  });
};

describe("meanings", () => {
  test.each([
    ["sum", [8, 2]],
    ["mean", [2, 0.5]],
    ["max", [6, 0.5]],
    ["min", [-2, 0.5]],
  ])("%s", (kind, expected) => {
    const y = one("reduce", [x], { kind });
    expect(y.dims).toEqual([2, 1]);
    close(y, expected);
  });

  test("a largest element is as inexact as any that may be the largest", () => {
    const y = one("reduce", [{ ...f32Tensor([1, 3], [1, 5, 4.5]), bound: Float64Array.of(9, 0, 0.75) }], {
      kind: "max",
    });
    expect([y.data[0], y.bound?.[0]]).toEqual([5, 9]);
  });

  test("cumsum begins anew in each row, with an exact element", () => {
    const y = one("cumsum", [x], {});
    close(y, [1, -1, 2, 8, 0.5, 1, 1.5, 2]);
    expect([y.bound?.[0], y.bound?.[4]]).toEqual([0, 0]);
  });

  test("cumsum of whole numbers is exact, and refuses what is beyond 32 bits", () => {
    const y = one("cumsum", [i32Tensor([2, 3], [5, -7, 2 ** 30, 1, 1, 1])], {});
    expect([y.dtype, numbers(y), y.bound]).toEqual(["i32", [5, -2, 2 ** 30 - 2, 1, 2, 3], undefined]);
    const inexact = { ...i32Tensor([1, 2], [1, 1]), bound: Float64Array.of(0, 1) };
    expect(one("cumsum", [inexact], {}).bound).toEqual(Float64Array.of(0, 1));
    expect(() => one("cumsum", [i32Tensor([2], [2 ** 30, 2 ** 30])], {})).toThrow(
      "cumsum gives 2147483648, which is no i32",
    );
  });

  test("arg_max gives the lowest index among equals, of each row", () => {
    expect(numbers(one("arg_max", [f32Tensor([2, 2, 3], [1, 3, 3, -1, -1, -2, 5, 1, 2, 0, 0, 0])], {}))).toEqual([
      1, 0, 0, 0,
    ]);
  });

  test("arg_max follows a choice that rounding explains, and no other", () => {
    const near = { ...f32Tensor([3, 3], [1, 2, 2.5, 1, 2, 2.5, 1, 2, 2.5]), bound: new Float64Array(9).fill(0.3) };
    const { results, outcome } = evaluateOp("arg_max", [near], {}, { choice: Int32Array.of(1, 0, 2) });
    expect(numbers(results[0] as Tensor)).toEqual([1, 2, 2]);
    expect(outcome).toEqual({ ambiguous: [0, 1, 2], wrong: [1] });
    const exact = evaluateOp("arg_max", [f32Tensor([1, 3], [2, 2, 1])], {}, { choice: Int32Array.of(1) });
    expect(exact.outcome).toEqual({ ambiguous: [], wrong: [0] });
  });

  test("arg_max puts NaN last, and lets targets put it anywhere", () => {
    const x = f32Tensor([1, 4], [1, Number.NaN, 3, 2]);
    expect(numbers(one("arg_max", [x], {}))).toEqual([2]);
    for (const [choice, wrong] of [
      [1, []],
      [2, []],
      [3, [0]],
    ] as const)
      expect(evaluateOp("arg_max", [x], {}, { choice: Int32Array.of(choice) }).outcome).toEqual({
        ambiguous: [0],
        wrong,
      });
  });

  test("softmax of each row; masked elements weigh nothing", () => {
    const logits = Float64Array.of(0, Math.log(3), Number.NEGATIVE_INFINITY, 2, 2, 2);
    const y = one("softmax", [{ dtype: "f32", dims: [2, 3], data: logits }], {});
    close(y, [1 / 4, 3 / 4, 0, 1 / 3, 1 / 3, 1 / 3]);
  });

  test("rms norm, with weights that count from 0 and from 1", () => {
    const weight = f32Tensor([4], [1, 2, 0, -1]);
    const root = Math.sqrt(50 / 4 + 0.5);
    close(
      one("norm", [x], { kind: "rms", epsilon: 0.5 }),
      [1, -2, 3, 6].map((v) => v / root).concat(new Array(4).fill(0.5 / Math.sqrt(0.75))),
    );
    const plain = one("norm", [x, weight], { kind: "rms", epsilon: 0.5, with: ["weight"] });
    const unit = one("norm", [x, weight], { kind: "rms", epsilon: 0.5, offset: 1, with: ["weight"] });
    close({ ...plain, data: plain.data.slice(0, 4) }, [1 / root, -4 / root, 0, -6 / root]);
    close({ ...unit, data: unit.data.slice(0, 4) }, [2 / root, -6 / root, 3 / root, 0]);
  });

  test("layer norm, with vectors in either order", () => {
    const [weight, bias] = [f32Tensor([4], [1, 2, 3, 4]), f32Tensor([4], [10, 20, 30, 40])];
    const deviation = Math.sqrt((1 + 16 + 1 + 16) / 4 + 1);
    const expected = [-1, -4, 1, 4].map((v, i) => (v / deviation) * (i + 1) + 10 * (i + 1));
    for (const [operands, names] of [
      [
        [x, weight, bias],
        ["weight", "bias"],
      ],
      [
        [x, bias, weight],
        ["bias", "weight"],
      ],
    ] as const) {
      const y = one("norm", operands, { kind: "layer", epsilon: 1, with: [...names] });
      close(y, [...expected, 10, 20, 30, 40]);
    }
  });

  test("rows of no elements, no rows, one row without other dimensions, and narrow floats", () => {
    expect(one("reduce", [f32Tensor([0, 3], [])], { kind: "sum" }).dims).toEqual([0, 1]);
    expect(one("norm", [f32Tensor([0, 3], [])], { kind: "layer" }).data.length).toBe(0);
    close(one("cumsum", [f32Tensor([3], [1, 2, 3])], {}), [1, 3, 6]);
    close(one("reduce", [bf16Tensor([2], [1.5, 2])], { kind: "mean" }), [1.75]);
  });
});

describe(`soundness (seed ${seed})`, () => {
  /** Rows of one sign whose squares are coarse are the worst that sums meet. */
  const rows = fc.record({
    data: fc.integer(),
    n: fc.integer({ min: 1, max: 700 }),
    scale: fc.constantFrom(1e-3, 1, 50),
    shift: fc.constantFrom(0, 3, 100),
  });
  const made = ({ data, n, scale, shift }: { data: number; n: number; scale: number; shift: number }) => {
    const random = uniform(data);
    const exact = randomF32([1, n], random, scale);
    return {
      random,
      exact: f32Tensor(
        [1, n],
        numbers(exact).map((v) => r(v + scale * shift)),
      ),
    };
  };
  const orders: readonly ((terms: readonly number[]) => number)[] = [
    (terms) => terms.reduce((a, b) => r(a + b), 0),
    (terms) => {
      const lanes = new Array<number>(8).fill(0);
      terms.forEach((t, i) => {
        lanes[i % 8] = r(lanes[i % 8] + t);
      });
      return lanes.reduce((a, b) => r(a + b), 0);
    },
  ];
  const within = (machine: readonly number[], oracle: Tensor): void =>
    machine.forEach((m, i) => {
      const error = Math.abs(m - Number(oracle.data[i]));
      if (!(error <= (oracle.bound?.[i] ?? 0)))
        throw new Error(`element ${i}: ${m} is ${error} from ${oracle.data[i]}, bound ${oracle.bound?.[i]}`);
    });

  test.each(["rms", "layer"] as const)("%s norm, of exact and of inexact rows", (kind) => {
    fc.assert(
      fc.property(rows, fc.boolean(), (given, inexact) => {
        const { exact } = made(given);
        const { n } = given;
        const operand = inexact ? one("cast", [exact], { to: "bf16" }) : exact;
        const machine = inexact
          ? numbers(bf16Tensor([n], exact.data)).map((_, i) => toBf16(exact.data[i]))
          : numbers(exact);
        const weight = f32Tensor(
          [n],
          Float32Array.from({ length: n }, (_, i) => 0.5 + (i % 7)),
        );
        const oracle = one("norm", [operand, weight], { kind, epsilon: 1e-5, with: ["weight"] });
        for (const sum of orders) {
          const mean = kind === "rms" ? 0 : r(sum(machine) / n);
          const centered = machine.map((v) => r(v - mean));
          const squares = sum(centered.map((c) => r(c * c)));
          const factor = r(1 / r(Math.sqrt(r(r(squares / n) + r(1e-5)))));
          within(
            centered.map((c, i) => r(r(c * factor) * weight.data[i])),
            oracle,
          );
        }
      }),
      runs,
    );
  });

  test("sums, means and running sums", () => {
    fc.assert(
      fc.property(rows, (given) => {
        const { exact } = made(given);
        const values = numbers(exact);
        for (const sum of orders) {
          within([sum(values)], one("reduce", [exact], { kind: "sum" }));
          within([r(sum(values) * r(1 / given.n))], one("reduce", [exact], { kind: "mean" }));
        }
        let total = 0;
        const running = values.map((v) => (total = r(total + v)));
        within(running, one("cumsum", [exact], {}));
      }),
      runs,
    );
  });

  test("bounds are far below a thousandth of the numbers", () => {
    const wide = randomF32([1, 4096], uniform(3), 1);
    for (const [op, attributes] of [
      ["norm", { kind: "rms", epsilon: 1e-6 }],
      ["norm", { kind: "layer", epsilon: 1e-6 }],
      ["softmax", {}],
    ] as const) {
      const y = one(op, [wide], attributes);
      const bounds = Array.from(y.bound ?? []).sort((a, b) => a - b);
      const sizes = numbers(y)
        .map(Math.abs)
        .sort((a, b) => a - b);
      expect(bounds[2048] / sizes[2048], op).toBeLessThan(2e-4);
    }
  });
});

const bits = new Float32Array(1);
const words = new Uint32Array(bits.buffer);
function toBf16(v: number): number {
  bits[0] = v;
  words[0] = (words[0] + 0x7fff + ((words[0] >>> 16) & 1)) & 0xffff0000;
  return bits[0];
}

describe("refusals", () => {
  const rows = tensorType("f32", ["T", 4]);
  const vector = tensorType("f32", [4]);
  const infer = (op: string, operands: readonly ReturnType<typeof tensorType>[], attributes: AttributeMap) => () =>
    opDefinition(op).infer(operands, attributes, []);
  test.each([
    [
      "an unknown kind",
      infer("reduce", [rows], { kind: "product" }),
      'kind of reduce is one of "sum", "mean", "max", "min"',
    ],
    [
      "integers",
      infer("softmax", [tensorType("i32", ["T", 4])], {}),
      "softmax works on floats along the last dimension, found i32[T, 4]",
    ],
    [
      "a number",
      infer("cumsum", [tensorType("f32", [])], {}),
      "cumsum works on floats or i32 along the last dimension",
    ],
    ["two tensors", infer("cumsum", [rows, rows], {}), "cumsum takes one tensor, found 2 operands"],
    ["an option", infer("softmax", [rows], { axis: 1 }), 'softmax has no option "axis"'],
    [
      "a short vector",
      infer("norm", [rows, tensorType("f32", [3])], { kind: "rms", with: ["weight"] }),
      "has 3 elements, but rows have 4",
    ],
    [
      "a matrix",
      infer("norm", [rows, rows], { kind: "rms", with: ["weight"] }),
      "is a vector of floats, found f32[T, 4]",
    ],
    ["a missing vector", infer("norm", [rows], { kind: "rms", with: ["weight"] }), "norm takes x, weight"],
    ["a vector without a name", infer("norm", [rows, vector], { kind: "rms" }), "norm takes x, found 2 operands"],
    [
      "a vector twice",
      infer("norm", [rows, vector, vector], { kind: "rms", with: ["weight", "weight"] }),
      "with of norm is not a list",
    ],
    ["epsilon", infer("norm", [rows], { kind: "rms", epsilon: -1 }), "epsilon of norm is -1"],
    ["offset", infer("norm", [rows, vector], { kind: "rms", offset: 2, with: ["weight"] }), "offset of norm is 2"],
    ["an offset of nothing", infer("norm", [rows], { kind: "rms", offset: 1 }), "there is no weight"],
  ])("%s", (_, run, message) => {
    expect(run).toThrow(message);
  });

  test("flops count elements", () => {
    const flops = (op: string, attributes: AttributeMap) =>
      opDefinition(op).flops([tensorType("f32", ["T", 8])], attributes, [tensorType("f32", ["T", 8])], { T: 3 });
    expect(flops("reduce", { kind: "sum" })).toBe(24);
    expect(flops("softmax", {})).toBe(96);
    expect(flops("norm", { kind: "rms" })).toBe(24 * 3 + 3 * 4);
    expect(flops("norm", { kind: "layer" })).toBe(24 * 6 + 3 * 4);
  });
});
