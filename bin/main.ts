import { Command, CommanderError } from "commander";
import { unmoorVersion } from "../runtime/version.ts";
import { type Environment, processEnvironment } from "./environment.ts";
import { failureOf, reportFailure, status } from "./failure.ts";

/** A command's work; resolves with the exit status. */
export type Run = (work: () => Promise<number>) => Promise<void>;

/** How each command enters the program. Only the one that is called is loaded; all are where help lists them. */
const commands: Readonly<
  Record<string, () => Promise<(program: Command, run: Run, environment: Environment) => void>>
> = {
  compile: async () => (await import("./commands/compile.ts")).compileCommand,
  check: async () => (await import("./commands/check.ts")).checkCommand,
  bench: async () => (await import("./commands/bench.ts")).benchCommand,
  tune: async () => (await import("./commands/tune.ts")).tuneCommand,
  exec: async () => (await import("./commands/exec.ts")).execCommand,
  explain: async () => (await import("./commands/explain.ts")).explainCommand,
  ascend: async () => (await import("./commands/ascend.ts")).ascendCommand,
  doctor: async () => (await import("./commands/doctor.ts")).doctorCommand,
};

/**
 * The `unmoor` command. Resolves with its exit status: 0 done, 1 the targets disagree, 2 the input is wrong, 3 this machine
 * lacks something. Whatever goes wrong is told as a diagnostic, never as a stack trace.
 * @param argv the arguments after the program's name
 */
export async function main(argv: readonly string[], environment: Environment = processEnvironment()): Promise<number> {
  let ended: number = status.done;
  const run: Run = async (work) => {
    ended = await work();
  };
  const program = new Command("unmoor")
    .description(
      "Compiles Mixture-of-Experts layers to SIMD C, WGSL and Ascend C++, checks that they agree, and measures them.",
    )
    .version(unmoorVersion(), "--version")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => environment.out(text), writeErr: () => {} });
  const [first] = argv;
  const called = first !== undefined && Object.hasOwn(commands, first) ? [commands[first]] : Object.values(commands);
  for (const load of called) (await load?.())?.(program, run, environment);
  program.addHelpText(
    "after",
    "\nExit status: 0 done; 1 the targets disagree; 2 the input is wrong; 3 this machine lacks something.",
  );
  const command = program.commands.find((c) => c.name() === first)?.name() ?? "";
  if (first === undefined) {
    environment.err(program.helpInformation());
    return status.input;
  }
  try {
    await program.parseAsync([...argv], { from: "user" });
    return ended;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return status.done;
    return reportFailure(failureOf(error, command), error, argv.includes("--json"), environment);
  }
}
