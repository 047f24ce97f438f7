/** The types that functions give: dimensions and dtypes as far as the type system knows them. */
import { expectTypeOf, test } from "vitest";
import {
  add,
  argMax,
  cast,
  concat,
  type Expert,
  gather,
  layer,
  linear,
  map,
  mul,
  reshape,
  route,
  slice,
  softmax,
  sum,
  type Tensor,
  tensor,
  transpose,
} from "./index.ts";

/** For the types only: what stands in the functions below is never called. */
declare const x: Tensor<["T", "H"]>;
declare const up: Tensor<["I", "H"], "bf16">;
declare const gate: Tensor<["E", "I", "H"]>;
declare const bias: Tensor<["I"], "f32">;
declare const ids: Tensor<["T"], "i32">;

test("products, elementwise functions and reductions", () => {
  expectTypeOf(() => linear(x, up)).returns.toEqualTypeOf<Tensor<["T", "I"], "f32">>();
  expectTypeOf(() => add(linear(x, up), bias)).returns.toEqualTypeOf<Tensor<["T", "I"], "f32">>();
  expectTypeOf(() => mul(2, x)).returns.toEqualTypeOf<Tensor<["T", "H"], "f32">>();
  expectTypeOf(() => mul(2, 3)).returns.toEqualTypeOf<number>();
  expectTypeOf(() => map(x, (v) => v + 1)).returns.toEqualTypeOf<Tensor<["T", "H"], "f32">>();
  expectTypeOf(() => cast(x, "bf16")).returns.toEqualTypeOf<Tensor<["T", "H"], "bf16">>();
  expectTypeOf(() => sum(x)).returns.toEqualTypeOf<Tensor<["T", 1], "f32">>();
  expectTypeOf(() => softmax(x)).returns.toEqualTypeOf<Tensor<["T", "H"], "f32">>();
  expectTypeOf(() => argMax(x)).returns.toExtend<Tensor<["T"], "i32">>();
});

test("shapes", () => {
  expectTypeOf(() => slice(x, 0, "I")).returns.toExtend<Tensor<["T", "I"]>>();
  expectTypeOf(() => concat([x, x], -1)).returns.toExtend<Tensor<["T", "H+H"]>>();
  expectTypeOf(() => reshape(gate, ["E", "I*H"])).returns.toExtend<Tensor<["E", "I*H"]>>();
  expectTypeOf(() => transpose(gate, [1, 0, 2])).returns.toExtend<Tensor<["I", "E", "H"]>>();
  expectTypeOf(() => gather(gate, ids)).returns.toExtend<Tensor<["T", "I", "H"]>>();
});

test("routers, experts and layers", () => {
  const routed = () => route(linear(x, up), { score: "none", topK: 2, experts: { ffn: 4 } });
  expectTypeOf(() => routed().ids).returns.toEqualTypeOf<Tensor<["T", number], "i32">>();
  expectTypeOf(() =>
    routed().mix(x, (token, e, weight) => {
      expectTypeOf(token).toExtend<Tensor<["H"]>>();
      expectTypeOf(e).toEqualTypeOf<Expert>();
      expectTypeOf(weight).toEqualTypeOf<Tensor<[1], "f32">>();
      return linear(token, gate[e]);
    }),
  ).returns.toEqualTypeOf<Tensor<["T", "I"], "f32">>();
  const example = layer({ H: 4 }, (p, x: Tensor<["T", "H"]>) => {
    expectTypeOf(p).toEqualTypeOf<{ H: number }>();
    return { y: add(x, x), ids: argMax(x) };
  });
  expectTypeOf(example.params).toEqualTypeOf<{ H: number }>();
  expectTypeOf(example)
    .parameter(0)
    .toEqualTypeOf(tensor([1, 4], [1, 2, 3, 4]));
});
