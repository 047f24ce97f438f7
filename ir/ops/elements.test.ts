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
