import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { LackError, type SourceTree } from "../backend.ts";

/** A compiler of this machine. */
export interface Compiler {
  /** The program and the arguments that always precede others ("ccache gcc"). */
  readonly command: readonly string[];
  /** First line of `--version`. */
  readonly version: string;
}

/** A language to compile: where to look for its compiler, and how to get one. */
export interface CompilerChoice {
  /** "C", "C++". */
  readonly language: string;
  /** Environment variable that names a compiler. */
  readonly variable: string;
  readonly candidates: readonly string[];
  /** The command that installs one. */
  readonly mend: string;
}

/** Runs a program without a shell. Resolves with its status; `status` is undefined where it cannot be started. */
export function runProgram(
  command: readonly string[],
  args: readonly string[],
  cwd?: string,
): Promise<{ readonly status: number | undefined; readonly output: string }> {
  const [program = "", ...first] = command;
  return new Promise((resolve) => {
    const options = { maxBuffer: 16 << 20, ...(cwd === undefined ? {} : { cwd }) };
    execFile(program, [...first, ...args], options, (error, stdout, stderr) => {
      const output = `${stdout}${stderr}`;
      if (!error) resolve({ status: 0, output });
      else
        resolve({ status: typeof error.code === "number" ? error.code : undefined, output: output || error.message });
    });
  });
}

/**
 * The first of the compiler that the environment names, or of the candidates, that answers `--version`.
 * Throws LackError, with the command that installs one, where none does.
 */
export async function findCompiler(choice: CompilerChoice, env: NodeJS.ProcessEnv = process.env): Promise<Compiler> {
  const { language, variable, mend } = choice;
  const chosen = env[variable]?.trim();
  const words = (text: string): string[] => (existsSync(text) ? [text] : text.split(/\s+/));
  const candidates = chosen ? [words(chosen)] : choice.candidates.map((c) => [c]);
  for (const [program = "", ...first] of candidates) {
    // Builds run in folders of their own.
    const command = [program.includes("/") ? resolve(program) : program, ...first];
    const { status, output } = await runProgram(command, ["--version"]);
    if (status === 0) return { command, version: output.split("\n")[0]?.trim() ?? "" };
  }
  const tried = candidates.map((c) => c.join(" ")).join(" or ");
  throw chosen
    ? new LackError(
        `expected a ${language} compiler in ${variable}, found "${tried}", which does not run`,
        `unset ${variable}, or ${mend}`,
      )
    : new LackError(`expected a ${language} compiler (${tried}), found none on the PATH`, mend);
}

/**
 * Builds a shared library from a tree of sources and returns its bytes. `args` come before the output's name, `inputs` after it.
 * Throws LackError where the compiler refuses, with the first of its messages.
 * @param what what is built, for the message
 */
export async function buildLibrary(
  compiler: Compiler,
  sources: SourceTree,
  args: readonly string[],
  inputs: readonly string[],
  what: { readonly title: string; readonly mend: string },
): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), "unmoor-build-"));
  try {
    for (const [path, text] of sources) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    const library = join(folder, "library.so");
    const { status, output } = await runProgram(compiler.command, [...args, "-o", library, ...inputs], folder);
    if (status !== 0) throw refused(compiler, what, output);
    return await readFile(library);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Builds a library of one file, to see whether a compiler that answers is whole: it may lack headers or a linker, or not know
 * the flags. Throws LackError, as buildLibrary does.
 */
export async function tryCompiler(
  compiler: Compiler,
  [file, text]: readonly [file: string, text: string],
  args: readonly string[],
  what: { readonly title: string; readonly mend: string },
): Promise<void> {
  await buildLibrary(compiler, new Map([[file, text]]), args, [file], what);
}

function refused(
  compiler: Compiler,
  what: { readonly title: string; readonly mend: string },
  output: string,
): LackError {
  const lines = output.split("\n").filter((l) => l.trim() !== "");
  const first = lines.find((l) => /error|fatal/.test(l)) ?? lines[0] ?? "it said nothing";
  return new LackError(
    `${compiler.command.join(" ")} (${compiler.version}) cannot build ${what.title}: ${first.trim()}`,
    what.mend,
  );
}
