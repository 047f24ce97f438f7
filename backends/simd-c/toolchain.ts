import { commonFlags, gccFlags, type VectorIsa } from "../../codegen/emit/c/isa.ts";
import type { SourceTree } from "../backend.ts";
import * as toolchain from "../toolchain/compiler.ts";

const mend = "apt-get install -y gcc";

/**
 * The first of $CC, gcc and clang that answers `--version`.
 * Throws LackError, with the command that installs one, where none does.
 */
export const findCompiler = (env: NodeJS.ProcessEnv = process.env): Promise<toolchain.Compiler> =>
  toolchain.findCompiler({ language: "C", variable: "CC", candidates: ["gcc", "clang"], mend }, env);

/** Flags of a shared library for a variant, by the compiler's version line. */
export const libraryFlags = (isa: VectorIsa, version: string): string[] => [
  ...commonFlags,
  ...(version.includes("clang") ? [] : gccFlags),
  ...isa.flags,
  "-fPIC",
  "-shared",
  "-pthread",
];

/**
 * Builds a shared library from the one .c file named `source` of a tree and returns its bytes.
 * Throws LackError where the compiler refuses, with the first of its messages.
 */
export const buildLibrary = (
  compiler: toolchain.Compiler,
  isa: VectorIsa,
  sources: SourceTree,
  source: string,
): Promise<Buffer> =>
  toolchain.buildLibrary(compiler, sources, libraryFlags(isa, compiler.version), [source, "-lm"], what(isa));

/** Throws LackError where the compiler cannot build what every library of a variant includes. */
export const tryCompiler = (compiler: toolchain.Compiler, isa: VectorIsa): Promise<void> => {
  const includes = ["<math.h>", "<pthread.h>", "<stdint.h>", ...isa.includes.filter((i) => i.startsWith("<"))];
  const text = `${includes.map((i) => `#include ${i}`).join("\n")}\nint unmoor_works(void) { return 0; }\n`;
  return toolchain.tryCompiler(compiler, ["works.c", text], libraryFlags(isa, compiler.version), what(isa));
};

const what = (isa: VectorIsa) => ({
  title: `the ${isa.name} variant`,
  mend: `install gcc 10 or newer (${mend}), or choose another --isa`,
});
