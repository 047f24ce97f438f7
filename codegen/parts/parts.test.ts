import { describe, expect, test } from "vitest";
import type { Program } from "../program.ts";
import { parseKernel } from "../tile/parser.ts";
import { printKernel } from "../tile/text.ts";
import { accessesOf } from "./access.ts";
import { findCuts, partsOf } from "./cut.ts";
import { partKernel } from "./launches.ts";

/** Rows of the experts' matrices, by blocks of two, and the bias of each row. */
const kernel = parseKernel(`kernel @rows origin("map", "rows of experts") (
  read w: f32[6, 10, 8],
  read table: f32[50, 8],
  write y: f32[6, 10, 8]
) grid(expert = 6, block = 5) {
  let row = (block * 2)
  for i = 0 to 2 step 1 {
    copy y[expert, (row + i), 0:+8] = w[expert, (row + i), 0:+8]
  }
  set y[expert, row, 0] = table[(expert // 6), 3]
}`);

const program = (role: "weight" | "input"): Program => ({
  name: "p",
  params: {},
  symbols: [],
  buffers: kernel.buffers.map((b) => ({ ...b, role: b.access === "write" ? "output" : role })),
  prepare: [],
  kernels: [kernel],
  choices: [],
  results: [],
  memory: { slots: [] },
});

test("accesses are found through scalars and loops", () => {
  expect([...accessesOf(kernel)]).toEqual([
    [
      "y",
      [
        { kind: "block", coordinate: "expert", unit: 1 },
        { kind: "block", coordinate: "block", unit: 2 },
      ],
    ],
    [
      "w",
      [
        { kind: "block", coordinate: "expert", unit: 1 },
        { kind: "block", coordinate: "block", unit: 2 },
      ],
    ],
    [
      "table",
      [
        { kind: "fixed", low: 0, high: 0 },
        { kind: "fixed", low: 3, high: 3 },
      ],
    ],
  ]);
});

describe("weights are cut", () => {
  const cutAt = (bytes: number) => findCuts(program("weight"), bytes).cuts;
  const wOf = (bytes: number) => cutAt(bytes).get("w");
  test("not at all where they fit, and inputs never", () => {
    expect(wOf(6 * 10 * 8 * 4)).toBeUndefined();
    expect(findCuts(program("input"), 4).cuts.size).toBe(0);
  });
  test("by as many experts as fit", () => {
    const cut = wOf(4 * 10 * 8 * 4 + 60);
    expect(cut?.step).toEqual([4, 10]);
    expect(cut && partsOf(cut)).toEqual([
      { name: "w.0", from: [0, 0], first: 0, dims: [4, 10, 8] },
      { name: "w.1", from: [4, 0], first: 320, dims: [2, 10, 8] },
    ]);
  });
  test("by rows of an expert, as many as a block takes, where one expert does not fit", () => {
    const cut = wOf(5 * 8 * 4);
    expect(cut?.step).toEqual([1, 4]);
    expect(cut && partsOf(cut).map((p) => p.dims)).toEqual(
      Array(6)
        .fill([
          [1, 4, 8],
          [1, 4, 8],
          [1, 2, 8],
        ])
        .flat(),
    );
  });
  test("and told of where not even a block's rows fit, or their order is not known", () => {
    expect(findCuts(program("weight"), 40).uncut.get("w")).toBe("what a block reads of it is too large by itself");
    const inLoop = parseKernel(`kernel @sums origin("sum", "sums of rows") (
  read ids: i32[4],
  read w: f32[50, 8],
  write y: f32[8]
) grid() {
  for i = 0 to 4 step 1 {
    let id = ids[i]
    copy y[0:+8] = w[id, 0:+8]
  }
}`);
    const buffers = inLoop.buffers.map((b) => ({
      ...b,
      role: b.name === "w" ? ("weight" as const) : ("input" as const),
    }));
    expect(findCuts({ ...program("weight"), buffers, kernels: [inLoop] }, 100).uncut.get("w")).toContain(
      "sums of rows reads it in an order that is known only when it runs",
    );
  });
  test("by rows, where a block reads one that it chooses: each launch does what its part has", () => {
    const gathered = parseKernel(`kernel @gather origin("gather", "rows by their ids") (
  read ids: i32[4],
  read w: f32[50, 8],
  write y: f32[4, 8]
) grid(row = 4) {
  let id = ids[row]
  alloc tile: f32[8] in register
  copy tile[0:+8] = w[id, 0:+8]
  copy y[row, 0:+8] = tile[0:+8]
}`);
    const buffers = gathered.buffers.map((b) => ({
      ...b,
      role: b.name === "w" ? ("weight" as const) : ("input" as const),
    }));
    const { cuts } = findCuts({ ...program("weight"), buffers, kernels: [gathered] }, 20 * 8 * 4);
    const { kernel: made, launches } = partKernel(gathered, cuts);
    expect(launches.map((l) => [l.constants.w_first, l.constants.w_rows, l.parts.w])).toEqual([
      [0, 20, "w.0"],
      [20, 20, "w.1"],
      [40, 10, "w.2"],
    ]);
    expect(printKernel(made)).toContain("if (not(((id - w_first) < 0)) && ((id - w_first) < w_rows)) {");
  });
});

test("blocks that are counted only when a layer runs are no stretches, and choose rows like ids", () => {
  const byToken = parseKernel(`kernel @tokens origin("map", "a row for each token") (
  read w: f32[50, 8],
  write y: f32[T, 8]
) grid(t = T) {
  copy y[t, 0:+8] = w[t, 0:+8]
}`);
  expect(accessesOf(byToken).get("w")?.[0]).toEqual({ kind: "chosen", by: "t" });
});

test("a kernel is launched over the blocks of each part, with positions from the part's start", () => {
  const { cuts } = findCuts(program("weight"), 5 * 8 * 4);
  const { kernel: made, symbols, launches } = partKernel(kernel, new Map([...cuts].filter(([name]) => name === "w")));
  expect(launches).toHaveLength(6 * 3);
  expect(symbols).toEqual(["expert_from", "expert_count", "block_from", "block_count", "w_first", "w_first_1"]);
  expect(launches[4]).toEqual({
    constants: { expert_from: 1, expert_count: 1, block_from: 2, block_count: 2, w_first: 1, w_first_1: 4 },
    parts: { w: "w.4" },
  });
  expect(printKernel(made)).toMatchInlineSnapshot(`
    "kernel @rows origin("map", "rows of experts") (
      read w: f32[1, 4, 8],
      read table: f32[50, 8],
      write y: f32[6, 10, 8]
    ) grid(expert_part = expert_count, block_part = block_count) {
      let expert = (expert_from + expert_part)
      let block = (block_from + block_part)
      let row = (block * 2)
      for i = 0 to 2 step 1 {
        copy y[expert, (row + i), 0:+8] = w[expert_part, ((row + i) - w_first_1), 0:+8]
      }
      set y[expert, row, 0] = table[(expert // 6), 3]
    }"
  `);
});
