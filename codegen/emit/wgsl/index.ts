import { IrError } from "../../../ir/core/diagnostic.ts";
import { formatSpan } from "../../../ir/core/span.ts";
import { findCuts } from "../../parts/cut.ts";
import { partKernel } from "../../parts/launches.ts";
import type { Program } from "../../program.ts";
import type { Kernel } from "../../tile/types.ts";
import { guaranteedBytes } from "./context.ts";
import { withIndirect } from "./indirect.ts";
import { emitKernel, workgroupsPerFirst } from "./kernel.ts";
import type { WgslLanguage } from "./language.ts";
import { Names } from "./names.ts";
import { type LaunchPlan, makePlan, type PrintedKernel } from "./plan.ts";

export { emitKernel } from "./kernel.ts";
export type { LaunchPlan } from "./plan.ts";

/** A program as WGSL: modules by path, and the plan that runs them. */
export interface WgslSources {
  readonly plan: LaunchPlan;
  readonly modules: ReadonlyMap<string, string>;
  /** The path of each kernel's module. */
  readonly paths: ReadonlyMap<Kernel, string>;
}

/**
 * Prints a program: one module per kernel, and the launch plan. Weights that take more than `bufferBytes` are cut into several
 * buffers, and the kernels that read them are launched part by part.
 * Throws IrError where WGSL without extensions cannot say what a kernel does.
 */
export function emitWgsl(
  given: Program,
  language: WgslLanguage,
  bufferBytes: number = Number.POSITIVE_INFINITY,
): WgslSources {
  for (const { name, dtype } of given.buffers) {
    if (dtype === "bool" || dtype === "u32")
      throw new IrError(
        `the buffer ${name} holds ${dtype}, which is not stored in WGSL`,
        "Choose f32 storage for this target, or cast to f32.",
      );
  }
  const { cuts } = findCuts(given, bufferBytes);
  const { program, indirect } = withIndirect(given, (kernel) =>
    partKernel(kernel, cuts).symbols.length > 0 ? undefined : workgroupsPerFirst(kernel, language),
  );
  const names = new Names();
  const printAll = (kernels: readonly Kernel[]): PrintedKernel[] =>
    kernels.map((whole) => {
      const { kernel, symbols, launches } = partKernel(whole, cuts);
      const module = emitKernel(kernel, [...program.symbols, ...symbols], language);
      if (!module.fits) {
        throw new IrError(
          `${kernel.origin.summary} (${formatSpan(kernel.origin.span)}) keeps ${module.arrayBytes} bytes of arrays per invocation, and WGSL guarantees twice ${guaranteedBytes}`,
          "Choose fewer experts or a smaller size for this target.",
        );
      }
      const path = `kernels/${names.unique(kernel.name)}.wgsl`;
      return { kernel, path, module, launches, indirect: indirect.get(kernel.name) };
    });
  const prepare = printAll(program.prepare);
  const kernels = printAll(program.kernels);
  const originals = [...given.prepare, ...given.kernels];
  return {
    plan: makePlan(program, cuts, prepare, kernels),
    modules: new Map([...prepare, ...kernels].map((k) => [k.path, k.module.text])),
    paths: new Map([...prepare, ...kernels].flatMap(({ path }, i) => (originals[i] ? [[originals[i], path]] : []))),
  };
}
