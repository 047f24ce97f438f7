import { afterAll, describe, expect, test } from "vitest";
import { createWgsl } from "../../backends/wgsl/index.ts";
import { Arena } from "../arena.ts";
import { makeCase } from "./cases.ts";
import { nodeTrack } from "./node.ts";
import { packages } from "./packages.ts";
import { judge, outcomeText } from "./report.ts";
import { pack, unpack } from "./transfer.ts";

const options = { rounds: 2, budgetMs: 1, firstRun: 170 };
const arena = new Arena();
const track = await nodeTrack();
afterAll(async () => {
  arena.free();
  await track.close();
});

test("objects with arrays of numbers pass to a page and back", () => {
  const value = { a: [Float32Array.of(1.5, -2), { b: Int32Array.of(-7), c: "text" }], d: new Uint8Array() };
  const { text, parts } = pack(value);
  expect(parts).toHaveLength(3);
  expect(
    unpack(
      text,
      parts.map((part) => new Uint8Array(part).buffer),
    ),
  ).toEqual(value);
});

describe("a race in Node", () => {
  test("gives figures to results that the oracle confirms, and to no others", { timeout: 120_000 }, async () => {
    const contest = await makeCase("moe-1", createWgsl(), arena);
    const result = await track.race(contest.entries.slice(0, 1), options);
    const [own] = result.ran;
    if (!own || "failed" in own || !own.outputs.y) throw new Error("nothing was run");
    const { y } = own.outputs;
    const wrong = Float32Array.from(y.data).with(0, (y.data[0] ?? 0) + 1);
    const outcome = judge(contest, track.where, {
      ...result,
      ran: [
        own,
        { ...own, name: "right", outputs: { y }, ms: own.ms.map((time) => 3 * time) },
        { ...own, name: "wrong", outputs: { y: { dtype: "f32", dims: y.dims, data: wrong } } },
        { name: "late", failed: "no result after 1 s" },
      ],
    });
    expect(outcome.figures.map(({ name }) => name)).toEqual([own.name, "right"]);
    expect(outcome.figures[1]?.ratio.median).toBeCloseTo(3);
    expect(outcome.figures[0]).toMatchObject({ submissions: 1, read_backs: 0 });
    expect(outcome.figures[0]?.empty_kernels).toBeGreaterThan(0);
    expect(outcome.wrong).toBe(true);
    expect(outcome.without).toEqual([expect.stringMatching(/^wrong: no figure.*y\[/), "late: no result after 1 s"]);
    expect(outcomeText(outcome)).toContain(outcome.kind);
    // Others are compared along our choices: without ours there is nothing to compare with.
    const alone = judge(contest, track.where, {
      ...result,
      ran: [{ ...own, outputs: { ...own.outputs, y: { dtype: "f32", dims: y.dims, data: wrong } } }, own],
    });
    expect(alone).toMatchObject({ figures: [], wrong: true });
  });

  test("runs kernels that use what Dawn knows of WGSL", { timeout: 120_000 }, async () => {
    const contest = await makeCase("qmoe-1", createWgsl(), arena, "packed dot products");
    const outcome = judge(contest, track.where, await track.race(contest.entries.slice(0, 1), options));
    expect(outcome).toMatchObject({ without: [], wrong: false, figures: [{ submissions: 1 }] });
  });

  // Minutes on a software adapter, where each library compiles for half a minute.
  test.runIf(packages.installed() && process.env.UNMOOR_TEST_ALL)(
    "the other libraries compute the same layer",
    { timeout: 600_000 },
    async () => {
      for (const name of ["moe-1", "qmoe-1"] as const) {
        const contest = await makeCase(name, createWgsl(), arena);
        const outcome = judge(contest, track.where, await track.race(contest.entries, options));
        expect(outcome.without).toEqual([]);
        expect(outcome.figures.length).toBe(contest.entries.length);
      }
    },
  );
});
