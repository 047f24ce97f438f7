import { createAscend } from "../backends/ascend/index.ts";
import type { NativeLibrary } from "../backends/native-host.ts";
import type { Compilation } from "../codegen/compile.ts";
import { cInterface } from "../codegen/emit/c-family/interface.ts";
import { programWeights } from "../codegen/program-weights.ts";
import { type Case, casesFor } from "../runtime/check/cases.ts";
import { splitByRole } from "../runtime/check/check.ts";
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

/** What came of one attempt, as the emulator says it. */
type Outcome = "unnoticed" | "reported" | "differing";

/**
 * Takes the calls that order pipes and cores (SetFlag, WaitFlag, EnQue, DeQue, PipeBarrier, SyncAll, cross-core flags) out of a
 * layer's generated kernels, one by one and in pairs, and looks whether the emulator notices: by a report, or by other results than
 * the whole kernel gives. Every case of the layer is tried, the smallest first and from seed 1 on, and the largest until `seeds`
 * runs are made. Within a run each kernel is launched also without what nothing has shown yet: see the emulator's `Trials`.
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
    const largest = cases.slice(-1);
    const all = [...cases, ...Array.from({ length: seeds - cases.length }, () => largest).flat()];
    const lines = (name: string): string[] => library?.text(`${prefix}_${name}`)?.split("\n").slice(0, -1) ?? [];
    /** One outcome for each list of calls. */
    const attempt = async (lists: readonly (readonly number[])[]): Promise<Outcome[]> => {
      const numbers = lists.flatMap((list) => [list.length, ...list]);
      await library?.run(`${prefix}_trials`, [], [numbers.length, ...numbers]);
      for (const { tensors, dims } of all) {
        const { weights, inputs } = splitByRole(compilation.stored, tensors);
        await loaded.setWeights(programWeights(compilation.program, weights));
        await loaded.run(inputs, dims);
        if (lists.length > 0 && !lines("outcomes").includes("unnoticed")) break;
      }
      return lines("outcomes") as Outcome[];
    };
    await attempt([]);
    const calls = lines("ordering");
    const tries = removalsOf(calls);
    const outcomes = await attempt(tries.map((t) => t.calls));
    const count = (outcome: Outcome): number => outcomes.filter((o) => o === outcome).length;
    const silent = tries.filter((_, i) => outcomes[i] === "unnoticed");
    /** Calls of all the queues that hand over in the same file. */
    const queuesBeside = (one: Removal): readonly number[] => {
      const queues = tries.filter(
        (t) => t.calls.length === 2 && t.text.startsWith("TQue") && fileOf(t.text) === fileOf(one.text),
      );
      return one.text.startsWith("TQue::EnQue") && queues.length > 1 ? queues.flatMap((t) => t.calls) : one.calls;
    };
    const together = silent.length === 0 ? [] : await attempt(silent.map(queuesBeside));
    return {
      calls: calls.length,
      tried: tries.length,
      reported: count("reported"),
      differing: count("differing"),
      covered: silent.filter((_, i) => together[i] !== "unnoticed").map((one) => one.text),
      unnoticed: silent.filter((_, i) => together[i] === "unnoticed").map((one) => one.text),
    };
  } finally {
    await loaded.close();
  }
}
