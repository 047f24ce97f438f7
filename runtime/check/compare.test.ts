import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Compilation, compileLayer } from "../../codegen/compile.ts";
import { packedTarget } from "../../codegen/testing.ts";
import { runProgram, type TypedArray } from "../../codegen/tile/interpreter.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import { parseLayer } from "../../ir/text/index.ts";
import { fromFloats } from "../tensors.ts";
import { type Case, casesFor } from "./cases.ts";
import { compareWithOracle } from "./compare.ts";

const text = readFileSync(new URL("../../codegen/fixtures/longcat.moe", import.meta.url), "utf8");
const layer = parseLayer(
  text.replace("H = 256, I = 128, E = 16, Z = 8, K = 4", "H = 24, I = 12, E = 5, Z = 3, K = 3"),
  "longcat.moe",
);
const compilation = compileLayer(layer, packedTarget, "f32");
const cases = [...casesFor(compilation, 5)];

/** What a right target gives for a case (the tile interpreter stands for it), with a change. */
function agreement(made: Case, change: (outputs: Map<string, Tensor>) => void = () => {}, of = compilation) {
  const given = (role: string) =>
    new Map(
      of.stored.args
        .filter((a) => a.role === role)
        .map((a) => [a.value.name, made.tensors.get(a.value.name)?.data as TypedArray]),
    );
  const buffers = runProgram(of.program, {
    weights: given("weight"),
    inputs: given("input"),
    dims: made.dims,
  });
  const outputs = new Map<string, Tensor>(
    of.program.buffers
      .filter((b) => b.role === "output")
      .map((b) => [
        b.name,
        {
          dtype: b.dtype,
          dims: b.dims.map((d) => d.evaluate(made.dims)),
          data: buffers.get(b.name) as Int32Array | Float32Array,
        },
      ]),
  );
  change(outputs);
  return compareWithOracle(of, made.tensors, made.dims, outputs, made.tied);
}

const randomCase = cases.find((c) => (c.dims.T ?? 0) > 5 && c.tied !== true) as Case;

test("cases are made of the seed alone", () => {
  const again = [...casesFor(compilation, 5)];
  expect(again.map((c) => c.name)).toEqual(cases.map((c) => c.name));
  expect(again.at(-2)?.tensors).toEqual(cases.at(-2)?.tensors);
  expect([...casesFor(compilation, 6)][2]?.tensors).not.toEqual(cases[2]?.tensors);
});

test("cases hold what hurts: no token, one, the tile and its neighbours, and steered routers", () => {
  const sizes = cases.map((c) => c.dims.T);
  const tile = packedTarget.matmul.kind === "registers" ? (packedTarget.matmul.rows[0] ?? 0) : 0;
  for (const size of [0, 1, tile - 1, tile, tile + 1]) expect(sizes).toContain(size);
  const ids = (name: string): number[] => {
    const made = cases.find((c) => c.name === name) as Case;
    let found: number[] = [];
    agreement(made, (outputs) => {
      found = [...(outputs.get("ids")?.data ?? [])];
    });
    return [...new Set(found)].sort((a, b) => a - b);
  };
  expect(ids("all tokens on the same experts")).toEqual([0, 1, 2]);
  expect(ids("the last experts only")).toEqual([5, 6, 7]);
  expect(ids("one FFN expert never chosen")).not.toContain(0);
  expect(ids("equal scores")).toEqual([0, 1, 2]);
});

test.each(cases.map((c) => [c.name, c] as const))("a right target agrees: %s (seed 5)", (_, made) => {
  const { disagreements, maxErrorOverBound } = agreement(made);
  expect(disagreements).toEqual([]);
  expect(maxErrorOverBound).toBeLessThanOrEqual(1);
});

describe("what is wrong is found", () => {
  const swapped = (data: Tensor["data"], a: number, b: number, count: number): void => {
    for (let i = 0; i < count; i++) [data[a + i], data[b + i]] = [data[b + i] as number, data[a + i] as number];
  };
  test.each<readonly [string, (outputs: Map<string, Tensor>) => void, RegExp]>([
    [
      "two tokens exchanged",
      (o) => swapped((o.get("y") as Tensor).data, 0, 24, 24),
      /^y\[\d+, \d+\]: .* ± .* expected, .* found$/,
    ],
    [
      "one element a hundredth off",
      (o) => {
        const y = (o.get("y") as Tensor).data;
        y[7] = (y[7] as number) + 0.01 * Math.max(...y.map(Math.abs));
      },
      /^y\[0, 7\]/,
    ],
    [
      "a NaN",
      (o) => {
        (o.get("y") as Tensor).data[3] = Number.NaN;
      },
      /^y\[0, 3\]: .*NaN found/,
    ],
    [
      "an expert that was not among the best",
      (o) => {
        const ids = (o.get("ids") as Tensor).data;
        ids[2] = [0, 1, 2, 3, 4, 5, 6, 7].find((e) => !ids.slice(0, 3).includes(e as never)) ?? 0;
      },
      /ids: the experts of token 0/,
    ],
    [
      "one expert twice",
      (o) => {
        const ids = (o.get("ids") as Tensor).data;
        ids[1] = ids[0] as number;
      },
      /ids: the experts of token 0/,
    ],
    [
      "weights not scaled",
      (o) => {
        const w = (o.get("weights") as Tensor).data;
        for (let i = 0; i < w.length; i++) w[i] = (w[i] as number) / 6;
      },
      /^weights\[/,
    ],
    [
      "a result cut short",
      (o) => {
        const y = o.get("y") as Tensor;
        o.set("y", { ...y, data: y.data.slice(0, 5) });
      },
      /y: \d+ elements expected, 5 found/,
    ],
  ])("%s", (_, change, message) => {
    const { disagreements } = agreement(randomCase, change);
    expect(disagreements.join("\n")).toMatch(new RegExp(message.source, "m"));
  });
});

describe("the index of a largest element", () => {
  const head = parseLayer(`layer @head {H = 24, V = 6} (
  input auto %x: f32[T, H],
  weight auto %w: f32[V, H]
) {
  %logits = linear(%x, %w) : f32[T, V]
  %best = arg_max(%logits) : i32[T]
  return best = %best
}`);
  /** Rows 0 and 1 of the weight give the largest logits, a thousandth apart. */
  const made = (of: Compilation): Case => {
    const x = Float32Array.from({ length: 3 * 24 }, (_, i) => 0.3 + (i % 7) / 11);
    const w = Float32Array.from(
      { length: 6 * 24 },
      (_, i) => (i < 24 ? 1.001 : i < 48 ? 1 : -1) * (0.2 + (i % 24) / 31),
    );
    const [, weight] = of.stored.args;
    const tensors = new Map<string, Tensor>([
      ["x", { dtype: "f32", dims: [3, 24], data: x }],
      ["w", fromFloats(w, [6, 24], weight?.value.type.dtype ?? "f32")],
    ]);
    return { name: "near", dims: { T: 3 }, tensors };
  };
  const other = (index: number) => (outputs: Map<string, Tensor>) => {
    (outputs.get("best") as Tensor).data[1] = index;
  };
  const [narrow, wide] = (["f32", "bf16"] as const).map((storage) => compileLayer(head, packedTarget, storage)) as [
    Compilation,
    Compilation,
  ];

  test("is followed where the roundings that a target makes explain it, and counts as ambiguous", () => {
    for (const index of [0, 1]) {
      const { disagreements, ambiguousTokens } = agreement(made(wide), other(index), wide);
      expect(disagreements).toEqual([]);
      expect(ambiguousTokens).toBe(3);
    }
  });

  test.each([
    ["f32", narrow, 1],
    ["bf16", wide, 2],
    ["bf16, beyond the row", wide, 6],
  ] as const)("is wrong where none does: %s", (_, of, index) => {
    const { disagreements } = agreement(made(of), other(index), of);
    expect(disagreements[0]).toContain("best: the index in row 1 is not that of the largest element");
  });

  test("agrees as it comes", () => {
    for (const of of [narrow, wide]) expect(agreement(made(of), undefined, of).disagreements).toEqual([]);
  });
});
