import { DiagnosticError, IrError } from "../ir/core/diagnostic.ts";
import type { Span } from "../ir/core/span.ts";

/**
 * Runs a step of compiling what stands at a place in the source. What the step cannot do is told there, under U200.
 * Without a place (a layer read from its text form) the error goes on as it is.
 */
export function at<T>(span: Span, run: () => T): T {
  try {
    return run();
  } catch (error) {
    const place = error instanceof IrError ? (error.span ?? span) : span;
    if (!(error instanceof IrError) || place.file === "") throw error;
    throw new DiagnosticError([{ code: "U200", span: place, message: error.message, help: error.help }]);
  }
}
