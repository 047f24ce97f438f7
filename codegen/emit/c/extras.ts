import type { Program } from "../../program.ts";
import { cInterface } from "../c-family/interface.ts";
import { commonFlags, gccFlags, type VectorIsa } from "./isa.ts";

/** What is at the head of a Makefile: the compiler, CFLAGS, and GCCFLAGS, which no other compiler knows. */
export const makeFlags = (flags: readonly string[]): string =>
  [
    "CC ?= cc",
    `CFLAGS ?= ${[...commonFlags, ...flags, "-Wall", "-Wextra", "-Wno-unused-variable"].join(" ")}`,
    `GCCFLAGS := $(if $(findstring clang,$(shell $(CC) --version)),,${gccFlags.join(" ")})`,
  ].join("\n");

/** A Makefile for the shared library and the self-test. Register tiles at an edge may have variables that nobody reads. */
export function emitMakefile(program: Program, isa: VectorIsa): string {
  const { prefix } = cInterface(program);
  return [
    `# Layer ${program.name} for ${isa.title}.`,
    makeFlags(isa.flags),
    "",
    `lib${prefix}.so: ${prefix}.c ${prefix}.h`,
    `\t$(CC) $(CFLAGS) $(GCCFLAGS) -fPIC -shared -pthread -o $@ ${prefix}.c -lm`,
    "",
    `selftest: selftest.c ${prefix}.c ${prefix}.h`,
    `\t$(CC) $(CFLAGS) $(GCCFLAGS) -pthread -o $@ selftest.c ${prefix}.c -lm`,
    "",
    "check: selftest",
    "\t./selftest",
    "",
    "clean:",
    `\trm -f lib${prefix}.so selftest`,
    "",
    ".PHONY: check clean",
    "",
  ].join("\n");
}

export function emitReadme(program: Program, isa: VectorIsa): string {
  const { prefix } = cInterface(program);
  return [
    `# ${program.name} for ${isa.title}`,
    "",
    `\`make\` builds \`lib${prefix}.so\`; \`make check\` builds and runs the self-test. \`${prefix}.h\` documents the functions and their buffers.`,
    ...(isa.features.length > 0 ? ["", `The CPU must have: ${isa.features.join(", ")}.`] : []),
    "",
  ].join("\n");
}
