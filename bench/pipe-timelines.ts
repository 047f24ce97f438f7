import { chipOf, modelLayer } from "../backends/ascend/cost/index.ts";
import type { Program } from "../codegen/program.ts";
import type { KernelTimeline } from "./explain-page.ts";

/**
 * What the pipes of an Ascend core do in the first block of each kernel, by the cost model: no part of it was measured.
 * @param tokens the value of every run-time size
 * @throws IrError where a kernel cannot be modelled
 */
export function pipeTimelines(program: Program, soc: string, tokens: number): readonly KernelTimeline[] {
  const dims = Object.fromEntries(program.symbols.map((s) => [s, tokens]));
  const { kernels } = modelLayer(program, chipOf(soc), dims, { kind: "balanced" }, { firstBlock: true });
  return kernels.flatMap(({ name, blocks, first }) => {
    if (!first || first.events.length === 0) return [];
    const which = blocks === 1 ? "its one block" : `the first of ${blocks} blocks`;
    const caption = `Pipes in ${which}, modelled for Ascend ${soc}, T = ${tokens}, balanced routing: ${first.events.length} instructions`;
    return [{ target: "ascend", kernel: name, caption, unit: "cycles", events: first.events }];
  });
}
