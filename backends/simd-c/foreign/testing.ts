import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { emitC } from "../../../codegen/emit/c/index.ts";
import { commonFlags, type VectorIsa } from "../../../codegen/emit/c/isa.ts";
import { cInterface } from "../../../codegen/emit/c-family/interface.ts";
import { workspaceBytes } from "../../../codegen/memory.ts";
import type { Program } from "../../../codegen/program.ts";
import type { TypedArray } from "../../../codegen/tile/interpreter.ts";
import { dtypeBytes } from "../../../ir/core/types.ts";
import { supportHeaders } from "../support.ts";
import { scalar } from "../targets.ts";
import { arrayOf, GUARD, guardByte } from "../testing.ts";

/** Helpers for tests of variants of other CPUs: cross compilers and emulators. */

/** Whether a command is on the PATH. */
export const has = (command: string): boolean => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;

/** How a program for a variant is built and run on this machine. */
export interface Machine {
  /** Whether it is the CPU itself: libraries can be loaded, and what is measured counts. */
  readonly native: boolean;
  /** A C compiler with its arguments. */
  readonly compiler: readonly string[];
  /** What it takes besides for the variant. */
  readonly flags: readonly string[];
  /** Arguments after the sources. */
  readonly libraries: readonly string[];
  /** What comes before the program's path. */
  readonly runner: readonly string[];
}

const threads = ["-pthread", "-lm"];

/** What the tests' C programs take from a C library, for WebAssembly without one, and the host that runs them. */
const wasmHost: Readonly<Record<string, string>> = {
  "stdio.h": `#include <stddef.h>
enum { stdin, stdout };
__attribute__((import_module("host"), import_name("read"))) size_t host_read(void *p, size_t bytes);
__attribute__((import_module("host"), import_name("write"))) void host_write(const void *p, size_t bytes);
static inline size_t fread(void *p, size_t size, size_t n, int file) { (void)file; return host_read(p, size * n) / size; }
static inline size_t fwrite(const void *p, size_t size, size_t n, int file) { (void)file; host_write(p, size * n); return n; }
`,
  "stdlib.h": `#include <stddef.h>
#include <stdint.h>
__attribute__((import_module("host"), import_name("exit"), noreturn)) void exit(int status);
extern unsigned char __heap_base;
static inline void *aligned_alloc(size_t alignment, size_t bytes) {
  static uintptr_t next;
  if (next == 0) next = (uintptr_t)&__heap_base;
  next = (next + alignment - 1) / alignment * alignment;
  unsigned char *const made = (unsigned char *)next;
  next += bytes;
  while (__builtin_wasm_memory_size(0) * 65536 < next)
    if (__builtin_wasm_memory_grow(0, 16) == (size_t)-1) return 0;
  return made;
}
`,
  "run.mjs": `import { readFileSync, writeSync } from "node:fs";
const input = readFileSync(0);
let at = 0;
const view = (p, bytes) => new Uint8Array(instance.exports.memory.buffer, p, bytes);
const host = {
  read(p, bytes) {
    const part = input.subarray(at, at + bytes);
    view(p, part.length).set(part);
    at += part.length;
    return part.length;
  },
  write(p, bytes) {
    for (let done = 0; done < bytes; ) done += writeSync(1, view(p, bytes), done, bytes - done);
  },
  exit: (status) => process.exit(status),
};
const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), { host });
process.exitCode = instance.exports.test_main();
`,
};

let wasmFolder: string | undefined;

/** clang and lld for WebAssembly, and Node. */
function wasmMachine(flags: readonly string[]): Machine {
  const folder = wasmFolder ?? mkdtempSync(join(tmpdir(), "unmoor-wasm-"));
  if (wasmFolder === undefined) {
    wasmFolder = folder;
    process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
    for (const [name, text] of Object.entries(wasmHost)) writeFileSync(join(folder, name), text);
  }
  return {
    native: false,
    compiler: ["clang", "--target=wasm32", "-nostdlib", "-Iwasm", `-I${folder}`, "-Dmain=test_main"],
    flags,
    libraries: ["-Wl,--no-entry", "-Wl,--export=test_main", "-Wl,-z,stack-size=4194304"],
    runner: [process.execPath, join(folder, "run.mjs")],
  };
}

/** Says AVX-512 in plain C by SIMDe, where Debian puts it. */
const simde = "/usr/include/simde/x86/avx512.h";
const emulation = fileURLToPath(new URL("avx512", import.meta.url));

/**
 * This CPU with AVX2, for sources that are compiled against an emulation of the AVX-512 intrinsics. What the emulation lacks does
 * not compile. Vectors of 512 bits are passed otherwise than with AVX-512, of which the compiler warns.
 */
function avx512Machine(flags: readonly string[]): Machine {
  const others = flags.filter((flag) => !flag.startsWith("-mavx512"));
  const bf16 = flags.includes("-mavx512bf16") ? ["-DUNMOOR_EMULATE_BF16"] : [];
  return {
    native: false,
    compiler: ["gcc"],
    flags: [`-I${emulation}`, ...others, "-mf16c", ...bf16, "-Wno-psabi"],
    libraries: threads,
    runner: [],
  };
}

/** The CPU itself where it has the variant; else a way to emulate it; else in words what is missing. */
export function machineFor(isa: VectorIsa, host: { cpuFeatures(): ReadonlySet<string> }): Machine | string {
  const features = host.cpuFeatures();
  const lacks = isa.features.filter((f) => !features.has(f));
  if (lacks.length === 0) return { native: true, compiler: ["gcc"], flags: isa.flags, libraries: threads, runner: [] };
  if (isa.architecture === "wasm32")
    return has("clang") && has("wasm-ld")
      ? wasmMachine(isa.flags)
      : "clang and wasm-ld are needed: apt-get install -y clang lld";
  if (lacks.every((f) => f.startsWith("avx512")))
    return existsSync(simde)
      ? avx512Machine(isa.flags)
      : `this CPU lacks ${lacks.join(", ")}, and SIMDe is missing: apt-get install -y libsimde-dev`;
  if (isa.architecture !== "aarch64" || process.arch === "arm64") return `this CPU lacks ${lacks.join(", ")}`;
  if (!has("aarch64-linux-gnu-gcc"))
    return "aarch64-linux-gnu-gcc is missing: apt-get install -y gcc-aarch64-linux-gnu libc6-dev-arm64-cross";
  if (!has("qemu-aarch64")) return "qemu-aarch64 is missing: apt-get install -y qemu-user";
  return {
    native: false,
    compiler: ["aarch64-linux-gnu-gcc", "-static"],
    flags: isa.flags,
    libraries: threads,
    runner: ["qemu-aarch64", "-cpu", "max"],
  };
}

/** Writes files below a folder, and the folders that they need. */
export function writeSources(folder: string, files: Iterable<readonly [string, string]>): void {
  for (const [path, text] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

/** Reads threads, dims, and for each piece of memory its bytes with content; prepares and runs; writes all memory. */
const driver = (prefix: string, memories: number, symbols: number): string => `#include "${prefix}.h"
#include <stdio.h>
#include <stdlib.h>

static int64_t number(void) {
  int64_t value = 0;
  if (fread(&value, sizeof value, 1, stdin) != 1) exit(4);
  return value;
}

int main(void) {
  int64_t dims[${Math.max(1, symbols)}], bytes[${memories}];
  unsigned char *memory[${memories}];
  void *pointers[${memories}];
  const int32_t threads = (int32_t)number();
  for (int i = 0; i < ${symbols}; i++) dims[i] = number();
  for (int i = 0; i < ${memories}; i++) {
    bytes[i] = number();
    memory[i] = aligned_alloc(64, (size_t)(bytes[i] + 63) / 64 * 64);
    if (!memory[i] || fread(memory[i], 1, (size_t)bytes[i], stdin) != (size_t)bytes[i]) exit(4);
    pointers[i] = memory[i] + ${GUARD};
  }
  int32_t status = ${prefix}_prepare(pointers, dims, threads);
  if (status == 0) status = ${prefix}_run(pointers, dims, threads);
  for (int i = 0; i < ${memories}; i++) fwrite(memory[i], 1, (size_t)bytes[i], stdout);
  return status;
}
`;

/** A program of one variant as an executable, run by an emulator where need be. Close it. */
export class ForeignProgram {
  readonly #folder = mkdtempSync(join(tmpdir(), "unmoor-foreign-"));
  readonly #machine: Machine;
  readonly #program: Program;

  constructor(program: Program, isa: VectorIsa, machine: Machine, more: readonly string[] = []) {
    const { prefix, buffers, symbols } = cInterface(program);
    this.#machine = machine;
    this.#program = program;
    writeSources(this.#folder, [...emitC(program, isa, scalar), ...supportHeaders([isa, scalar])]);
    writeFileSync(join(this.#folder, "driver.c"), driver(prefix, buffers.length + 1, symbols.length));
    const [compiler = "", ...options] = machine.compiler;
    const flags = [...commonFlags, ...machine.flags, "-O1", "-Wall", "-Wextra", "-Werror", ...more];
    const args = [...options, ...flags, "-o", "program", "driver.c", `${prefix}.c`, ...machine.libraries];
    execFileSync(compiler, args, { cwd: this.#folder, stdio: "pipe" });
  }

  /** Runs preparation and kernels, all buffers between guards. Throws where one fails or a guard was written. */
  async run(
    given: ReadonlyMap<string, TypedArray>,
    dims: Readonly<Record<string, number>>,
    threads: number,
  ): Promise<Map<string, TypedArray>> {
    const { buffers, symbols } = cInterface(this.#program);
    const number = (value: number): Buffer => Buffer.from(BigInt64Array.of(BigInt(value)).buffer);
    const memory = (bytes: number, data?: TypedArray): Buffer => {
      const all = Buffer.alloc(bytes + 2 * GUARD, guardByte);
      if (data) all.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), GUARD);
      return all;
    };
    const work = workspaceBytes(this.#program, dims);
    const memories = [
      ...buffers.map((b) => {
        const bytes = b.dims.reduce((n, d) => n * d.evaluate(dims), dtypeBytes[b.dtype]);
        return { name: b.name, bytes, data: memory(bytes, given.get(b.name)) };
      }),
      { name: "workspace", bytes: work, data: memory(work) },
    ];
    const input = [number(threads), ...symbols.map((s) => number(dims[s] ?? 0))];
    for (const { data } of memories) input.push(number(data.length), data);
    const [command = "", ...before] = [...this.#machine.runner, join(this.#folder, "program")];
    const ran = spawnSync(command, before, { input: Buffer.concat(input), maxBuffer: 1 << 28 });
    if (ran.status !== 0)
      throw new Error(`${this.#program.name} ended with ${ran.status ?? ran.signal}: ${ran.stderr}`);
    let at = 0;
    const results = new Map<string, TypedArray>();
    for (const [i, { name, bytes, data }] of memories.entries()) {
      const found = ran.stdout.subarray(at, at + data.length);
      at += data.length;
      for (const outside of [found.subarray(0, GUARD), found.subarray(GUARD + bytes)])
        if (outside.some((x) => x !== guardByte)) throw new Error(`${name} was written outside its bounds`);
      const b = buffers[i];
      if (b === undefined) continue;
      const Type = arrayOf(b.dtype);
      results.set(name, new Type(new Uint8Array(found.subarray(GUARD, GUARD + bytes)).buffer));
    }
    return results;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
