import { formatSpan, type Span } from "./span.ts";

/**
 * What a user is told about wrong input: where, what was expected, what was found, and how to mend it.
 * `code` is stable ("U" and three digits) and listed in docs/errors.md.
 */
export interface Diagnostic {
  readonly code: string;
  readonly span: Span;
  /** One sentence: what is wrong, in the author's words. */
  readonly message: string;
  /** What was expected and found, where the message does not already say it. */
  readonly expected?: string;
  readonly found?: string;
  /** How to mend it. */
  readonly help: string;
}

/** Thrown where wrong input stops the work. The command line prints it and exits with status 2. */
export class DiagnosticError extends Error {
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map((d) => `${d.code} ${formatSpan(d.span)}: ${d.message}`).join("\n"));
    this.name = "DiagnosticError";
    this.diagnostics = diagnostics;
  }
}

/**
 * Thrown by verifiers when a node would be ill-typed. It knows no place in the source;
 * whoever builds nodes from source catches it and adds the span.
 */
export class IrError extends Error {
  readonly help: string;
  /** Where the fault is, when it lies in a node of a body and not in the node that is being made. */
  readonly span: Span | undefined;

  constructor(message: string, help: string, span?: Span) {
    super(message);
    this.name = "IrError";
    this.help = help;
    this.span = span;
  }
}

/** Widest source line that is shown whole. */
const widest = 200;

/** The part of a line around a column, where the line is too long to be read. */
function window(source: string, column: number): { readonly text: string; readonly column: number } {
  if (source.length <= widest) return { text: source, column };
  const start = Math.max(0, Math.min(column - 1 - widest / 2, source.length - widest));
  const text = source.slice(start, start + widest);
  const head = start > 0 ? "…" : "";
  const tail = start + widest < source.length ? "…" : "";
  return { text: `${head}${text}${tail}`, column: column - start + head.length };
}

/**
 * The text shown in a terminal: the message, the source line with a caret, expected, found and help.
 * `sourceOf` gives a file's text where it is at hand.
 */
export function formatDiagnostic(d: Diagnostic, sourceOf: (file: string) => string | undefined): string {
  const lines = [`error[${d.code}]: ${d.message}`];
  if (d.span.file !== "") {
    lines.push(`  --> ${formatSpan(d.span)}`);
    const source = sourceOf(d.span.file)?.split(/\r?\n/)[d.span.line - 1];
    if (source !== undefined) {
      const gutter = String(d.span.line);
      const blank = " ".repeat(gutter.length);
      const { text, column } = window(source, d.span.column);
      const caret = "^".repeat(Math.max(1, Math.min(d.span.length, text.length - column + 1)));
      // Tabs are kept so that the caret stands under its character.
      const indent = text.slice(0, column - 1).replace(/[^\t]/g, " ");
      lines.push(`${blank} |`, `${gutter} | ${text}`, `${blank} | ${indent}${caret}`);
    }
  }
  if (d.expected !== undefined) lines.push(`  expected: ${d.expected}`);
  if (d.found !== undefined) lines.push(`  found:    ${d.found}`);
  lines.push(`  help: ${d.help}`);
  return lines.join("\n");
}
