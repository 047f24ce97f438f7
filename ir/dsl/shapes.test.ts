import { describe, expect, test } from "vitest";
import {
  add,
  concat,
  gather,
  layer,
  map,
  ngramIds,
  reshape,
  scatter,
  slice,
  type Tensor,
  tensor,
  transpose,
} from "./index.ts";

/** Functions that move elements, on concrete tensors. */

const text = (t: unknown): string => String(t).replace(/\s+/g, " ");
const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe("reshape", () => {
  const heads = layer({ A: 2, D: 3 }, (_, x: Tensor<["T", "A*D"]>) => reshape(x, ["T", "A", "D"]));

  test("takes parameters' values from the layer, and what is left from the number of elements", () => {
    expect(text(heads(tensor([2, 6], count(12))))).toBe(
      "f32[2, 2, 3] [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]",
    );
    expect(text(heads.with({ A: 3, D: 1 })(tensor([1, 3], [7, 8, 9])))).toBe("f32[1, 3, 1] [[[7], [8], [9]]]");
    expect(text(heads(tensor([0, 6], [])))).toBe("f32[0, 2, 3] []");
    const sums = layer({ A: 2 }, (p, x: Tensor<["T", "2*A"]>) => reshape(x, ["2*T", p.A]));
    expect(text(sums(tensor([2, 4], count(8))))).toBe("f32[4, 2] [[0, 1], [2, 3], [4, 5], [6, 7]]");
  });

  test("says what it does not know, and what does not fit", () => {
    const open = layer({ A: 2 }, (_, x: Tensor<["T", "S"]>) => reshape(x, ["S", "T"]));
    expect(() => open(tensor([2, 3], count(6)))).toThrow("reshape to [S, T]: the values of S and T are not known");
    expect(() => heads(tensor([1, 5], count(5)))).toThrow("5 elements are no multiple of 6");
    const fixed = layer({ A: 2 }, (_, x: Tensor<["A", "A"]>) => reshape(x, ["A*A"]));
    expect(() => fixed(tensor([2, 3], count(6)))).toThrow("element counts differ");
  });

  test("outside of a layer no name has a value, also after a layer failed", () => {
    expect(() => heads(tensor([1, 5], count(5)))).toThrow();
    const x = tensor([2, 3], count(6)) as unknown as Tensor<["A", "D"]>;
    expect(() => reshape(x, ["D", "A"])).toThrow("D and A are not known");
    expect(text(reshape(x, ["A*D"]))).toBe("f32[6] [0, 1, 2, 3, 4, 5]");
  });
});

test("concat joins along a dimension from either end, of any dtype", () => {
  const join = layer({}, (_, a: Tensor<["P", 2], "i32">, b: Tensor<["T", 2], "i32">) => ({
    rows: concat([a, b], 0),
    again: concat([a, b, b], -2),
  }));
  const { rows, again } = join(tensor([1, 2], [1, 2], "i32"), tensor([2, 2], [3, 4, 5, 6], "i32"));
  expect(text(rows)).toBe("i32[3, 2] [[1, 2], [3, 4], [5, 6]]");
  expect(text(again)).toBe("i32[5, 2] [[1, 2], [3, 4], [5, 6], [3, 4], [5, 6]]");
  const beside = layer({}, (_, a: Tensor<["T", 2]>, b: Tensor<["T", 1]>) => concat([a, b], -1));
  expect(text(beside(tensor([2, 2], count(4)), tensor([2, 1], [8, 9])))).toBe("f32[2, 3] [[0, 1, 8], [2, 3, 9]]");
  const wrong = layer({}, (_, a: Tensor<["T", 2]>) => concat([a, a], 2 as number));
  expect(() => wrong(tensor([1, 2], [1, 2]))).toThrow("concat along dimension 2 of a tensor with 2 dimensions");
});

describe("slice", () => {
  const cached = layer({ H: 2 }, (_, x: Tensor<["P+T", "H"]>) => slice(x, "P", "T", { axis: 0 }));

  test("takes run-time sizes that the layer is given", () => {
    expect(text(cached.at({ P: 1, T: 2 })(tensor([3, 2], count(6))))).toBe("f32[2, 2] [[2, 3], [4, 5]]");
    expect(text(cached.at({ P: 3 }).with({ H: 1 }).at({ T: 0 })(tensor([3, 1], count(3))))).toBe("f32[0, 1] []");
    expect(() => cached.at({ P: 1 })(tensor([3, 2], count(6)))).toThrow(
      "count of slice is T: the value of T is not known",
    );
    expect(() => cached.at({ P: 2, T: 2 })(tensor([3, 2], count(6)))).toThrow("needs 4 elements, but there are 3");
  });

  test("takes columns where no dimension is named, and leaves some out", () => {
    const x = tensor([2, 4], count(8)) as unknown as Tensor<["T", 4]>;
    expect(text(slice(x, 1, 2))).toBe("f32[2, 2] [[1, 2], [5, 6]]");
    expect(text(slice(x, 1, 2, { step: 2 }))).toBe("f32[2, 2] [[1, 3], [5, 7]]");
    expect(() => slice(x, 0, 1, { axis: 2 })).toThrow("slice along dimension 2 of a tensor with 2 dimensions");
  });
});

test("transpose orders dimensions", () => {
  const x = tensor([2, 3], count(6)) as unknown as Tensor<["T", "H"]>;
  expect(text(transpose(x, [1, 0]))).toBe("f32[3, 2] [[0, 3], [1, 4], [2, 5]]");
});

test("gather and scatter find rows by ids; outside, the nearest row is read and none is written", () => {
  const cache = layer({}, (_, x: Tensor<["P", 2]>, ids: Tensor<["T"], "i32">, rows: Tensor<["T", 2]>) => ({
    read: gather(x, ids),
    written: scatter(x, ids, rows),
  }));
  const x = tensor([3, 2], count(6));
  const { read, written } = cache(
    x,
    tensor([4], [2, -1, 2, 9], "i32"),
    tensor([4, 2], [10, 11, 12, 13, 14, 15, 16, 17]),
  );
  expect(text(read)).toBe("f32[4, 2] [[4, 5], [0, 1], [4, 5], [4, 5]]");
  expect(text(written)).toBe("f32[3, 2] [[0, 1], [2, 3], [14, 15]]");
  const pairs = layer({}, (_, x: Tensor<["P"], "i32">, ids: Tensor<["T", 2], "i32">) => gather(x, ids));
  expect(text(pairs(tensor([3], [7, 8, 9], "i32"), tensor([1, 2], [2, 0], "i32")))).toBe("i32[1, 2] [[9, 7]]");
});

test("ngramIds numbers n-grams, of whole numbers alone", () => {
  const tokens = tensor([3], [3, 7, 1], "i32") as unknown as Tensor<["T"], "i32">;
  const previous = tensor([1], [8], "i32") as unknown as Tensor<[1], "i32">;
  const found = ngramIds(tokens, previous, { heads: 2, rows: 100, vocab: 10, eos: 7 });
  expect(text(found)).toBe("i32[3, 2] [[83, 83], [37, 37], [1, 1]]");
  expect(() => ngramIds(tokens, previous, { heads: 0, rows: 9, vocab: 9 })).toThrow("heads of ngram_ids is 0");
});

test("elementwise functions of i32 give i32", () => {
  const ids = tensor([3], [5, -5, 8], "i32") as unknown as Tensor<["T"], "i32">;
  expect(text(add(ids, 1))).toBe("i32[3] [6, -4, 9]");
  expect(text(map(ids, (i) => Math.floor(i / 3)))).toBe("i32[3] [1, -2, 2]");
  expect(() => map(ids, (i) => i / 2)).toThrow("map gives 2.5, which is no i32");
  expect(() => add(ids, 0.5)).toThrow("0.5 is no whole number");
});
