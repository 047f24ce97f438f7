import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IrError } from "../core/diagnostic.ts";
import { bf16ToF32 } from "../core/float16.ts";
import type { Layer } from "../core/layer.ts";
import type { Tensor } from "../core/tensor.ts";
import { bf16Tensor, f32Tensor, i32Tensor, normal, numbers, randomF32, uniform } from "../ops/testing.ts";
import { parseLayer } from "../text/index.ts";
import { interpret } from "./index.ts";

const seed = 20260713;
const read = (name: string) => readFileSync(new URL(`../text/fixtures/roundtrip/${name}`, import.meta.url), "utf8");
const sizes = { H: 16, I: 12, E: 5, Z: 3, K: 3 };
const longcat: Layer = { ...parseLayer(read("longcat.moe")), params: { ...sizes, scale: 6 } };

const randomBf16 = (dims: number[], random: () => number, scale: number): Tensor =>
  bf16Tensor(
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => scale * normal(random)),
  );
function longcatTensors(tokens: number, random: () => number): Map<string, Tensor> {
  const { H, I, E, Z } = sizes;
  return new Map([
    ["x", randomF32([tokens, H], random)],
    ["router", randomF32([E + Z, H], random, 0.5)],
    ["bias", randomF32([E + Z], random, 0.1)],
    ["gate", randomBf16([E, I, H], random, 0.3)],
    ["up", randomBf16([E, I, H], random, 0.3)],
    ["down", randomBf16([E, H, I], random, 0.3)],
  ]);
}

/** The layer as one would write it from its description: per token, per slot; every step rounded by `r`. */
function naive(tensors: ReadonlyMap<string, Tensor>, tokens: number, r: (x: number) => number) {
  const { H, I, E, Z, K } = sizes;
  const get = (name: string): number[] => {
    const t = tensors.get(name);
    if (t === undefined) throw new Error(name);
    return t.dtype === "bf16" ? numbers(t).map(bf16ToF32) : numbers(t);
  };
  const [x, router, bias, gate, up, down] = ["x", "router", "bias", "gate", "up", "down"].map(get);
  const dot = (a: number[], b: number[], start: number): number => a.reduce((s, v, i) => r(s + r(v * b[start + i])), 0);
  const ids: number[] = [];
  const y: number[] = [];
  for (let t = 0; t < tokens; t++) {
    const token = x.slice(t * H, (t + 1) * H);
    const logits = Array.from({ length: E + Z }, (_, e) => dot(token, router, e * H));
    const m = Math.max(...logits);
    const terms = logits.map((l) => r(Math.exp(r(l - m))));
    const total = terms.reduce((a, b) => r(a + b), 0);
    const scores = terms.map((v) => r(v / total));
    const keys = scores.map((s, e) => r(s + bias[e]));
    const chosen = keys
      .map((_, e) => e)
      .sort((a, b) => keys[b] - keys[a] || a - b)
      .slice(0, K);
    ids.push(...chosen);
    const out = new Array<number>(H).fill(0);
    for (const e of chosen) {
      const weight = r(scores[e] * 6);
      const row = (w: number[], i: number) => dot(token, w, (e * I + i) * H);
      const h = Array.from({ length: I }, (_, i) => {
        const g = row(gate, i);
        return r(r(g * r(1 / r(1 + r(Math.exp(-g))))) * row(up, i));
      });
      for (let j = 0; j < H; j++) out[j] = r(out[j] + r(weight * (e < E ? dot(h, down, (e * H + j) * I) : token[j])));
    }
    y.push(...out);
  }
  return { ids, y };
}

describe("a whole layer", () => {
  test("is what the description says, token by token and slot by slot", () => {
    const tensors = longcatTensors(9, uniform(1));
    const { results, choices: chosen } = interpret(longcat, { dims: { T: 9 }, tensors });
    const expected = naive(tensors, 9, (x) => x);
    expect(numbers(chosen[0].results[0])).toEqual(expected.ids);
    expect(chosen[0].name).toBe("ids");
    expect(new Set(expected.ids.map((id) => id < sizes.E)).size).toBe(2);
    numbers(results.get("y") as Tensor).forEach((v, i) => {
      expect(v).toBeCloseTo(expected.y[i], 11);
    });
  });

  test(`bounds hold for an implementation in f32 whose choices are followed (seed ${seed})`, () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 0, max: 6 }), (data, tokens) => {
        const tensors = longcatTensors(tokens, uniform(data));
        const machine = naive(tensors, tokens, Math.fround);
        const choices = new Map([["ids", Int32Array.from(machine.ids)]]);
        const { results, choices: chosen } = interpret(longcat, { dims: { T: tokens }, tensors, choices });
        expect(chosen[0].outcome.wrong).toEqual([]);
        const y = results.get("y") as Tensor;
        machine.y.forEach((v, i) => {
          expect(Math.abs(v - y.data[i])).toBeLessThanOrEqual(y.bound?.[i] ?? 0);
        });
      }),
      { seed, numRuns: 20 },
    );
  });

  test("grouped by expert is the same as mixed", () => {
    const random = uniform(2);
    const { H, I, E, K } = sizes;
    const T = 6;
    const grouped: Layer = parseLayer(groupedText);
    const mixed: Layer = parseLayer(mixedText);
    const tensors = new Map<string, Tensor>([
      ["x", randomF32([T, H], random)],
      [
        "ids",
        i32Tensor(
          [T, K],
          Array.from({ length: T * K }, (_, i) => (i * 5 + (i % 3)) % (E + 3)),
        ),
      ],
      ["weights", randomF32([T, K], random)],
      ["up", randomBf16([E, I, H], random, 0.3)],
      ["down", randomBf16([E, H, I], random, 0.3)],
    ]);
    const [a, b] = [mixed, grouped].map((l) => interpret(l, { dims: { T }, tensors }).results.get("y") as Tensor);
    a.data.forEach((v, i) => {
      expect(b.data[i]).toBeCloseTo(v, 12);
    });
  });
});

const header = `layer @l {H = 16, I = 12, E = 5, Z = 3, K = 3} (
  input auto %x: f32[T, H], input auto %ids: i32[T, K], input auto %weights: f32[T, K],
  weight auto %up: bf16[E, I, H], weight auto %down: bf16[E, H, I]
)`;
const mixedText = `${header} {
  %y = mix(%x, %ids, %weights) {ffn = E, identity = Z} (%token: f32[H], %e: i32[]) {
    %u = index(%up, %e) : bf16[I, H]
    %d = index(%down, %e) : bf16[H, I]
    %h = linear(%token, %u) {epilogue = (a) => (a * a)} : f32[I]
    %o = linear(%h, %d) : f32[H]
    yield %o
  } : f32[T, H]
  return y = %y
}`;
const groupedText = `${header} {
  %xw = zero_expert_weight(%ids, %weights) {ffn = E} : f32[T, 1]
  %offsets, %slots, %rows = dispatch(%ids) {ffn = E} : i32[E + 1], i32[T*K], i32[T*K]
  %h = grouped_linear(%x, %offsets, %slots, %up) {epilogue = (a) => (a * a), gather = K} : f32[T*K, I]
  %o = grouped_linear(%h, %offsets, %down) : f32[T*K, H]
  %y = combine(%o, %rows, %weights, %x, %xw) : f32[T, H]
  return y = %y
}`;

function mixTensors(ids: Tensor, weights: number[]): Map<string, Tensor> {
  return new Map<string, Tensor>([
    ["x", f32Tensor([1, 16], new Array(16).fill(1))],
    ["ids", ids],
    ["weights", f32Tensor([1, 3], weights)],
    ["up", randomBf16([5, 12, 16], uniform(1), 1)],
    ["down", randomBf16([5, 16, 12], uniform(1), 1)],
  ]);
}

test("ids past the experts of a mixture add nothing", () => {
  const run = (text: string, ids: number[], weights: number[]) => {
    const tensors = mixTensors(i32Tensor([1, 3], ids), weights);
    return interpret(parseLayer(text), { dims: { T: 1 }, tensors }).results.get("y");
  };
  const expected = numbers(run(mixedText, [0, 1, 7], [1, 1, 0]) as Tensor);
  expect(numbers(run(mixedText, [0, 1, 8], [1, 1, 1]) as Tensor)).toEqual(expected);
  const withoutIdentity = mixedText.replace("identity = Z", "identity = 0");
  expect(numbers(run(withoutIdentity, [0, 1, 7], [1, 1, 1]) as Tensor)).toEqual(expected);
});

describe("bad input", () => {
  const tokens = 2;
  const good = () => longcatTensors(tokens, uniform(3));
  const run = (change: (tensors: Map<string, Tensor>) => void, dims: Record<string, number> = { T: tokens }) => {
    const tensors = good();
    change(tensors);
    return () => interpret(longcat, { dims, tensors });
  };

  test.each<[string, (t: Map<string, Tensor>) => void, string]>([
    ["missing", (t) => t.delete("up"), "weight up of layer longcatMoe is missing"],
    ["unknown", (t) => t.set("gates", f32Tensor([1], [1])), "layer longcatMoe has no argument gates"],
    [
      "misshapen",
      (t) => t.set("x", f32Tensor([2, 15], new Array(30).fill(0))),
      "input x has dimensions [2, 15], expected [2, 16]",
    ],
    [
      "of another dtype",
      (t) => t.set("bias", bf16Tensor([8], new Array(8).fill(0))),
      "weight bias is bf16, expected f32",
    ],
    [
      "in the wrong array",
      (t) => t.set("bias", { dtype: "f32", dims: [8], data: new Int32Array(8) }),
      "held in Int32Array, expected Float32Array or Float64Array",
    ],
    [
      "too short",
      (t) => t.set("bias", { dtype: "f32", dims: [8], data: new Float32Array(7) }),
      "weight bias has 7 elements, expected 8",
    ],
  ])("%s tensor", (_, change, message) => {
    expect(run(change)).toThrow(message);
    expect(run(change)).toThrow(IrError);
  });

  test("dims", () => {
    expect(run(() => {}, {})).toThrow("dimension T has no value");
    expect(run(() => {}, { T: 2, H: 17 })).toThrow("H is a parameter of layer longcatMoe with the value 16, found 17");
    expect(run(() => {}, { T: 1.5 })).toThrow("T is 1.5");
  });

  test("a choice for nothing", () => {
    const choices = new Map([["chosen", new Int32Array(6)]]);
    expect(() => interpret(longcat, { dims: { T: tokens }, tensors: good(), choices })).toThrow(
      "which chooses nothing",
    );
  });

  test("ids below zero", () => {
    const ids = i32Tensor([1, 3], [0, -1, 8]);
    expect(() => interpret(parseLayer(mixedText), { dims: { T: 1 }, tensors: mixTensors(ids, [1, 1, 1]) })).toThrow(
      "expert -1 is negative",
    );
  });
});

test("observe sees every operation; f64 input is held to f32", () => {
  const layer = parseLayer(
    'layer @l (input auto %x: f32[T]) { %y = cast(%x) {to = "f32"} : f32[T] return y = %y, x = %x }',
  );
  const seen: string[] = [];
  const x: Tensor = { dtype: "f32", dims: [2], data: Float64Array.of(0.1, 0.5) };
  const observe = (o: { op: string }, results: readonly Tensor[]) => seen.push(`${o.op} ${results.length}`);
  const { results } = interpret(layer, { dims: { T: 2 }, tensors: new Map([["x", x]]), observe });
  expect(seen).toEqual(["cast 1"]);
  expect([...results.keys()]).toEqual(["y", "x"]);
  expect(results.get("y")?.bound).toEqual(Float64Array.of(Math.abs(0.1 - Math.fround(0.1)), 0));
});
