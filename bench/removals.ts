import { createAscend } from "../backends/ascend/index.ts";
import type { NativeLibrary } from "../backends/native-host.ts";
import type { Compilation } from "../codegen/compile.ts";
import { cInterface } from "../codegen/emit/c-family/interface.ts";
import { programWeights } from "../codegen/program-weights.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { type Case, casesFor } from "../runtime/check/cases.ts";
import { splitByRole } from "../runtime/check/check.ts";
import { differingOutput } from "../runtime/check/compare.ts";
import * as native from "../runtime/native.ts";

/** One attempt: calls of the generated kernels that the emulator passes over. */
interface Removal {
  /** Numbers of calls, in the order in which the emulator met them. */
  readonly calls: readonly number[];
  /** The calls, as "SetFlag kernel.cpp:12". */
  readonly text: string;
}

/** What came of taking calls out of one layer's kernels. */
export interface Removals {
  /** Calls that order pipes or cores. */
  readonly calls: number;
  readonly tried: number;
  /** Noticed by a report of the emulator, and by other numbers without a report. */
  readonly reported: number;
  readonly differing: number;
  /** Not noticed, because what another queue of the same pipes hands over later orders the same; without both it is noticed. */
  readonly covered: readonly string[];
  /** Not noticed, and nothing makes up for it: either not needed, or a hole in the emulator. */
  readonly unnoticed: readonly string[];
}

/** Every call alone, and the two of a wait or of a queue's handing over together. */
function removalsOf(calls: readonly string[]): Removal[] {
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

/** How a removal was noticed: by a report, which names its kernel, or by other numbers. */
interface Notice {
  readonly how: "report" | "numbers";
  readonly file?: string | undefined;
}

/** As many lists as one file has removals, each with at most one of a file. */
function oneOfEachFile(removals: readonly Removal[]): Removal[][] {
  const rounds: Removal[][] = [];
  for (const one of removals) {
    const free = rounds.find((round) => !round.some((other) => fileOf(other.text) === fileOf(one.text)));
    if (free) free.push(one);
    else rounds.push([one]);
  }
  return rounds;
}

/**
 * Takes the calls that order pipes and cores (SetFlag, WaitFlag, EnQue, DeQue, PipeBarrier, SyncAll, cross-core flags) out of a
 * layer's generated kernels, one by one and in pairs, and looks whether the emulator notices: by a report, or by other results than
 * the whole kernels give. Every case of the layer is tried, from seed 1 on, and the largest until `seeds` runs are made. Most are
 * noticed in the smaller cases. What is not is left out of several kernels at once in the larger ones: reports say which it was.
 */
export async function removeCalls(compilation: Compilation, seeds: number): Promise<Removals> {
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
    const size = ({ dims }: Case): number => Object.values(dims).reduce((a, b) => a * b, 1);
    const cases = [...casesFor(compilation, 1)].filter((c) => size(c) > 0).sort((a, b) => size(a) - size(b));
    const run = async (each: Case): Promise<ReadonlyMap<string, Tensor>> => {
      const { weights, inputs } = splitByRole(compilation.stored, each.tensors);
      await loaded.setWeights(programWeights(compilation.program, weights));
      return (await loaded.run(inputs, each.dims)).outputs;
    };
    const leaveOut = (calls: readonly number[]) => library?.run(`${prefix}_leave_out`, [], [calls.length, ...calls]);
    await leaveOut([]);
    const expected = new Map<Case, ReadonlyMap<string, Tensor>>();
    for (const each of cases) expected.set(each, await run(each));
    const notice = async (each: Case): Promise<Notice | undefined> => {
      try {
        const differs = differingOutput(expected.get(each) ?? new Map(), await run(each));
        return differs === undefined ? undefined : { how: "numbers" };
      } catch (error) {
        const report = /the Ascend emulator found a fault in (?:kernel (\w+),)?/.exec(String(error));
        if (report) return { how: "report", file: report[1] && `${report[1]}.cpp` };
        throw error;
      }
    };
    // The smallest first: it costs least, and what it runs at all, it nearly always shows with the first seed.
    const [few, many] = [cases.slice(0, cases.length / 2), cases.slice(cases.length / 2)];
    const runs = [...many, ...Array.from({ length: Math.max(0, seeds - cases.length) }, () => cases.slice(-1)).flat()];
    /** Which of some removals, each of another kernel, are noticed in some runs. */
    const noticed = async (removals: readonly Removal[], all: readonly Case[]): Promise<Map<Removal, Notice>> => {
      const found = new Map<Removal, Notice>();
      const left = new Set(removals);
      for (const each of all)
        while (left.size > 0) {
          await leaveOut([...left].flatMap((one) => one.calls));
          const seen = await notice(each);
          if (!seen) break;
          const [first, ...others] = left;
          const guilty = others.length === 0 ? first : [...left].find((one) => fileOf(one.text) === seen.file);
          if (!guilty) {
            for (const one of left) for (const [removal, how] of await noticed([one], all)) found.set(removal, how);
            return found;
          }
          found.set(guilty, seen);
          left.delete(guilty);
        }
      return found;
    };
    const calls = library?.text(`${prefix}_ordering`)?.trim().split("\n") ?? [];
    const tries = removalsOf(calls);
    const found = new Map<Removal, Notice>();
    const search = async (removals: readonly Removal[], all: readonly Case[]): Promise<void> => {
      for (const [removal, how] of await noticed(removals, all)) found.set(removal, how);
    };
    for (const one of tries) await search([one], few);
    for (const round of oneOfEachFile(tries.filter((one) => !found.has(one)))) await search(round, runs);
    const covered: string[] = [];
    const unnoticed: string[] = [];
    for (const one of tries.filter((each) => !found.has(each))) {
      const queues = tries.filter(
        (t) => t.calls.length === 2 && t.text.startsWith("TQue") && fileOf(t.text) === fileOf(one.text),
      );
      const together = { calls: queues.flatMap((t) => t.calls), text: one.text };
      const mayBeCovered = one.text.startsWith("TQue::EnQue") && queues.length > 1;
      const isCovered = mayBeCovered && (await noticed([together], [...few, ...runs])).size > 0;
      (isCovered ? covered : unnoticed).push(one.text);
    }
    const count = (how: Notice["how"]): number => [...found.values()].filter((each) => each.how === how).length;
    return {
      calls: calls.length,
      tried: tries.length,
      reported: count("report"),
      differing: count("numbers"),
      covered,
      unnoticed,
    };
  } finally {
    await loaded.close();
  }
}
