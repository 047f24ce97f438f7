import { expect, test } from "vitest";
import { tensorType } from "../core/types.ts";
import { opDefinition } from "./index.ts";
import { evaluateOp, f32Tensor, numbers, randomF32, uniform } from "./testing.ts";

test("multiplies each head by its own matrix", () => {
  const x = f32Tensor([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]);
  const w = f32Tensor([2, 1, 2], [1, 10, 100, 1000]);
  expect(numbers(evaluateOp("head_linear", [x, w], {}).results[0])).toEqual([21, 4300, 65, 8700]);
});

test("is linear for each head, with its bounds (seed 5)", () => {
  const random = uniform(5);
  const exact = randomF32([3, 2, 20], random);
  const [x] = evaluateOp("cast", [exact], { to: "bf16" }).results;
  const w = randomF32([2, 4, 20], random);
  const [y] = evaluateOp("head_linear", [x, w], { result: "bf16" }).results;
  expect([y.dtype, ...y.dims]).toEqual(["bf16", 3, 2, 4]);
  for (const a of [0, 1]) {
    const rows = [0, 1, 2].flatMap((t) => Array.from(exact.data.slice((t * 2 + a) * 20, (t * 2 + a + 1) * 20)));
    const [own] = evaluateOp("cast", [f32Tensor([3, 20], rows)], { to: "bf16" }).results;
    const [z] = evaluateOp("linear", [own, f32Tensor([4, 20], w.data.slice(a * 80, a * 80 + 80) as Float32Array)], {
      result: "bf16",
    }).results;
    z.data.forEach((value, i) => {
      const at = (Math.floor(i / 4) * 2 + a) * 4 + (i % 4);
      expect(y.data[at]).toBe(value);
      expect(y.bound?.[at]).toBe(z.bound?.[i]);
    });
  }
});

test("works on no tokens, and counts its work", () => {
  const [y] = evaluateOp(
    "head_linear",
    [f32Tensor([0, 2, 3], []), f32Tensor([2, 5, 3], new Float32Array(30))],
    {},
  ).results;
  expect(y.dims).toEqual([0, 2, 5]);
  const types = [tensorType("f32", ["T", 2, 3]), tensorType("f32", [2, 5, 3])];
  const definition = opDefinition("head_linear");
  expect(definition.flops(types, {}, definition.infer(types, {}, []), { T: 7 })).toBe(2 * 7 * 2 * 3 * 5);
});

test.each([
  [["T", 2, 3], [2, 5, 4], "inner dimensions differ: 3 vs 4"],
  [["T", 2, 3], [3, 5, 3], "numbers of heads differ: 2 vs 3"],
  [["T", 3], [2, 5, 3], "x of head_linear has 3 dimensions [T, A, k]"],
  [["T", 2, 3], [5, 3], "a weight of head_linear is a float tensor [A, n, k]"],
] as const)("refuses %j by %j", (x, w, message) => {
  expect(() => opDefinition("head_linear").infer([tensorType("f32", x), tensorType("f32", w)], {}, [])).toThrow(
    message,
  );
});
