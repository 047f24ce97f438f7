import { describe, expect, test } from "vitest";
import { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import { type DType, formatType, tensorType } from "../core/types.ts";
import { opDefinition } from "./index.ts";
import { bf16Tensor, evaluateOp, f32Tensor, i32Tensor, numbers } from "./testing.ts";

/** Ops that move elements. */

const type = (dtype: DType, ...dims: (string | number)[]) => tensorType(dtype, dims);
const infer = (op: string, operands: ReturnType<typeof type>[], attributes: AttributeMap): string =>
  opDefinition(op).infer(operands, attributes, []).map(formatType).join();
const dims = (...list: (string | number)[]): AttributeMap => ({ dims: list.map((d) => Dim.of(d)) });
const one = (...args: Parameters<typeof evaluateOp>) => evaluateOp(...args).results[0];

describe("reshape", () => {
  test("keeps dtype and the number of elements, as a polynomial", () => {
    expect(infer("reshape", [type("bf16", "T", "A*D")], dims("T", "A", "D"))).toBe("bf16[T, A, D]");
    expect(infer("reshape", [type("i32", "E + Z", 2)], dims("2*E + 2*Z"))).toBe("i32[2*E + 2*Z]");
    expect(infer("reshape", [type("f32", 4, 6)], dims(8, 3, 1))).toBe("f32[8, 3, 1]");
    expect(() => infer("reshape", [type("f32", "T", "H")], dims("T", "A", "D"))).toThrow(
      "element counts differ: f32[T, H] has H*T elements, [T, A, D] has A*D*T",
    );
    expect(() => infer("reshape", [type("f32", 4)], dims(2, 3))).toThrow("element counts differ");
    expect(() => infer("reshape", [type("f32", 4)], {})).toThrow("dims of reshape is a list of dimensions");
    expect(() => infer("reshape", [type("f32", 4)], { dims: ["T"] })).toThrow("dims[0] of reshape");
  });

  test("keeps elements and bounds in their order", () => {
    const x = { ...f32Tensor([2, 3], [1, 2, 3, 4, 5, 6]), bound: Float64Array.of(1, 2, 3, 4, 5, 6) };
    const y = one("reshape", [x], dims(3, 2));
    expect(y).toMatchObject({ dtype: "f32", dims: [3, 2] });
    expect(numbers(y)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(y.bound).toEqual(x.bound);
    expect(one("reshape", [f32Tensor([0, 4], [])], dims(0, 2, 2)).dims).toEqual([0, 2, 2]);
  });
});

describe("concat", () => {
  test("adds the joined dimensions", () => {
    const [p, t] = [type("f32", "P", "H"), type("f32", "T", "H")];
    expect(infer("concat", [p, t, t], { axis: -2 })).toBe("f32[P + 2*T, H]");
    expect(infer("concat", [t, type("f32", "T", 3)], { axis: -1 })).toBe("f32[T, H + 3]");
    expect(infer("concat", [type("bf16", 2), type("f32", 3)], { axis: -1 })).toBe("f32[5]");
    expect(infer("concat", [type("bf16", 2), type("bf16", 3)], { axis: -1 })).toBe("bf16[5]");
  });

  test.each<[Parameters<typeof infer>[1], AttributeMap, string]>([
    [[type("f32", "T", "H"), type("f32", "T", "I")], { axis: -2 }, "dimensions differ: H vs I"],
    [[type("f32", "T", "H"), type("f32", "T")], { axis: -1 }, "equally many dimensions"],
    [[type("f32", "T"), type("i32", "T")], { axis: -1 }, "one dtype, found f32 and i32"],
    [[type("f32", "T")], { axis: -2 }, "too few dimensions"],
    [[type("f32", "T")], { axis: 0 }, "axis of concat is a dimension counted from the last"],
    [[], { axis: -1 }, "at least one tensor"],
  ])("%j %j: %s", (operands, attributes, message) => {
    expect(() => infer("concat", operands, attributes)).toThrow(message);
  });

  test("joins along any dimension, also of no size", () => {
    const [a, b] = [f32Tensor([2, 1], [1, 2]), f32Tensor([2, 2], [3, 4, 5, 6])];
    expect(numbers(one("concat", [a, b], { axis: -1 }))).toEqual([1, 3, 4, 2, 5, 6]);
    expect(numbers(one("concat", [b, f32Tensor([0, 2], []), b], { axis: -2 }))).toEqual([3, 4, 5, 6, 3, 4, 5, 6]);
    const ids = one("concat", [i32Tensor([1, 1, 2], [1, 2]), i32Tensor([1, 2, 2], [3, 4, 5, 6])], { axis: -2 });
    expect(ids).toMatchObject({ dtype: "i32", dims: [1, 3, 2], data: Int32Array.of(1, 2, 3, 4, 5, 6) });
  });

  test("keeps bounds where there are any, and widens bf16", () => {
    const x = { ...f32Tensor([1], [1]), bound: Float64Array.of(0.5) };
    const y = one("concat", [bf16Tensor([2], [2, 3]), x], { axis: -1 });
    expect(y.dtype).toBe("f32");
    expect(numbers(y)).toEqual([2, 3, 1]);
    expect(y.bound).toEqual(Float64Array.of(0, 0, 0.5));
  });
});

describe("slice", () => {
  const [P, T, I] = ["P", "T", "I"].map((name) => Dim.symbol(name));
  const part = (axis: number, start: Dim | number, taken: Dim | number, step = 1): AttributeMap => ({
    axis,
    start,
    count: taken,
    step,
  });

  test("takes whole numbers and dimensions of any axis", () => {
    expect(infer("slice", [type("i32", "P + T", "H")], part(-2, P as Dim, T as Dim))).toBe("i32[T, H]");
    expect(infer("slice", [type("bf16", "E", "2*I", "H")], part(-2, I as Dim, I as Dim))).toBe("bf16[E, I, H]");
    expect(() => infer("slice", [type("f32", "T", 4)], part(-1, 1, 2, 3))).toThrow(
      "a slice of 2 from 1 on in steps of 3 needs 5 elements, but there are 4",
    );
    expect(() => infer("slice", [type("f32", "T")], part(-2, 0, 1))).toThrow("too few dimensions");
    expect(() => infer("slice", [type("f32", "T")], part(0, 0, 1))).toThrow(
      "axis of slice is a dimension counted from",
    );
  });

  test("with the parameters' values, a run-time size that need not fit is refused", () => {
    const check = (x: ReturnType<typeof type>, attributes: AttributeMap) =>
      opDefinition("slice").checkSizes?.([x], attributes);
    check(type("f32", "P + T", 4), part(-2, P as Dim, T as Dim));
    check(type("f32", "P + T", 4), part(-2, 0, T as Dim));
    expect(() => check(type("f32", "T", 4), part(-2, 0, P as Dim))).toThrow("needs P elements, but there are T");
    expect(() => check(type("f32", "T", 4), part(-2, 1, T as Dim))).not.toThrow();
    expect(() => infer("slice", [type("f32", "T", 4)], part(-2, 1, T as Dim))).toThrow("needs T + 1 elements");
  });

  test("keeps elements and bounds", () => {
    const x = { ...f32Tensor([3, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), bound: new Float64Array(12).fill(2) };
    expect(numbers(one("slice", [x], part(-3, 1, 2)))).toEqual([5, 6, 7, 8, 9, 10, 11, 12]);
    expect(numbers(one("slice", [x], part(-3, 0, 2, 2)))).toEqual([1, 2, 3, 4, 9, 10, 11, 12]);
    expect(numbers(one("slice", [x], part(-2, 1, 1)))).toEqual([3, 4, 7, 8, 11, 12]);
    expect(numbers(one("slice", [x], part(-1, 1, 1)))).toEqual([2, 4, 6, 8, 10, 12]);
    expect(one("slice", [x], part(-1, 1, 1)).bound).toEqual(new Float64Array(6).fill(2));
    expect(one("slice", [i32Tensor([2], [7, 8])], part(-1, 1, 1)).data).toEqual(Int32Array.of(8));
    expect(one("slice", [f32Tensor([0, 2], [])], part(-2, 0, 0)).dims).toEqual([0, 2]);
  });
});

describe("transpose", () => {
  test("orders dimensions", () => {
    expect(infer("transpose", [type("bf16", "T", "A", "D")], { order: [1, 2, 0] })).toBe("bf16[A, D, T]");
    for (const order of [[0], [0, 0], [1, 2], [0, 1, 2], "ab"])
      expect(() => infer("transpose", [type("f32", "T", "H")], { order })).toThrow("there are 2 dimensions");
  });

  test("moves elements and bounds", () => {
    const x = { ...f32Tensor([2, 3], [1, 2, 3, 4, 5, 6]), bound: Float64Array.of(1, 2, 3, 4, 5, 6) };
    const y = one("transpose", [x], { order: [1, 0] });
    expect(y.dims).toEqual([3, 2]);
    expect(numbers(y)).toEqual([1, 4, 2, 5, 3, 6]);
    expect(y.bound).toEqual(Float64Array.of(1, 4, 2, 5, 3, 6));
    const cube = i32Tensor([2, 2, 2], [0, 1, 2, 3, 4, 5, 6, 7]);
    expect(numbers(one("transpose", [cube], { order: [2, 0, 1] }))).toEqual([0, 2, 4, 6, 1, 3, 5, 7]);
    expect(numbers(one("transpose", [cube], { order: [1, 0, 2] }))).toEqual([0, 1, 4, 5, 2, 3, 6, 7]);
  });
});

describe("gather", () => {
  test("has the dimensions of the ids, then those of a row", () => {
    expect(infer("gather", [type("bf16", "V", "H"), type("i32", "T", "K")], {})).toBe("bf16[T, K, H]");
    expect(infer("gather", [type("i32", "V"), type("i32")], {})).toBe("i32[]");
    expect(() => infer("gather", [type("f32", "V", "H"), type("f32", "T")], {})).toThrow("the ids of gather are i32");
    expect(() => infer("gather", [type("f32"), type("i32", "T")], {})).toThrow(
      "rows of a tensor [V, ...], found f32[]",
    );
    expect(() => infer("gather", [type("f32", "V")], {})).toThrow("a tensor and ids of its rows");
  });

  test("reads the nearest row where there is none of an id, and zeros where there is none at all", () => {
    const x = { ...f32Tensor([2, 2], [1, 2, 3, 4]), bound: Float64Array.of(1, 2, 3, 4) };
    const y = one("gather", [x, i32Tensor([2, 2], [1, 0, -7, 9])], {});
    expect(y.dims).toEqual([2, 2, 2]);
    expect(numbers(y)).toEqual([3, 4, 1, 2, 1, 2, 3, 4]);
    expect(y.bound).toEqual(Float64Array.of(3, 4, 1, 2, 1, 2, 3, 4));
    expect(numbers(one("gather", [f32Tensor([0, 2], []), i32Tensor([1], [0])], {}))).toEqual([0, 0]);
  });
});

describe("scatter", () => {
  const [x, ids, rows] = [type("f32", "V", "H"), type("i32", "R"), type("f32", "R", "H")];

  test("keeps the dimensions", () => {
    expect(infer("scatter", [x, ids, rows], {})).toBe("f32[V, H]");
    expect(infer("scatter", [type("bf16", "V", "H"), ids, rows], {})).toBe("f32[V, H]");
    const wrong: [ReturnType<typeof type>[], string][] = [
      [[x, ids, type("f32", "T", "H")], "ids and rows of scatter differ: R vs T"],
      [[x, ids, type("f32", "R", "I")], "rows of f32[V, H] cannot be replaced by f32[R, I]"],
      [[x, type("i32", "R", 1), rows], "ids of scatter has 1 dimension [R]"],
      [[type("f32", "V"), ids, type("f32", "R")], "rows of a tensor [V, ...], found f32[V]"],
      [[x, ids, type("i32", "R", "H")], "one dtype, found f32 and i32"],
    ];
    for (const [operands, message] of wrong) expect(() => infer("scatter", operands, {})).toThrow(message);
  });

  test("the last of equal ids wins, and ids of no row are skipped", () => {
    const table = f32Tensor([3, 1], [1, 2, 3]);
    const given = { ...f32Tensor([4, 1], [10, 11, 12, 13]), bound: Float64Array.of(1, 2, 3, 4) };
    const y = one("scatter", [table, i32Tensor([4], [2, -1, 2, 3]), given], {});
    expect(numbers(y)).toEqual([1, 2, 12]);
    expect(y.bound).toEqual(Float64Array.of(0, 0, 3));
  });
});
