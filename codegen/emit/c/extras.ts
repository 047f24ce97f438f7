import { dtypeBytes } from "../../../ir/core/types.ts";
import type { Program } from "../../program.ts";
import { cInterface, typeText } from "../c-family/interface.ts";
import { identifier } from "../c-family/names.ts";
import { dimText } from "../c-family/offset.ts";
import { CodeWriter } from "../c-family/writer.ts";
import type { VectorIsa } from "./isa.ts";

/** Flags that every variant is compiled with. Contraction is off so that all variants round where the source says. */
export const commonFlags = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno"] as const;

/** A Makefile for the shared library and the self-test. Register tiles at an edge may have variables that nobody reads. */
export function emitMakefile(program: Program, isa: VectorIsa): string {
  const { prefix } = cInterface(program);
  return [
    `# Layer ${program.name} for ${isa.title}.`,
    "CC ?= cc",
    `CFLAGS ?= ${[...commonFlags, ...isa.flags, "-Wall", "-Wextra", "-Wno-unused-variable"].join(" ")}`,
    "",
    `lib${prefix}.so: ${prefix}.c ${prefix}.h`,
    `\t$(CC) $(CFLAGS) -fPIC -shared -pthread -o $@ ${prefix}.c -lm`,
    "",
    `selftest: selftest.c ${prefix}.c ${prefix}.h`,
    `\t$(CC) $(CFLAGS) -pthread -o $@ selftest.c ${prefix}.c -lm`,
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

/**
 * A program that runs the layer without Node: several token counts (none, one, more), one thread and several; results must be the
 * same bits, and nothing may be written outside the buffers.
 */
export function emitSelfTest(program: Program): string {
  const { prefix, buffers, symbols } = cInterface(program);
  const out = new CodeWriter();
  const count = buffers.length;
  out.lines([
    `/* Self-test of layer ${program.name}: the same bits with one thread and with several, and no write outside the buffers. */`,
    `#include "${prefix}.h"`,
    "",
    "#include <stdio.h>",
    "#include <stdlib.h>",
    "#include <string.h>",
    "",
    `enum { GUARD = 64, BUFFERS = ${count + 1} };`,
    "",
    "typedef enum { GIVEN, MADE } role;",
    "typedef enum { F32, BF16, I32 } dtype;",
    `typedef struct { const char *name; dtype type; role made; } description;`,
    "",
    "static const description descriptions[BUFFERS] = {",
    ...buffers.map((b) => {
      const made = b.role === "output" || b.role === "prepared" ? "MADE" : "GIVEN";
      return `  {"${b.name}", ${b.dtype.toUpperCase()}, ${made}}, /* ${typeText(b.dtype, b.dims)} */`;
    }),
    `  {"workspace", I32, MADE},`,
    "};",
    "",
  ]);
  out.block("static void sizes(const int64_t *dims, size_t *bytes)", () => {
    out.line("(void)dims;");
    for (const [i, symbol] of symbols.entries()) out.line(`const int64_t ${identifier(symbol)} = dims[${i}];`);
    for (const symbol of symbols) out.line(`(void)${identifier(symbol)};`);
    for (const [i, b] of buffers.entries()) {
      const elements = b.dims.map((d) => `(size_t)(${dimText(d)})`).join(" * ") || "1";
      out.line(`bytes[${i}] = ${elements} * ${dtypeBytes[b.dtype]};`);
    }
    out.line(`bytes[${count}] = (size_t)${prefix}_workspace(dims);`);
  });
  out.lines(selfTestBody(prefix, symbols.length).split("\n"));
  return out.toString();
}

const selfTestBody = (prefix: string, symbols: number): string => `
static uint64_t state = 20250101;

/* Uniform in [-1, 1): xorshift64. */
static float uniform(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (float)(int64_t)(state >> 40) / (float)(1 << 23) - 1.0f;
}

static void fill(void *memory, size_t bytes, dtype type) {
  if (type == F32) for (size_t i = 0; i < bytes / 4; i++) ((float *)memory)[i] = uniform();
  if (type == BF16) {
    for (size_t i = 0; i < bytes / 2; i++) {
      const float value = uniform();
      uint32_t bits;
      memcpy(&bits, &value, 4);
      ((uint16_t *)memory)[i] = (uint16_t)(bits >> 16);
    }
  }
  if (type == I32) memset(memory, 0, bytes);
}

static int guards_hold(const unsigned char *memory, size_t bytes, const char *name) {
  for (size_t i = 0; i < GUARD; i++) {
    if (memory[i] != 0xa5 || memory[GUARD + bytes + i] != 0xa5) {
      printf("FAILED: %s was written outside its bounds\\n", name);
      return 0;
    }
  }
  return 1;
}

static int check(int64_t size) {
  int64_t dims[${Math.max(1, symbols)}];
  for (int i = 0; i < ${Math.max(1, symbols)}; i++) dims[i] = size;
  size_t bytes[BUFFERS];
  sizes(dims, bytes);
  unsigned char *memory[BUFFERS], *first[BUFFERS] = {0};
  void *pointers[BUFFERS];
  int good = 1;
  for (int i = 0; i < BUFFERS; i++) {
    memory[i] = aligned_alloc(64, (bytes[i] + 2 * GUARD + 63) / 64 * 64);
    if (!memory[i]) { printf("FAILED: no memory for %s\\n", descriptions[i].name); return 0; }
    memset(memory[i], 0xa5, bytes[i] + 2 * GUARD);
    pointers[i] = memory[i] + GUARD;
    if (descriptions[i].made == GIVEN) fill(pointers[i], bytes[i], descriptions[i].type);
  }
  for (int threads = 1; threads <= 3 && good; threads++) {
    int status = ${prefix}_prepare(pointers, dims, threads);
    if (status == 0) status = ${prefix}_run(pointers, dims, threads);
    if (status != 0) { printf("FAILED: status %d\\n", status); good = 0; }
    for (int i = 0; i < BUFFERS && good; i++) {
      good = guards_hold(memory[i], bytes[i], descriptions[i].name);
      if (!good || descriptions[i].made != MADE || i == BUFFERS - 1) continue;
      if (threads == 1) {
        first[i] = malloc(bytes[i] + 1);
        if (!first[i]) { printf("FAILED: no memory\\n"); good = 0; continue; }
        memcpy(first[i], pointers[i], bytes[i]);
      } else if (memcmp(first[i], pointers[i], bytes[i]) != 0) {
        printf("FAILED: %s differs between 1 and %d threads\\n", descriptions[i].name, threads);
        good = 0;
      }
    }
  }
  for (int i = 0; i < BUFFERS; i++) {
    free(memory[i]);
    free(first[i]);
  }
  return good;
}

int main(void) {
  const int64_t tokens[] = {0, 1, 13};
  int passed = 1;
  for (int i = 0; i < 3; i++) passed = check(tokens[i]) && passed;
  printf("%s\\n", passed ? "${prefix}: self-test passed" : "${prefix}: self-test FAILED");
  return passed ? 0 : 1;
}`;
