import type { Program } from "../../program.ts";
import type { Kernel } from "../../tile/types.ts";
import { cInterface } from "../c-family/interface.ts";
import { emitEmulatorHost } from "./emulator-host.ts";
import { emitHeader, emitLaunch } from "./host.ts";
import type { AscendIsa } from "./isa.ts";
import { type EmittedKernel, emitKernel } from "./kernel.ts";
import { emitMain } from "./main.ts";
import { emitCMake, emitReadme } from "./project.ts";
import { emitTiling } from "./tiling.ts";

export { type AscendInstruction, type AscendIsa, AscendTable, reduceWorkElements } from "./isa.ts";
export type { EmittedKernel } from "./kernel.ts";
export { goldenFiles } from "./main.ts";

/** The kernels of a program as Ascend C. */
export interface EmittedProgram {
  readonly prepare: readonly EmittedKernel[];
  readonly kernels: readonly EmittedKernel[];
}

/** The file of the emulator's host side. */
export const emulatorHost = "emulator_host.cpp";

/**
 * A program as a CANN project: kernels/*.cpp, the tiling struct, a launch through acl, a main that compares a run with golden
 * data, CMakeLists.txt, README.md, and the host side for the emulator. The support header unmoor_kernel.h belongs beside them.
 * Throws DiagnosticError, at the layer's place, for what the architecture cannot do or hold.
 */
export function emitAscend(program: Program, isa: AscendIsa): Map<string, string> {
  const { prefix } = cInterface(program);
  const emitted = emitKernels(program, isa);
  const files = new Map<string, string>();
  for (const kernel of [...emitted.prepare, ...emitted.kernels]) files.set(kernelPath(kernel.kernel), kernel.text);
  files.set(`${prefix}_tiling.h`, emitTiling(program, emitted, isa));
  files.set(`${prefix}.h`, emitHeader(program));
  files.set(`${prefix}_launch.cpp`, emitLaunch(program, emitted, isa));
  files.set("main.cpp", emitMain(program));
  files.set(emulatorHost, emitEmulatorHost(program, emitted, isa));
  files.set("CMakeLists.txt", emitCMake(program, emitted, isa));
  files.set("README.md", emitReadme(program, emitted, isa));
  return files;
}

/** The file of a kernel in the project. */
export const kernelPath = (kernel: Kernel): string => `kernels/${kernel.name}.cpp`;

/** The kernels alone, with what they take of each core's memories. */
export function emitKernels(program: Program, isa: AscendIsa): EmittedProgram {
  const { prefix } = cInterface(program);
  const one = (kernel: Kernel): EmittedKernel => emitKernel(kernel, `${prefix}_${kernel.name}`, program.symbols, isa);
  return { prepare: program.prepare.map(one), kernels: program.kernels.map(one) };
}
