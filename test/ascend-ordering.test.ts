/**
 * Takes the calls that order pipes and cores (SetFlag, WaitFlag, EnQue, DeQue, PipeBarrier, SyncAll) out of the generated Ascend
 * kernels, one by one, and flags and queue calls in pairs too: the emulator must notice, by a report or by other numbers, within
 * twenty seeds. What it does not notice is not needed, and the generator should not have printed it. The one exception is a queue
 * beside another queue of the same pipes that hands over later: its own flag is needed by the protocol, not for the order, which
 * the later flag ensures too; without both the fault must show. Seed 1. One example here;
 * with UNMOOR_TEST_ALL=1 (npm run test:all) every example and every layer of test/layers.
 */
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { createAscend } from "../backends/ascend/index.ts";
import type { NativeLibrary } from "../backends/native-host.ts";
import { type Compilation, compileLayer } from "../codegen/compile.ts";
import { cInterface } from "../codegen/emit/c-family/interface.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { type Case, casesFor } from "../runtime/check/cases.ts";
import { splitByRole } from "../runtime/check/check.ts";
import { differingOutput } from "../runtime/check/compare.ts";
import * as native from "../runtime/native.ts";
import { readLayer } from "../runtime/source.ts";
import { exampleSizes } from "./sizes.ts";

const all = process.env.UNMOOR_TEST_ALL === "1";
const seeds = 20;

interface Left {
  /** Numbers of calls. */
  readonly calls: readonly number[];
  readonly text: string;
}

/** Every call alone, and the two of a wait or of a queue's handing over together. */
function removals(calls: readonly string[]): Left[] {
  const place = calls.map((text) => /^(?:TQue::)?(\w+) (.+):(\d+)$/.exec(text) ?? ["", "", "", ""]);
  const pairOf = (i: number): number => {
    const [, name, file, line] = place[i] ?? [];
    const [other, step] = name === "SetFlag" ? ["WaitFlag", 0] : name === "EnQue" ? ["DeQue", 1] : ["", 0];
    return place.findIndex((p) => p[1] === other && p[2] === file && Number(p[3]) === Number(line) + step);
  };
  return calls.flatMap((text, i) => {
    const j = pairOf(i);
    const alone = { calls: [i], text };
    return j < 0 ? [alone] : [alone, { calls: [i, j], text: `${text} with ${calls[j]}` }];
  });
}

const fileOf = (call: string): string => /\S+\.cpp/.exec(call)?.[0] ?? "";

interface Result {
  readonly tried: number;
  /** Removals that changed nothing. */
  readonly missed: number;
  /** Those of them that nothing else in the kernel makes up for. */
  readonly idle: readonly string[];
}

/** Takes calls out of a layer's kernels, and looks who notices. */
async function removeCalls(compilation: Compilation): Promise<Result> {
  let library: NativeLibrary<native.NativeMemory> | undefined;
  const host = {
    ...native,
    openLibrary(path: string) {
      library = native.openLibrary(path);
      return library;
    },
  };
  const { prefix } = cInterface(compilation.program);
  const loaded = await createAscend(host, { seed: 1 }).load(compilation.program, compilation.target);
  try {
    const cases = [...casesFor(compilation, 1)].filter((c) => Object.values(c.dims).every((n) => n > 0));
    const run = async (each: Case): Promise<ReadonlyMap<string, Tensor>> => {
      const { weights, inputs } = splitByRole(compilation.stored, each.tensors);
      await loaded.setWeights(weights);
      return (await loaded.run(inputs, each.dims)).outputs;
    };
    const leaveOut = (calls: readonly number[]) => library?.run(`${prefix}_leave_out`, [], [calls.length, ...calls]);
    await leaveOut([]);
    const expected = new Map<Case, ReadonlyMap<string, Tensor>>();
    for (const each of cases) expected.set(each, await run(each));
    const notices = async (each: Case): Promise<boolean> => {
      try {
        return differingOutput(expected.get(each) ?? new Map(), await run(each)) !== undefined;
      } catch (error) {
        expect(String(error)).toContain("the Ascend emulator found a fault");
        return true;
      }
    };
    const noticed = async (): Promise<boolean> => {
      // The largest first: what a case runs at all, it nearly always shows with the first seed.
      for (const each of cases.toReversed()) if (await notices(each)) return true;
      const [last] = cases.slice(-1);
      for (let i = cases.length; last && i < seeds; i++) if (await notices(last)) return true;
      return false;
    };
    const calls = library?.text(`${prefix}_ordering`)?.trim().split("\n") ?? [];
    const missed: Left[] = [];
    const tries = removals(calls);
    for (const one of tries) {
      await leaveOut(one.calls);
      if (!(await noticed())) missed.push(one);
    }
    // Two queues of the same pipes: what the second hands over orders what the first did. Without both, it must show.
    const queues = missed.filter((m) => m.text.startsWith("TQue::EnQue"));
    const idle = missed.filter((m) => !queues.includes(m)).map((m) => m.text);
    for (const one of queues) {
      const file = fileOf(one.text);
      const together = tries.filter(
        (t) => t.calls.length === 2 && t.text.startsWith("TQue") && fileOf(t.text) === file,
      );
      await leaveOut(together.flatMap((t) => t.calls));
      if (together.length < 2 || !(await noticed())) idle.push(one.text);
    }
    return { tried: tries.length, missed: missed.length, idle };
  } finally {
    await loaded.close();
  }
}

const examples = resolve(import.meta.dirname, "../examples");
const small = resolve(import.meta.dirname, "layers");
const files = all
  ? [
      ...readdirSync(examples).flatMap(
        (f) => exampleSizes[f]?.map((params) => [join(examples, f), params] as const) ?? [],
      ),
      ...(await Promise.all(
        readdirSync(small).map(async (f) => {
          const { sizes }: { sizes: readonly Readonly<Record<string, number>>[] } = await import(join(small, f));
          return sizes.map((params) => [join(small, f), params] as const);
        }),
      ).then((lists) => lists.flat())),
    ]
  : [[join(examples, "longcat-moe.ts"), { H: 37, I: 21, E: 5, Z: 3, K: 2, scale: 2.5 }] as const];

describe("calls that order the pipes of generated kernels", () => {
  for (const [file, params] of files)
    test.each(all ? (["f32", "bf16"] as const) : (["bf16"] as const))(
      `are all needed in ${file.split("/").slice(-2).join("/")} at ${JSON.stringify(params)} in %s`,
      async (storage) => {
        const layer = await readLayer({ file, params, cache: undefined });
        const target = createAscend(native).target("dav-2201");
        const { tried, missed, idle } = await removeCalls(compileLayer(layer, target, storage));
        expect(idle).toEqual([]);
        expect(tried).toBeGreaterThan(10);
        expect(missed).toBeLessThan(tried / 10);
      },
      600_000,
    );
});
