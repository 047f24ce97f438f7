import { describe, expect, test } from "vitest";
import { IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import { apply, f32, type ScalarExpr, type ScalarFunction, variable } from "../core/scalar.ts";
import { formatType, type TensorType, tensorType } from "../core/types.ts";
import { opDefinition, opNames } from "./index.ts";
import { bf16Tensor, evaluateOp, f32Tensor, i32Tensor, numbers } from "./testing.ts";

const fn = (params: string[], body: (...args: ScalarExpr[]) => ScalarExpr): ScalarFunction => ({
  params,
  body: body(...params.map((p) => variable(p, "f32"))),
});
const mulFn = fn(["a", "b"], (a, b) => apply("mul", a, b));
const type = (text: string): TensorType => {
  const [, dtype, dims] = /^(\w+)\[(.*)\]$/.exec(text) ?? [];
  return tensorType(dtype as TensorType["dtype"], dims === "" ? [] : dims.split(", "));
};
const infer = (op: string, operands: string[], attributes: AttributeMap = {}): string[] =>
  opDefinition(op).infer(operands.map(type), attributes, []).map(formatType);
const K = Dim.symbol("K");
const E = Dim.symbol("E");

describe("types", () => {
  const cases: [string, string[], AttributeMap, string[]][] = [
    ["linear", ["f32[T, H]", "bf16[E + Z, H]"], {}, ["f32[T, E + Z]"]],
    ["linear", ["f32[H]", "f32[I, H]", "f32[I, H]"], { epilogue: mulFn, result: "bf16" }, ["bf16[I]"]],
    [
      "linear",
      ["f32[T, 5]", "f32[2, 2, 6, 4]"],
      { packed: { rows: 3, depth: 4 }, columns: 6, epilogue: mulFn },
      ["f32[T, 6]"],
    ],
    ["map", ["f32[T, H]", "f16[H]"], { fn: mulFn }, ["f32[T, H]"]],
    ["map", ["f32[T, 1]", "f32[1, H]"], { fn: mulFn }, ["f32[T, H]"]],
    ["map", ["i32[T, 1]", "i32[H]"], { fn: mulFn }, ["i32[T, H]"]],
    ["cast", ["f32[T, H]"], { to: "f16" }, ["f16[T, H]"]],
    ["cast", ["bf16[T, H]"], { to: "i32" }, ["i32[T, H]"]],
    ["cast", ["i32[T]"], { to: "f16" }, ["f16[T]"]],
    [
      "route",
      ["f32[T, E + Z]", "f32[E + Z]"],
      { with: ["select_bias"], score: "softmax", top_k: K },
      ["i32[T, K]", "f32[T, K]"],
    ],
    ["index", ["bf16[E, I, H]", "i32[]"], {}, ["bf16[I, H]"]],
    ["zero_expert_weight", ["i32[T, K]", "f32[T, K]"], { ffn: E }, ["f32[T, 1]"]],
    ["dispatch", ["i32[T, K]"], { ffn: E }, ["i32[E + 1]", "i32[K*T]", "i32[K*T]"]],
    ["permute", ["bf16[T, H]", "i32[T*K]"], { top_k: K }, ["bf16[K*T, H]"]],
    ["grouped_linear", ["f32[S, H]", "i32[E + 1]", "bf16[E, I, H]"], {}, ["f32[S, I]"]],
    ["grouped_linear", ["f32[T, H]", "i32[E + 1]", "i32[T*K]", "bf16[E, I, H]"], { gather: K }, ["f32[K*T, I]"]],
    ["combine", ["f32[T*K, H]", "i32[T*K]", "f32[T, K]", "f32[T, H]", "f32[T, 1]"], {}, ["f32[T, H]"]],
    ["pack", ["bf16[E, 10, 7]", "bf16[E, 10, 7]"], { rows: 4, depth: 2 }, ["bf16[E, 3, 4, 8, 2]"]],
    ["pack", ["f32[8*I, H]"], { rows: 8, depth: 1 }, ["f32[I, H, 8, 1]"]],
    ["pack", ["f32[I, H]"], { rows: 8, depth: 2, blocks: { rows: 3, depth: 9 } }, ["f32[3, 9, 8, 2]"]],
  ];
  test.each(cases)("%s %j", (op, operands, attributes, expected) => {
    expect(infer(op, operands, attributes)).toEqual(expected);
  });

  const wrong: [string, string[], AttributeMap, string][] = [
    ["linear", ["f32[T, H]", "f32[H, I]"], {}, "inner dimensions differ: H vs I"],
    ["linear", ["f32[T, H]"], {}, "takes a tensor and at least one weight"],
    ["linear", ["f32[T, H]", "f32[E, I, H]"], {}, "a weight of linear is a float tensor [n, k]"],
    ["linear", ["f32[T, H]", "f32[I, H]", "f32[I, H]"], {}, "takes a function of 2 sums"],
    [
      "linear",
      ["f32[T, H]", "f32[I, H]", "f32[J, H]"],
      { epilogue: mulFn },
      "outer dimensions of the weights differ: I vs J",
    ],
    ["linear", ["f32[T, H]", "f32[I, H]"], { epilogue: mulFn }, "takes 2 numbers, but 1 is given"],
    ["linear", ["f32[T, H]", "f32[I, H]", "f32[I]"], { beside: ["columns"] }, "1 sums and 1 numbers beside them"],
    [
      "linear",
      ["f32[T, H]", "f32[I, H]", "f32[H]"],
      { beside: ["columns"], epilogue: mulFn },
      "columns beside the sums of linear are a float tensor [I], found f32[H]",
    ],
    [
      "grouped_linear",
      ["f32[S, H]", "i32[E + 1]", "f32[E, I, H]", "f32[S, I]"],
      { beside: ["expert_columns"], epilogue: mulFn },
      "expert_columns beside the sums of grouped_linear are a float tensor [E, I], found f32[S, I]",
    ],
    [
      "linear",
      ["f32[T, H]", "f32[I, H]", "f32[E, I]"],
      { beside: ["expert_columns"], epilogue: mulFn },
      "linear has no experts",
    ],
    [
      "linear",
      ["f32[T, H]", "f32[I, H]", "f32[I]"],
      { beside: ["bias"], epilogue: mulFn },
      "names what its last operands",
    ],
    ["head_linear", ["f32[T, A, H]", "f32[A, I, H]"], { beside: [] }, 'head_linear has no option "beside"'],
    ["linear", ["f32[T, H]", "f32[I, H]"], { result: "i8" }, 'result of linear is one of "f32", "f16", "bf16"'],
    ["linear", ["f32[T, H]", "f32[I, H]"], { top: 1 }, 'linear has no option "top"'],
    ["linear", ["i32[T, H]", "f32[I, H]"], {}, "linear multiplies a float tensor"],
    [
      "linear",
      ["f32[T, 5]", "f32[3, 2, 3, 4]"],
      { packed: { rows: 3, depth: 4 }, columns: 6 },
      "does not fit 6 columns",
    ],
    [
      "linear",
      ["f32[T, 5]", "f32[2, 2, 4, 4]"],
      { packed: { rows: 3, depth: 4 }, columns: 6 },
      "whole blocks of 3 rows",
    ],
    ["map", ["f32[T, H]", "f32[T, I]"], { fn: mulFn }, "dimensions differ: H vs I"],
    ["map", ["u8[T]"], { fn: fn(["x"], (x) => x) }, "map works on floats, found u8[T]"],
    ["map", ["i32[T]", "f32[T]"], { fn: mulFn }, "map works on floats or on i32, found i32[T] and f32[T]"],
    ["map", ["i32[T]"], { fn: fn(["x"], (x) => apply("exp", x)) }, "exp of i32 gives no whole number"],
    ["map", ["f32[T]"], {}, "map has no function"],
    [
      "map",
      ["f32[T]"],
      { fn: fn(["x"], () => variable("y", "f32")) },
      "uses y, which is not one of its parameters (x)",
    ],
    ["map", ["f32[T]"], { fn: fn(["x"], (x) => apply("lt", x, f32(0))) }, "gives bool, expected a number"],
    ["cast", ["f32[T]"], { to: "u8" }, "to of cast is one of"],
    ["cast", ["u8[T]"], { to: "f32" }, "cast takes floats or i32, found u8[T]"],
    ["route", ["f32[T, 8]"], { score: "softmax", top_k: 9 }, "top_k is 9, but there are only 8 experts"],
    ["route", ["f32[T, E]"], { score: "softmin", top_k: K }, 'score of route is one of "softmax"'],
    ["route", ["f32[T, E]"], { score: "none" }, "top_k of route is a whole number or a dimension, found nothing"],
    ["route", ["f32[T, E]"], { score: "none", top_k: 0 }, "top_k of route is 0, expected at least 1"],
    [
      "route",
      ["f32[T, E]"],
      { with: ["select_bias"], score: "none", top_k: K },
      "route takes logits, select_bias, found 1 operands",
    ],
    ["route", ["f32[T, E]", "f32[E]"], { score: "none", top_k: K }, "route takes logits, found 2 operands"],
    ["route", ["f32[T, E + Z]", "f32[E]"], { with: ["select_bias"], score: "none", top_k: K }, "differ: E + Z vs E"],
    ["index", ["f32[E, H]", "f32[]"], {}, "the expert of index holds whole numbers"],
    ["dispatch", ["i32[T]"], { ffn: E }, "has 2 dimensions [T, K]"],
    ["permute", ["f32[T, H]", "i32[T]"], { top_k: K }, "slots and tokens × top_k of permute differ: T vs K*T"],
    ["grouped_linear", ["f32[S, H]", "i32[E]", "f32[E, I, H]"], {}, "offsets and experts + 1 of grouped_linear differ"],
    ["grouped_linear", ["f32[S, H]", "i32[E + 1]", "f32[E, H, I]"], {}, "inner dimensions differ: H vs I"],
    ["combine", ["f32[T*K, H]", "i32[T*K]", "f32[T, K]", "f32[T, H]"], {}, "tokens together with their weights"],
    ["combine", ["f32[T, H]", "i32[T*K]", "f32[T, K]"], {}, "rows of y and slots of combine differ"],
    ["pack", ["f32[I, H]"], { rows: 8, depth: 2 }, "the number of blocks of 8 in I is not known"],
    [
      "pack",
      ["f32[9, 4]"],
      { rows: 8, depth: 2, blocks: { rows: 1, depth: 2 } },
      "9 has 2 blocks of 8, but pack says 1",
    ],
    ["zero_expert_weight", ["i32[T, K]", "f32[T, J]"], { ffn: E }, "experts per token of ids and weights"],
  ];
  test.each(wrong)("%s %j %j: %s", (op, operands, attributes, message) => {
    expect(() => infer(op, operands, attributes)).toThrow(message);
    expect(() => infer(op, operands, attributes)).toThrow(IrError);
  });

  test("an unknown op is named, with those that exist", () => {
    expect(() => opDefinition("convolution")).toThrow('there is no op "convolution"');
    expect(() => opDefinition("toString")).toThrow(IrError);
  });
});

describe("meanings, against numbers by hand", () => {
  const run = (...args: Parameters<typeof evaluateOp>) => evaluateOp(...args).results;

  test("linear", () => {
    const x = f32Tensor([2, 3], [1, 2, 3, -1, 0, 0.5]);
    const w = bf16Tensor([2, 3], [1, 0, -1, 2, 2, 2]);
    expect(numbers(run("linear", [x, w], {})[0])).toEqual([-2, 12, -1.5, -1]);
    expect(numbers(run("linear", [x, w, f32Tensor([2, 3], [0, 1, 0, 1, 0, 0])], { epilogue: mulFn })[0])).toEqual([
      -4, 12, -0, 1,
    ]);
    const vector = { ...f32Tensor([2], [10, 3]), bound: Float64Array.of(0, 0.5) };
    const [scaled] = run("linear", [x, w, vector], { beside: ["columns"], epilogue: mulFn });
    expect(numbers(scaled)).toEqual([-20, 36, -15, -3]);
    const [, second, , fourth] = scaled.bound ?? [];
    expect(second).toBeCloseTo(12 * 0.5);
    expect(fourth).toBeCloseTo(0.5);
  });

  test("products take numbers of columns, of an expert's columns, of rows and of elements beside their sums", () => {
    const x = f32Tensor([3, 1], [1, 2, 3]);
    const offsets = i32Tensor([3], [0, 1, 3]);
    const w = f32Tensor([2, 2, 1], [1, 10, 2, 20]);
    const beside = {
      columns: f32Tensor([2], [100, 1000]),
      expert_columns: f32Tensor([2, 2], [0, 1, 2, 3]),
      rows: f32Tensor([3, 1], [7, 8, 9]),
      elements: f32Tensor([3, 2], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
    };
    const attributes = {
      beside: Object.keys(beside),
      epilogue: fn(["s", "c", "e", "r", "x"], (...all) => all.reduce((a, b) => apply("add", a, b))),
    };
    const [made] = run("grouped_linear", [x, offsets, w, ...Object.values(beside)], attributes);
    const expected = [
      [1 + 100 + 0 + 7 + 0.1, 10 + 1000 + 1 + 7 + 0.2],
      [4 + 100 + 2 + 8 + 0.3, 40 + 1000 + 3 + 8 + 0.4],
      [6 + 100 + 2 + 9 + 0.5, 60 + 1000 + 3 + 9 + 0.6],
    ].flat();
    expect(numbers(made).map((value) => value.toFixed(4))).toEqual(expected.map((value) => value.toFixed(4)));
  });

  test("linear of packed weights is linear of the weights", () => {
    const x = f32Tensor([2, 3], [1, 2, 3, -1, 0, 0.5]);
    const w = f32Tensor([5, 3], [1, 0, -1, 2, 2, 2, 0, 0, 1, 4, 3, 2, -1, -1, 0]);
    const v = f32Tensor([5, 3], [0, 1, 0, 1, 0, 0, 2, 2, 0, 0, 0, 1, 1, 1, 1]);
    const packed = run("pack", [w, v], { rows: 2, depth: 2 })[0];
    expect(packed.dims).toEqual([3, 2, 4, 2]);
    expect(numbers(packed).slice(0, 16)).toEqual([1, 0, 2, 2, 0, 1, 1, 0, -1, 0, 2, 0, 0, 0, 0, 0]);
    const attributes = { packed: { rows: 2, depth: 2 }, columns: 5, epilogue: mulFn };
    const plain = run("linear", [x, w, v], { epilogue: mulFn })[0];
    const result = run("linear", [x, packed], attributes)[0];
    expect(result.dims).toEqual([2, 5]);
    expect(numbers(result)).toEqual(numbers(plain));
    expect(result.bound).toEqual(plain.bound);
  });

  test("map repeats dimensions of size 1 and missing ones", () => {
    const a = f32Tensor([2, 1], [10, 20]);
    const b = f32Tensor([3], [1, 2, 3]);
    expect(numbers(run("map", [a, b], { fn: mulFn })[0])).toEqual([10, 20, 30, 20, 40, 60]);
    const c = f32Tensor([2, 3], [1, 1, 1, 2, 2, 2]);
    expect(numbers(run("map", [f32Tensor([], [3]), c], { fn: mulFn })[0])).toEqual([3, 3, 3, 6, 6, 6]);
  });

  test("map over i32 computes whole numbers, and says where they leave 32 bits", () => {
    const quotient = fn(["x"], (x) => apply("floor", apply("div", x, f32(4))));
    const [y] = run("map", [i32Tensor([4], [7, -7, 8, 0])], { fn: quotient });
    expect(y).toEqual({ dtype: "i32", dims: [4], data: Int32Array.of(1, -2, 2, 0) });
    const large = i32Tensor([1], [2 ** 30]);
    expect(() => run("map", [large, large], { fn: mulFn })).toThrow(/map gives 11529215046068\d+, which is no i32/);
  });

  test("cast keeps the value and widens the bound; casting to f32 adds nothing", () => {
    const x = f32Tensor([2], [1.001, -3]);
    const [y] = run("cast", [x], { to: "bf16" });
    expect(numbers(y)).toEqual(numbers(x));
    expect(y.bound?.[0]).toBeCloseTo(1.001 * 2 ** -8, 8);
    expect(run("cast", [y], { to: "f32" })[0].bound).toEqual(y.bound);
    expect(run("cast", [f32Tensor([1], [1e6])], { to: "f16" })[0].bound?.[0]).toBe(Number.POSITIVE_INFINITY);
  });

  test("cast to i32 goes towards zero and stays in range; errors that may change the number show in the bound", () => {
    const most = 2 ** 31 - 128;
    const ends = [1e10, -1e10, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 2 ** 31];
    const [y] = run("cast", [f32Tensor([9], [1.75, -1.75, -0, ...ends])], { to: "i32" });
    expect(y).toMatchObject({ dtype: "i32", dims: [9] });
    expect(numbers(y)).toEqual([1, -1, 0, most, -(2 ** 31), most, -(2 ** 31), 0, most]);
    expect(y.bound).toBeUndefined();
    const x = { ...f32Tensor([3], [1.75, 2, -0.5]), bound: Float64Array.of(0.125, 0.125, 0.25) };
    expect(run("cast", [x], { to: "i32" })[0].bound).toEqual(Float64Array.of(0, 1, 0));
  });

  test("cast from i32 is exact where the float holds the number", () => {
    const x = i32Tensor([3], [-3, 2 ** 24, 2 ** 24 + 1]);
    const [y] = run("cast", [x], { to: "f32" });
    expect(numbers(y)).toEqual([-3, 2 ** 24, 2 ** 24 + 1]);
    expect(y.bound?.map((e) => Number(e >= 1))).toEqual(Float64Array.of(0, 0, 1));
    expect(run("cast", [i32Tensor([1], [7])], { to: "f32" })[0].bound).toBeUndefined();
    expect(run("cast", [i32Tensor([1], [257])], { to: "bf16" })[0].bound?.[0]).toBeGreaterThan(1);
  });

  test("index shares memory", () => {
    const w = bf16Tensor([3, 2], [1, 2, 3, 4, 5, 6]);
    const [y] = run("index", [w, i32Tensor([], [1])], {});
    expect(y).toMatchObject({ dtype: "bf16", dims: [2] });
    expect(y.data.buffer).toBe(w.data.buffer);
    expect(y.data).toEqual(w.data.slice(2, 4));
    expect(() => run("index", [w, i32Tensor([], [3])], {})).toThrow("expert 3 is outside 0 … 2");
  });

  const ids = i32Tensor([3, 2], [1, 4, 0, 1, 5, 3]);
  const weights = f32Tensor([3, 2], [0.5, 0.25, 1, 2, 3, 4]);

  test("zero_expert_weight", () => {
    const [y] = run("zero_expert_weight", [ids, weights], { ffn: 4 });
    expect(y.dims).toEqual([3, 1]);
    expect(numbers(y)).toEqual([0.25, 0, 3]);
  });

  test("dispatch sorts slots by expert, keeps their order, and leaves zero experts out", () => {
    const [offsets, slots, rows] = run("dispatch", [ids], { ffn: 4 });
    expect(numbers(offsets)).toEqual([0, 1, 3, 3, 4]);
    expect(numbers(slots)).toEqual([2, 0, 3, 5, -1, -1]);
    expect(numbers(rows)).toEqual([1, -1, 0, 2, -1, 3]);
  });

  test("permute", () => {
    const x = f32Tensor([3, 2], [1, 2, 3, 4, 5, 6]);
    const [y] = run("permute", [x, i32Tensor([6], [2, 0, 3, 5, -1, -1])], { top_k: 2 });
    expect(numbers(y)).toEqual([3, 4, 1, 2, 3, 4, 5, 6, Number.NaN, Number.NaN, Number.NaN, Number.NaN]);
  });

  test("grouped_linear uses each row's expert, and reads tokens in place with gather", () => {
    const w = f32Tensor([2, 1, 2], [1, 1, 10, 100]);
    const offsets = i32Tensor([3], [0, 1, 3]);
    const rows = f32Tensor([4, 2], [1, 2, 3, 4, 5, 6, 7, 8]);
    expect(numbers(run("grouped_linear", [rows, offsets, w], {})[0])).toEqual([3, 430, 650, Number.NaN]);
    const x = f32Tensor([2, 2], [1, 2, 3, 4]);
    const slots = i32Tensor([4], [3, 0, 2, -1]);
    expect(numbers(run("grouped_linear", [x, offsets, slots, w], { gather: 2 })[0])).toEqual([7, 210, 430, Number.NaN]);
    const broken = i32Tensor([3], [0, 2, 1]);
    expect(() => run("grouped_linear", [rows, broken, w], {})).toThrow("offset 2 is 1, expected 2 … 4");
  });

  test("grouped_linear of packed weights is that of the weights", () => {
    const w = f32Tensor([2, 3, 2], [1, 1, 10, 100, 2, 0, 0, 3, 1, 4, 5, 6]);
    const rows = f32Tensor([3, 2], [1, 2, 3, 4, 5, 6]);
    const offsets = i32Tensor([3], [0, 1, 3]);
    const packed = run("pack", [w], { rows: 2, depth: 3 })[0];
    expect(packed.dims).toEqual([2, 2, 1, 2, 3]);
    const attributes = { packed: { rows: 2, depth: 3 }, columns: 3 };
    expect(run("grouped_linear", [rows, offsets, packed], attributes)).toEqual(
      run("grouped_linear", [rows, offsets, w], {}),
    );
  });

  test("combine", () => {
    const y = f32Tensor([4, 1], [3, 430, 650, Number.NaN]);
    const rows = i32Tensor([4], [1, -1, 2, 0]);
    const w = f32Tensor([2, 2], [2, 9, 0.5, 1]);
    expect(numbers(run("combine", [y, rows, w], {})[0])).toEqual([860, 328]);
    const x = f32Tensor([2, 1], [7, 8]);
    const xw = f32Tensor([2, 1], [10, 0]);
    expect(numbers(run("combine", [y, rows, w, x, xw], {})[0])).toEqual([930, 328]);
  });
});

describe("work", () => {
  const flops = (op: string, operands: string[], attributes: AttributeMap, dims: Record<string, number>) => {
    const types = operands.map(type);
    const definition = opDefinition(op);
    return definition.flops(types, attributes, definition.infer(types, attributes, []), dims);
  };
  const dims = { T: 2, K: 3, E: 4, Z: 2, H: 8, I: 5, N: 7 };

  test.each<[string, string[], AttributeMap, number]>([
    ["linear", ["f32[T, H]", "f32[I, H]"], {}, 2 * 2 * 5 * 8],
    ["linear", ["f32[T, H]", "f32[I, H]", "f32[I, H]"], { epilogue: mulFn }, 2 * 5 * (2 * 2 * 8 + 1)],
    ["linear", ["f32[T, H]", "f32[I, H]", "f32[I]"], { beside: ["columns"], epilogue: mulFn }, 2 * 5 * (2 * 8 + 1)],
    [
      "linear",
      ["f32[T, 5]", "f32[2, 2, 6, 4]"],
      { packed: { rows: 3, depth: 4 }, columns: 6, epilogue: mulFn },
      2 * 6 * (2 * 2 * 5 + 1),
    ],
    ["map", ["f32[T, H]"], { fn: fn(["x"], (x) => apply("add", apply("exp", x), f32(1))) }, 2 * 8 * 2],
    ["route", ["f32[T, E]"], { score: "softmax", top_k: K, renormalise: "sum", scale: 2 }, 2 * 4 * 4 + 2 * 3 * 3],
    ["grouped_linear", ["f32[T, H]", "i32[E + 1]", "i32[T*K]", "f32[E, I, H]"], { gather: K }, 6 * 2 * 5 * 8],
    ["combine", ["f32[T*K, H]", "i32[T*K]", "f32[T, K]"], {}, 2 * 6 * 8],
    ["dispatch", ["i32[T, K]"], { ffn: E }, 0],
  ])("%s %j %j", (op, operands, attributes, expected) => {
    expect(flops(op, operands, attributes, dims)).toBe(expected);
  });

  test("grouped ops count the routed rows where they are known", () => {
    const operands = ["f32[S, H]", "i32[E + 1]", "f32[E, I, H]"];
    expect(flops("grouped_linear", operands, {}, { ...dims, S: 6, rows: 4 })).toBe(4 * 2 * 5 * 8);
  });

  test("every op says what it is", () => {
    for (const name of opNames) expect(opDefinition(name)).toMatchObject({ name, summary: expect.stringMatching(/→/) });
  });
});
