import { readFileSync } from "node:fs";
import { CommanderError } from "commander";
import { LackError } from "../backends/backend.ts";
import { type Diagnostic, DiagnosticError, formatDiagnostic, IrError } from "../ir/core/diagnostic.ts";
import { noSpan } from "../ir/core/span.ts";
import { SafetensorsError } from "../runtime/safetensors/error.ts";
import type { Code } from "./codes.ts";
import type { Environment } from "./environment.ts";

/** Exit statuses. `fault` is a bug of Unmoor's own, told apart from all that a user can meet. */
export const status = { done: 0, disagreement: 1, input: 2, lack: 3, fault: 70 } as const;

export interface Failure {
  readonly kind: "input" | "lack" | "fault";
  readonly diagnostics: readonly Diagnostic[];
}

const placeless = (code: Code, message: string, help: string): Diagnostic => ({ code, span: noSpan, message, help });

const commanderCodes: Readonly<Record<string, Code>> = {
  "commander.unknownOption": "U401",
  "commander.unknownCommand": "U402",
  "commander.missingArgument": "U403",
  "commander.optionMissingArgument": "U403",
  "commander.missingMandatoryOptionValue": "U403",
  "commander.excessArguments": "U404",
  "commander.invalidArgument": "U405",
  "commander.conflictingOption": "U405",
};

/** Whatever stopped a command, in the words of its user. */
export function failureOf(error: unknown, command: string): Failure {
  if (error instanceof DiagnosticError) return { kind: "input", diagnostics: error.diagnostics };
  if (error instanceof LackError)
    return { kind: "lack", diagnostics: [placeless("U500", error.message, sentence(error.mend))] };
  if (error instanceof SafetensorsError) {
    const { message, remedy } = error;
    const problem = message.endsWith(`; ${remedy}`) ? message.slice(0, -remedy.length - 2) : message;
    return { kind: "input", diagnostics: [placeless("U311", problem, sentence(remedy))] };
  }
  if (error instanceof IrError) return { kind: "input", diagnostics: [placeless("U200", error.message, error.help)] };
  if (error instanceof CommanderError) {
    const [first = "", hint] = error.message.replace(/^error: /, "").split("\n");
    const code = commanderCodes[error.code] ?? "U405";
    const help = `See unmoor ${command === "" ? "" : `${command} `}--help.`;
    return {
      kind: "input",
      diagnostics: [placeless(code, first, hint ? `${hint.replace(/^\((.*)\)$/, "$1")} ${help}` : help)],
    };
  }
  const message = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
  const help =
    "This is a fault in Unmoor. Set UNMOOR_DEBUG=1 to see where, and report it with the command that you gave.";
  return { kind: "fault", diagnostics: [placeless("U900", message, help)] };
}

const sentence = (text: string): string => {
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  // A command stands as it is typed.
  const isCommand = /^(npm|apt-get|sudo|unset) /.test(text);
  return isCommand ? `Run: ${text}` : /[.!?)]$/.test(start) ? start : `${start}.`;
};

/** Prints a failure: its text on stderr, and with --json one document on stdout. Returns the exit status. */
export function reportFailure(failure: Failure, error: unknown, json: boolean, environment: Environment): number {
  const { colors } = environment;
  for (const diagnostic of failure.diagnostics) {
    const [first = "", ...rest] = formatDiagnostic(diagnostic, sourceOf).split("\n");
    const [head = "", ...tail] = first.split(": ");
    environment.err(`${[`${colors.red(colors.bold(head))}: ${tail.join(": ")}`, ...rest].join("\n")}\n`);
  }
  if (environment.debug && error instanceof Error) environment.err(`${error.stack ?? error.message}\n`);
  if (json)
    environment.out(
      `${JSON.stringify({ error: { kind: failure.kind, diagnostics: failure.diagnostics.map(forJson) } }, null, 2)}\n`,
    );
  return status[failure.kind];
}

/** A diagnostic for programs: without a place where it has none. */
export function forJson({ code, span, message, expected, found, help }: Diagnostic): Readonly<Record<string, unknown>> {
  const place = span.file === "" ? {} : { file: span.file, line: span.line, column: span.column, length: span.length };
  return { code, message, ...place, expected, found, help };
}

function sourceOf(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
