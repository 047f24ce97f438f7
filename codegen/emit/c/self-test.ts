import { dtypeBytes, elementTypes } from "../../../ir/core/types.ts";
import type { ProgramBuffer } from "../../program.ts";
import { typeText } from "../c-family/interface.ts";
import { sizeIdentifier } from "../c-family/names.ts";
import { dimText } from "../c-family/offset.ts";
import { CodeWriter } from "../c-family/writer.ts";

type Content = "GIVEN" | "PREPARED" | "MADE" | "SCRATCH";

const contents: Readonly<Record<ProgramBuffer["role"], Content>> = {
  input: "GIVEN",
  weight: "GIVEN",
  prepared: "PREPARED",
  output: "MADE",
  temporary: "SCRATCH",
};

/** A layer's C functions, as far as a self-test must know them. */
export interface TestedLayer {
  readonly layer: string;
  /** Prefix of the functions. */
  readonly prefix: string;
  readonly buffers: readonly ProgramBuffer[];
  /** Memory that follows the buffers, with its bytes as C text over `dims`. What is left in scratch memory nobody reads. */
  readonly memories: readonly { readonly name: string; readonly content: Content; readonly bytes: string }[];
  readonly symbols: readonly string[];
  /** Variants that `prefix_use` chooses among; none where there is but one. */
  readonly isas: readonly string[];
}

/**
 * A program that runs the layer without Node, in every variant that the CPU has: several token counts (none, one, more), one
 * thread and several; results must be the same bits, and nothing may be written outside the buffers.
 */
export function emitSelfTest(tested: TestedLayer): string {
  const { layer, prefix, buffers, memories, symbols } = tested;
  const out = new CodeWriter();
  const count = buffers.length;
  out.lines([
    `/* Self-test of layer ${layer}: the same bits with one thread and with several, and no write outside the buffers. */`,
    `#include "${prefix}.h"`,
    "",
    "#include <stdio.h>",
    "#include <stdlib.h>",
    "#include <string.h>",
    "",
    "#ifndef __has_feature",
    "#define __has_feature(x) 0 /* of clang, which has no __SANITIZE_ADDRESS__ */",
    "#endif",
    "#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer)",
    "enum { GUARD = 0 }; /* AddressSanitizer guards memory to the byte, and reads too */",
    "#else",
    "enum { GUARD = 64 };",
    "#endif",
    `enum { BUFFERS = ${count + memories.length} };`,
    "",
    "typedef enum { GIVEN, PREPARED, MADE, SCRATCH } content;",
    `typedef enum { ${elementTypes.map((t) => t.toUpperCase()).join(", ")} } dtype;`,
    `typedef struct { const char *name; dtype type; content content; } description;`,
    "",
    "static const description descriptions[BUFFERS] = {",
    ...buffers.map((b) => {
      return `  {"${b.name}", ${b.dtype.toUpperCase()}, ${contents[b.role]}}, /* ${typeText(b.dtype, b.dims)} */`;
    }),
    ...memories.map(({ name, content }) => `  {"${name}", I32, ${content}},`),
    "};",
    "",
  ]);
  out.block("static void sizes(const int64_t *dims, size_t *bytes)", () => {
    out.line("(void)dims;");
    for (const [i, symbol] of symbols.entries()) out.line(`const int64_t ${sizeIdentifier(symbol)} = dims[${i}];`);
    for (const symbol of symbols) out.line(`(void)${sizeIdentifier(symbol)};`);
    for (const [i, b] of buffers.entries()) {
      const elements = b.dims.map((d) => `(size_t)(${dimText(d)})`).join(" * ") || "1";
      out.line(`bytes[${i}] = ${elements} * ${dtypeBytes[b.dtype]};`);
    }
    for (const [i, { bytes }] of memories.entries()) out.line(`bytes[${count + i}] = (size_t)${bytes};`);
  });
  out.lines(checks(prefix, symbols.length).split("\n"));
  out.lines((tested.isas.length > 0 ? mainOfVariants(prefix, tested.isas) : mainOfOne(prefix)).split("\n"));
  return out.toString();
}

const checks = (prefix: string, symbols: number): string => `
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
  if (type == BF16 || type == F16) {
    for (size_t i = 0; i < bytes / 2; i++) {
      const float value = uniform();
      uint32_t bits;
      memcpy(&bits, &value, 4);
      const uint32_t exponent = bits >> 23 & 0xff;
      const uint32_t half = exponent > 112 ? (exponent - 112) << 10 | (bits >> 13 & 0x3ff) : 0;
      ((uint16_t *)memory)[i] = (uint16_t)(type == BF16 ? bits >> 16 : (bits >> 16 & 0x8000) | half);
    }
  }
  if (type == U8 || type == I8) for (size_t i = 0; i < bytes; i++) ((uint8_t *)memory)[i] = (uint8_t)(uniform() * 128 + 128);
  if (type == I32 || type == U32 || type == BOOL) memset(memory, 0, bytes);
}

/* Memory that ends with its last byte, so that AddressSanitizer sees what is beyond. */
static void *allocate(size_t bytes) { return bytes % 64 == 0 ? aligned_alloc(64, bytes) : malloc(bytes); }

static int guards_hold(const unsigned char *memory, size_t bytes, const char *name) {
  for (size_t i = 0; i < GUARD; i++) {
    if (memory[i] != 0xa5 || memory[GUARD + bytes + i] != 0xa5) {
      printf("FAILED: %s was written outside its bounds\\n", name);
      return 0;
    }
  }
  return 1;
}

static size_t bytes[BUFFERS];
static unsigned char *memory[BUFFERS];

/* Makes the buffers that are of another size than before; weights stay what they are. */
static int make_buffers(const int64_t *dims) {
  size_t wanted[BUFFERS];
  sizes(dims, wanted);
  for (int i = 0; i < BUFFERS; i++) {
    if (memory[i] && bytes[i] == wanted[i]) continue;
    free(memory[i]);
    bytes[i] = wanted[i];
    memory[i] = allocate(bytes[i] + 2 * GUARD);
    if (!memory[i] && bytes[i] > 0) {
      printf("FAILED: no memory for the %zu bytes of %s: compile the layer at smaller sizes\\n", bytes[i], descriptions[i].name);
      bytes[i] = 0;
      return 0;
    }
    memset(memory[i], 0xa5, bytes[i] + 2 * GUARD);
    if (descriptions[i].content == GIVEN) fill(memory[i] + GUARD, bytes[i], descriptions[i].type);
  }
  return 1;
}

/* Runs the layer at a size with 1 to 3 threads, which also prepare weights if so asked. */
static int check(int64_t size, int preparing) {
  int64_t dims[${Math.max(1, symbols)}];
  for (int i = 0; i < ${Math.max(1, symbols)}; i++) dims[i] = size;
  if (!make_buffers(dims)) return 0;
  void *pointers[BUFFERS];
  for (int i = 0; i < BUFFERS; i++) pointers[i] = memory[i] + GUARD;
  unsigned char *first[BUFFERS] = {0};
  int good = 1;
  for (int threads = 1; threads <= 3 && good; threads++) {
    int status = preparing ? ${prefix}_prepare(pointers, dims, threads) : 0;
    if (status == 0) status = ${prefix}_run(pointers, dims, threads);
    if (status != 0) { printf("FAILED: status %d\\n", status); good = 0; }
    for (int i = 0; i < BUFFERS && good; i++) {
      good = guards_hold(memory[i], bytes[i], descriptions[i].name);
      const content is = descriptions[i].content;
      if (!good || !(is == MADE || (is == PREPARED && preparing))) continue;
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
  for (int i = 0; i < BUFFERS; i++) free(first[i]);
  return good;
}

static int check_all(void) {
  const int64_t tokens[] = {0, 1, 13, 67};
  int passed = 1;
  for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) passed = check(tokens[i], i == 0) && passed;
  return passed;
}
`;

const mainOfOne = (prefix: string): string => `
int main(void) {
  const int passed = check_all();
  printf("%s\\n", passed ? "${prefix}: self-test passed" : "${prefix}: self-test FAILED");
  return passed ? 0 : 1;
}`;

const mainOfVariants = (prefix: string, isas: readonly string[]): string => `
int main(void) {
  const char *const isas[] = {${isas.map((isa) => `"${isa}"`).join(", ")}};
  int passed = 1, ran = 0;
  if (${prefix}_use(0) != 0 || ${prefix}_use("no such variant") != 3) {
    printf("FAILED: ${prefix}_use\\n");
    return 1;
  }
  printf("${prefix}: %s is the best variant for this CPU\\n", ${prefix}_isa());
  for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
    if (${prefix}_use(isas[i]) != 0) {
      printf("${prefix}: %s: this CPU has it not\\n", isas[i]);
      continue;
    }
    const int good = check_all();
    printf("${prefix}: %s: self-test %s\\n", isas[i], good ? "passed" : "FAILED");
    passed = good && passed;
    ran++;
  }
  return passed && ran > 0 ? 0 : 1;
}`;
