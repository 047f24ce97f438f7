import fc from "fast-check";
import { expect, test } from "vitest";
import type { TensorSource } from "../../ir/core/bindings.ts";
import { argument } from "../../ir/core/builder.ts";
import type { Layer } from "../../ir/core/layer.ts";
import { noSpan } from "../../ir/core/span.ts";
import { tensorType } from "../../ir/core/types.ts";
import { numericLayout, runLength, scatter } from "./layout.ts";

const seed = 20261124;

const layerOf = (params: Readonly<Record<string, number>>, dims: readonly string[]): Layer => ({
  name: "l",
  params,
  args: [argument("w", tensorType("f32", dims), "weight", "auto")],
  body: [],
  results: [],
  bindings: {},
  span: noSpan,
});

/** The weight that a published tensor of these elements gives, in pieces of some runs. */
function read(params: Readonly<Record<string, number>>, dims: readonly string[], source: TensorSource, pieces = 1) {
  const layer = layerOf(params, dims);
  const [w] = layer.args;
  if (w === undefined) throw new Error("no weight");
  const layout = numericLayout(layer, w, source);
  const elements = layout.shape.reduce((a, b) => a * b, 1);
  const published = Float32Array.from({ length: elements }, (_, i) => i + 1);
  const target = new Float32Array(dims.map((d) => params[d] ?? Number(d)).reduce((a, b) => a * b, 1));
  const length = runLength(layout);
  for (let from = 0; from * length < elements; from += pieces)
    scatter(layout, published.subarray(from * length, (from + pieces) * length), from, target, 0);
  return { layout, target: [...target] };
}

const sizes = { E: 2, I: 3, H: 2 };

test.each<[string, readonly string[], TensorSource, readonly number[]]>([
  ["in order", ["I", "H"], { tensor: "t" }, [1, 2, 3, 4, 5, 6]],
  ["transposed", ["I", "H"], { tensor: "t", dims: ["H", "I"] }, [1, 4, 2, 5, 3, 6]],
  ["first half of rows", ["I", "H"], { tensor: "t", dims: ["2*I", "H"], part: 0 }, [1, 2, 3, 4, 5, 6]],
  ["second half of rows", ["I", "H"], { tensor: "t", dims: ["2*I", "H"], part: 1 }, [7, 8, 9, 10, 11, 12]],
  ["even rows", ["I", "H"], { tensor: "t", dims: ["I*2", "H"], part: 0 }, [1, 2, 5, 6, 9, 10]],
  ["odd rows", ["I", "H"], { tensor: "t", dims: ["I*2", "H"], part: 1 }, [3, 4, 7, 8, 11, 12]],
  ["even columns", ["I", "H"], { tensor: "t", dims: ["I", "H*2"], part: 0 }, [1, 3, 5, 7, 9, 11]],
  ["second half of columns", ["I", "H"], { tensor: "t", dims: ["I", "2*H"], part: 1 }, [3, 4, 7, 8, 11, 12]],
  ["transposed odd columns", ["I", "H"], { tensor: "t", dims: ["H", "I*2"], part: 1 }, [2, 8, 4, 10, 6, 12]],
  ["flat", ["E", "I", "H"], { tensor: "t", dims: ["E*I", "H"] }, Array.from({ length: 12 }, (_, i) => i + 1)],
  [
    "flat and transposed",
    ["E", "H", "I"],
    { tensor: "t", dims: ["E*I", "H"] },
    [1, 3, 5, 2, 4, 6, 7, 9, 11, 8, 10, 12],
  ],
  ["experts last", ["E", "H"], { tensor: "t", dims: ["H", "E"] }, [1, 3, 2, 4]],
  ["with a dimension of 1", ["E"], { tensor: "t", dims: [1, "E"] }, [1, 2]],
  ["the last of three", ["H"], { tensor: "t", dims: ["3*H"], part: 2 }, [5, 6]],
])("%s", (_, dims, source, expected) => {
  for (const pieces of [1, 2, 100]) expect(read(sizes, dims, source, pieces).target).toEqual(expected);
});

test(`a layout of any order and parts puts each element where its index says (seed ${seed})`, () => {
  const property = fc.property(
    fc.record({
      sizes: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
      order: fc.array(fc.nat(1000), { minLength: 4, maxLength: 4 }),
      parts: fc.option(fc.integer({ min: 2, max: 3 }), { nil: undefined }),
      at: fc.nat(1000),
      part: fc.nat(1000),
      joined: fc.nat(7),
      pieces: fc.integer({ min: 1, max: 5 }),
    }),
    ({ sizes, order, parts, at, part: chosen, joined, pieces }) => {
      const names = sizes.map((_, i) => `D${i}`);
      const params = Object.fromEntries(names.map((name, i) => [name, sizes[i] ?? 0]));
      const factors = [...names].sort((a, b) => (order[names.indexOf(a)] ?? 0) - (order[names.indexOf(b)] ?? 0));
      const part = parts === undefined ? 0 : chosen % parts;
      if (parts !== undefined) factors.splice(at % (factors.length + 1), 0, String(parts));
      // Neighbours may share a dimension; parts never stand alone.
      const dims: string[] = [];
      for (const [i, factor] of factors.entries()) {
        const alone = factor === String(parts) || dims.at(-1) === String(parts);
        if (i > 0 && (alone || ((joined >> (i - 1)) & 1) === 1)) dims.push(`${dims.pop()}*${factor}`);
        else dims.push(factor);
      }
      const source: TensorSource = { tensor: "t", dims, ...(parts === undefined ? {} : { part }) };
      const { layout, target } = read(params, names, source, pieces);
      const counts = factors.map((f) => params[f] ?? Number(f));
      const expected = new Array<number>(target.length).fill(0);
      for (let i = 0; i < counts.reduce((a, b) => a * b, 1); i++) {
        const index = new Map<string, number>();
        let rest = i;
        for (let f = factors.length - 1; f >= 0; f--) {
          index.set(factors[f] ?? "", rest % (counts[f] ?? 1));
          rest = Math.floor(rest / (counts[f] ?? 1));
        }
        if (parts !== undefined && index.get(String(parts)) !== part) continue;
        expected[names.reduce((offset, name) => offset * (params[name] ?? 0) + (index.get(name) ?? 0), 0)] = i + 1;
      }
      expect(target).toEqual(expected);
      if (layout.inOrder) expect(target).toEqual(target.map((_, i) => i + 1));
    },
  );
  fc.assert(property, { seed, numRuns: 300 });
});
