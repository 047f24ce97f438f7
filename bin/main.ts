import { Command, CommanderError } from "commander";
import { unmoorVersion } from "../runtime/version.ts";
import { benchCommand } from "./commands/bench.ts";
import { checkCommand } from "./commands/check.ts";
import { compileCommand } from "./commands/compile.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { execCommand } from "./commands/exec.ts";
import { explainCommand } from "./commands/explain.ts";
import { type Environment, processEnvironment } from "./environment.ts";
import { failureOf, reportFailure, status } from "./failure.ts";

/** A command's work; resolves with the exit status. */
export type Run = (work: () => Promise<number>) => Promise<void>;

const commands = [compileCommand, checkCommand, benchCommand, execCommand, explainCommand, doctorCommand];

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
  for (const add of commands) add(program, run, environment);
  program.addHelpText(
    "after",
    "\nExit status: 0 done; 1 the targets disagree; 2 the input is wrong; 3 this machine lacks something.",
  );
  const [first] = argv;
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
