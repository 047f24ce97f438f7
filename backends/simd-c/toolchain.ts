import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commonFlags, type VectorIsa } from "../../codegen/emit/c/index.ts";
import { LackError, type SourceTree } from "../backend.ts";

/** A C compiler of this machine. */
export interface Compiler {
  /** The program and the arguments that always precede others ("ccache gcc"). */
  readonly command: readonly string[];
  /** First line of `--version`. */
  readonly version: string;
}

const mend = "apt-get install -y gcc";

/** Runs a program without a shell. Resolves with its status; `status` is undefined where it cannot be started. */
function run(
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
 * The first of $CC, gcc and clang that answers `--version`.
 * Throws LackError, with the command that installs one, where none does.
 */
export async function findCompiler(env: NodeJS.ProcessEnv = process.env): Promise<Compiler> {
  const chosen = env.CC?.trim();
  const candidates = chosen ? [chosen.split(/\s+/)] : [["gcc"], ["clang"]];
  for (const command of candidates) {
    const { status, output } = await run(command, ["--version"]);
    if (status === 0) return { command, version: output.split("\n")[0]?.trim() ?? "" };
  }
  const tried = candidates.map((c) => c.join(" ")).join(" or ");
  throw chosen
    ? new LackError(`expected a C compiler in CC, found "${tried}", which does not run`, `unset CC, or ${mend}`)
    : new LackError(`expected a C compiler (${tried}), found none on the PATH`, mend);
}

/** Flags of a shared library for a variant. */
export const libraryFlags = (isa: VectorIsa): string[] => [
  ...commonFlags,
  ...isa.flags,
  "-fPIC",
  "-shared",
  "-pthread",
];

/**
 * Builds a shared library from the one .c file named `source` of a tree and returns its bytes.
 * Throws LackError where the compiler refuses, with the first of its messages.
 */
export async function buildLibrary(
  compiler: Compiler,
  isa: VectorIsa,
  sources: SourceTree,
  source: string,
): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), "unmoor-build-"));
  try {
    for (const [path, text] of sources) await writeFile(join(folder, path), text);
    const library = join(folder, "library.so");
    const args = [...libraryFlags(isa), "-o", library, source, "-lm"];
    const { status, output } = await run(compiler.command, args, folder);
    if (status !== 0) throw compileError(compiler, isa, output);
    return await readFile(library);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function compileError(compiler: Compiler, isa: VectorIsa, output: string): LackError {
  const lines = output.split("\n").filter((l) => l.trim() !== "");
  const first = lines.find((l) => /error|fatal/.test(l)) ?? lines[0] ?? "it said nothing";
  return new LackError(
    `${compiler.command.join(" ")} (${compiler.version}) cannot build the ${isa.name} variant: ${first.trim()}`,
    `install gcc 10 or newer (${mend}), or choose another --isa`,
  );
}
