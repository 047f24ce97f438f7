import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { longcatMoe } from "../../examples/longcat-moe.ts";
import { compileSource, memoryHost } from "../frontend/index.ts";
import { interpret } from "../interpreter/index.ts";
import {
  type AnyTensor,
  add,
  type ConcreteTensor,
  type Expert,
  layer,
  linear,
  map,
  max,
  mul,
  range,
  route,
  sigmoid,
  silu,
  softplus,
  type Tensor,
  tanh,
  tensor,
} from "./index.ts";

/** Numbers in (−1, 1), the same for the same seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

const numbers = (t: ConcreteTensor | AnyTensor): number[] => [...(t as ConcreteTensor).data];
/** For stepping outside of a layer: a concrete tensor where the type system expects a symbolic one. */
const given = <D extends readonly (string | number)[]>(t: ConcreteTensor): Tensor<D> => t as unknown as Tensor<D>;

const cases = [
  { seed: 1, T: 5, params: { H: 6, I: 4, E: 4, Z: 2, K: 3, scale: 6 } },
  { seed: 2, T: 3, params: { H: 4, I: 2, E: 3, Z: 0, K: 1, scale: 1 } },
  { seed: 3, T: 0, params: { H: 4, I: 2, E: 3, Z: 1, K: 2, scale: 2 } },
  // More identity experts than others, with a bias that always chooses them.
  { seed: 4, T: 2, params: { H: 3, I: 2, E: 1, Z: 4, K: 2, scale: 2 }, bias: [-9, 9, 9, 9, 9] },
];

test.each(cases)(
  "the example as a function equals the interpreter (seed $seed, T $T)",
  async ({ seed, T, params, bias }) => {
    const { H, I, E, Z } = params;
    const next = random(seed);
    const make = (...dims: number[]): ConcreteTensor =>
      tensor(dims, Array.from({ length: dims.reduce((a, b) => a * b, 1) }, next));
    const x = make(T, H);
    const w = {
      router: make(E + Z, H),
      bias: bias === undefined ? make(E + Z) : tensor([E + Z], bias),
      gate: make(E, I, H),
      up: make(E, I, H),
      down: make(E, H, I),
    };
    const y = longcatMoe.with(params)(x, w);
    const entry = "examples/longcat-moe.ts";
    const host = memoryHost({ [entry]: readFileSync(entry, "utf8") });
    const compiled = await compileSource({ host, entry, params });
    const { results } = interpret(compiled, { dims: { T }, tensors: new Map(Object.entries({ x, ...w })) });
    const expected = results.get("y") as ConcreteTensor;
    expect(y.dims).toEqual([T, H]);
    numbers(y).forEach((v, i) => {
      expect(v).toBeCloseTo(Number(expected.data[i]), 12);
    });
  },
);

test("functions on numbers and on tensors agree", () => {
  const x = given<["N"]>(tensor([5], [-30, -1, 0, 0.5, 30]));
  for (const f of [silu, sigmoid, tanh, softplus]) {
    expect(numbers(f(x))).toEqual([-30, -1, 0, 0.5, 30].map((v) => f(v)));
  }
  expect(tanh(0.5)).toBeCloseTo(Math.tanh(0.5), 12);
  expect(softplus(-30)).toBeCloseTo(Math.log1p(Math.exp(-30)), 12);
  expect(numbers(max(x, 0))).toEqual([0, 0, 0, 0.5, 30]);
  expect(max(1, 2)).toBe(2);
});

test("elementwise functions broadcast, also an own function", () => {
  const a = given<["T", "H"]>(tensor([2, 3], [1, 2, 3, 4, 5, 6]));
  const row = given<["H"]>(tensor([3], [10, 20, 30]));
  const column = given<["T", 1]>(tensor([2, 1], [100, 200]));
  expect(numbers(add(a, row))).toEqual([11, 22, 33, 14, 25, 36]);
  expect(numbers(map(a, row, column, (p, q, r) => p + q + r))).toEqual([111, 122, 133, 214, 225, 236]);
  expect(numbers(mul(2, a))).toEqual([2, 4, 6, 8, 10, 12]);
});

test("the body of mix is called for one token and one chosen expert at a time", () => {
  const logits = given<["T", "E"]>(tensor([2, 3], [0, 2, 1, 3, 0, 1]));
  const x = given<["T", "H"]>(tensor([2, 2], [1, 2, 3, 4]));
  const seen: string[] = [];
  const routing = route(logits, { score: "none", topK: 2, experts: { ffn: 2, identity: 1 } });
  const y = routing.mix(x, (token, e: Expert) => {
    seen.push(`${token} ${e}`);
    return mul(token, 10);
  });
  expect(seen).toEqual(["f32[2] [1, 2] 1", "f32[2] [3, 4] 0"]);
  expect(numbers(y)).toEqual([2 * 10 + 1, 2 * 20 + 2, 3 * 30 + 3, 3 * 40 + 4]);
});

test("a layer keeps its defaults when some parameters are changed", () => {
  const scaled = layer({ factor: 2, other: 1 }, (p, x: Tensor<["N"]>) => ({ y: mul(x, p.factor), x }));
  const x = tensor([2], [1, 2]);
  expect(numbers(scaled(x).y)).toEqual([2, 4]);
  expect(numbers(scaled.with({ factor: 3 })(x).y)).toEqual([3, 6]);
  expect(scaled.with({ factor: 3 }).params).toEqual({ factor: 3, other: 1 });
  expect(() => scaled.with({ facto: 3 } as object)).toThrow("facto is no parameter");
});

test("tensors print legibly and hold what their dtype can hold", () => {
  expect(String(tensor([2, 3], [1, 2.5, -3, 1 / 3, 1e-9, 6]))).toBe("f32[2, 3] [[1, 2.5, -3],\n [0.333333, 1e-9, 6]]");
  expect(String(tensor([20], range(20), "i32"))).toBe("i32[20] [0, 1, 2, 3, 4, 5, 6, 7, …]");
  expect(String(tensor([], [7]))).toBe("f32[] 7");
  // What console.log and debuggers show, also of tensors in objects.
  expect(inspect({ ids: tensor([2], [3, 1], "i32") })).toBe("{ ids: i32[2] [3, 1] }");
  expect(numbers(tensor([2], [1.001, 1 / 3], "bf16"))).toEqual([1, 0.333984375]);
});

test.each([
  ["too few elements", () => tensor([2, 2], [1, 2, 3]), "a tensor [2, 2] has 4 elements, found 3"],
  ["a broken dimension", () => tensor([1.5], [1]), "a dimension is a whole number, found 1.5"],
  ["an unknown dtype", () => tensor([1], [1], "f64" as "f32"), '"f64" is no dtype of a tensor'],
  ["bytes", () => tensor([1], [1], "u8" as "f32"), '"u8" is no dtype of a tensor'],
  ["no tensor", () => silu("x" as unknown as number), "the argument of silu is not a tensor"],
  ["an index outside", () => given<["N"]>(tensor([2], [1, 2]))[2], "index 2 is outside f32[2]"],
  [
    "shapes",
    () => linear(given<["T", "H"]>(tensor([1, 2], [1, 2])), given<["I", "H"]>(tensor([1, 3], [1, 2, 3]))),
    "inner dimensions differ: 2 vs 3",
  ],
  [
    "experts",
    () => route(given<["T", "E"]>(tensor([1, 2], [1, 2])), { score: "none", topK: 1, experts: { ffn: 3 } }),
    "the router gives 2 logits per token, but there are 3 experts",
  ],
  [
    "a result",
    () => layer({}, (_, x: Tensor<["N"]>) => 3 as unknown as typeof x)(tensor([1], [1])),
    "the result of the layer is not a tensor",
  ],
])("%s: wrong input is said in an author's words", (_, run, message) => {
  expect(run).toThrow(message);
});
