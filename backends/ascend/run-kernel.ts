import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { DiagnosticError } from "../../ir/core/diagnostic.ts";
import type { Span } from "../../ir/core/span.ts";
import { buildKey, cachedLibrary, cacheFolder } from "../toolchain/cache.ts";
import { findCompiler, runProgram } from "../toolchain/compiler.ts";
import { emulatorBuild } from "./emulator-build.ts";
import type { KernelEntry } from "./kernel-source.ts";
import { cppCompiler, emulatorInclude } from "./support.ts";

/** What a parameter of a kernel gets. */
export type KernelArgument =
  | { readonly kind: "in"; readonly bytes: Uint8Array }
  | { readonly kind: "out" | "work"; readonly bytes: number }
  | { readonly kind: "value"; readonly number: string };

export interface KernelRun {
  /** The C++ file, and its text. */
  readonly file: string;
  readonly source: string;
  readonly kernel: KernelEntry;
  /** One per parameter, in their order. */
  readonly arguments: readonly KernelArgument[];
  /** Parameters whose memory is read back. */
  readonly read: ReadonlySet<string>;
  /** Without KERNEL_TYPE_: "AIV_ONLY". */
  readonly type: string;
  readonly blocks: number;
  readonly soc: string;
  readonly seed: number;
  readonly seeds: number;
  readonly tilingKey: number;
  readonly autoSync: boolean;
  readonly trace: string | undefined;
}

export interface KernelResult {
  /** Memory after the last seed, by parameter. */
  readonly memory: ReadonlyMap<string, Buffer>;
  /** Parameters whose memory was not the same for every seed. */
  readonly differing: readonly string[];
  readonly compiler: string;
  /** What the kernel printed. */
  readonly output: string;
}

interface Fault {
  readonly kernel: string;
  readonly block: string;
  readonly seed: number;
  readonly file: string;
  readonly line: number;
  readonly code: string;
  readonly operation: string;
  readonly buffer: string;
  readonly expected: string;
  readonly found: string;
  readonly remedy: string;
}

/**
 * Compiles a kernel that somebody wrote by hand with the emulator's headers, and runs it in a process of its own.
 * @throws DiagnosticError where the compiler refuses it, where the emulator finds a fault, or where the process dies
 */
export async function runKernel(run: KernelRun): Promise<KernelResult> {
  const compiler = await findCompiler(cppCompiler);
  const folder = await mkdtemp(join(tmpdir(), "unmoor-kernel-"));
  try {
    const { name } = run.kernel;
    await writeFile(
      join(folder, "main.cpp"),
      [
        `#include ${JSON.stringify(resolve(run.file))}`,
        '#include "unmoor/ascend_run.h"',
        `int main(int argc, char **argv) { return unmoor::ascend::runKernel("${name}", ${name}, argc, argv); }`,
        "",
      ].join("\n"),
    );
    const { flags, objects, key } = await emulatorBuild(compiler);
    const main = join(folder, "main.cpp");
    const compile = async (...args: string[]): Promise<string> => {
      const { status, output } = await runProgram(compiler.command, args);
      if (status !== 0) throw refused(run, compiler.version, output);
      return output;
    };
    // Whatever the file includes counts, and so do the names of files and the lines, which the program tells of its faults.
    const text = await compile("-std=c++17", "-I", emulatorInclude(), "-E", main);
    const sources = new Map([["main.cpp", text.replaceAll(folder, "")]]);
    const program = await cachedLibrary(cacheFolder("ascend"), buildKey(sources, [key]), async () => {
      const path = join(folder, "program");
      await compile(...flags, main, ...objects, "-o", path);
      return readFile(path);
    });

    const report = join(folder, "report.json");
    const args = ["--report", report, "--type", run.type, "--soc", run.soc];
    const numbers = { blocks: run.blocks, seed: run.seed, seeds: run.seeds, "tiling-key": run.tilingKey };
    for (const [option, value] of Object.entries(numbers)) args.push(`--${option}`, String(value));
    if (run.autoSync) args.push("--auto-sync");
    if (run.trace !== undefined) args.push("--trace", resolve(run.trace));
    for (const [i, argument] of run.arguments.entries()) {
      const parameter = run.kernel.parameters[i]?.name ?? "";
      if (argument.kind === "value") args.push(`value:${argument.number}`);
      else if (argument.kind === "in") {
        const path = join(folder, `${parameter}.in`);
        await writeFile(path, argument.bytes);
        args.push(`in:${parameter}:${path}`);
      } else args.push(`${argument.kind}:${parameter}:${argument.bytes}`);
      if (run.read.has(parameter)) args.push("--save", `${parameter}:${join(folder, `${parameter}.out`)}`);
    }
    const ran = await runProgram([program], args);
    const told: { readonly fault?: Fault; readonly differing?: readonly string[] } = JSON.parse(
      await readFile(report, "utf8").catch(() => "{}"),
    );
    if (told.fault) throw faulty(run, told.fault);
    if (ran.status !== 0 || !told.differing) throw died(run, ran.output);
    const memory = new Map<string, Buffer>();
    for (const parameter of run.read) memory.set(parameter, await readFile(join(folder, `${parameter}.out`)));
    return {
      memory,
      differing: told.differing,
      compiler: `${compiler.command.join(" ")}: ${compiler.version}`,
      output: ran.output,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The first of the compiler's errors, at the place in the kernel's file that led to it. */
function refused({ file, source, kernel }: KernelRun, compiler: string, output: string): DiagnosticError {
  const lines = output.split("\n");
  const own = resolve(file);
  const first = lines.findIndex((l) => /: (fatal )?error: /.test(l));
  const message = /: (?:fatal )?error: (.*)/.exec(lines[first] ?? "")?.[1] ?? (lines[0] || "it said nothing");
  // An error within the headers names the caller before ("required from here") or after it (candidates).
  const places = [lines[first] ?? "", ...lines.slice(0, first).reverse(), ...lines.slice(first)];
  const place = places.find((l) => l.startsWith(`${own}:`)) ?? "";
  const [line, column] = place.slice(own.length + 1).split(":");
  const span: Span = {
    file,
    line: Number(line) || kernel.line,
    column: Number(line) ? Number(column) || 1 : kernel.column,
    length: 1,
  };
  const launch = source.split("\n")[span.line - 1]?.includes("<<<");
  return new DiagnosticError([
    {
      code: "U222",
      span,
      message: `the kernel does not compile: ${message}`,
      expected: `Ascend C that ${compiler} compiles with the emulator's headers`,
      help: launch
        ? "Keep launches away from a host compiler: #ifndef UNMOOR_ASCEND_EMULATOR … #endif."
        : "Call it as Ascend C declares it; what the emulator lacks is listed in docs/ascend.md.",
    },
  ]);
}

function faulty(run: KernelRun, fault: Fault): DiagnosticError {
  const { file, kernel } = run;
  const own = fault.file === resolve(file);
  const text = own ? (run.source.split("\n")[fault.line - 1] ?? "") : "";
  const span: Span =
    fault.line === 0
      ? { file, line: kernel.line, column: kernel.column, length: kernel.name.length }
      : {
          file: own ? file : fault.file,
          line: fault.line,
          column: text.search(/\S|$/) + 1,
          length: Math.max(1, text.trim().length),
        };
  const who = fault.kernel === "" ? "after the kernel" : `${fault.kernel}, ${fault.block}`;
  const where = fault.buffer === "" ? "" : `: ${fault.buffer}`;
  return new DiagnosticError([
    {
      code: "U223",
      span,
      message: `${who}, seed ${fault.seed}: ${fault.operation} [${fault.code}]${where}`,
      expected: fault.expected,
      found: fault.found,
      help: `${fault.remedy.charAt(0).toUpperCase()}${fault.remedy.slice(1)}.`,
    },
  ]);
}

/** The kernel's own code ended the process: an assert, a signal, an exception. */
const died = ({ file, kernel }: KernelRun, output: string): DiagnosticError =>
  new DiagnosticError([
    {
      code: "U223",
      span: { file, line: kernel.line, column: kernel.column, length: kernel.name.length },
      message: `${kernel.name} ended without a result`,
      expected: "a kernel that runs to its end",
      found: output.trim().split("\n").slice(-3).join(" / ") || "no message",
      help: "Look for pointers that are followed by hand: only accesses through tensors are checked.",
    },
  ]);
