import type { Program } from "../../program.ts";
import { cInterface } from "../c-family/interface.ts";
import { emitMakefile, emitReadme } from "./extras.ts";
import { emitHeader } from "./header.ts";
import type { VectorIsa } from "./isa.ts";
import { emitSource } from "./program.ts";
import { emitSelfTest, type TestedLayer } from "./self-test.ts";

export { emitVariants } from "./dispatch.ts";
export type { CpuMaker, VectorIsa } from "./isa.ts";
export { emitSource } from "./program.ts";

/**
 * A program as C11: NAME.c, NAME.h, a Makefile, a README and a self-test. The support headers that the variant includes,
 * and unmoor_threads.h, belong beside them. Throws IrError, naming operation and variant, where an instruction is missing.
 * @param scalars the variant of one lane, for indices and whatever vectors cannot do
 */
export function emitC(program: Program, isa: VectorIsa, scalars: VectorIsa): Map<string, string> {
  const { prefix, buffers, symbols } = cInterface(program);
  const tested: TestedLayer = {
    layer: program.name,
    prefix,
    buffers,
    symbols,
    memories: [{ name: "workspace", content: "SCRATCH", bytes: `${prefix}_workspace(dims)` }],
    isas: [],
  };
  return new Map([
    [`${prefix}.c`, emitSource(program, isa, scalars).text],
    [`${prefix}.h`, emitHeader(program, isa)],
    ["selftest.c", emitSelfTest(tested)],
    ["Makefile", emitMakefile(program, isa)],
    ["README.md", emitReadme(program, isa)],
  ]);
}
