import { LackError } from "../backends/backend.ts";
import { DiagnosticError } from "../ir/core/diagnostic.ts";
import type { ChosenTarget, SkippedTarget } from "../runtime/backends.ts";
import type { Environment } from "./environment.ts";

/**
 * Does some work for each target. Where the user named the targets, the first that fails ends it. Where they stand for "all
 * that work here", those that cannot do this layer are told and left out; when none is left, the first failure stands.
 */
export async function tryTargets<T>(
  chosen: readonly ChosenTarget[],
  named: boolean,
  work: (target: ChosenTarget) => Promise<T>,
): Promise<{ readonly done: readonly T[]; readonly skipped: readonly SkippedTarget[] }> {
  const done: T[] = [];
  const skipped: SkippedTarget[] = [];
  let failure: unknown;
  for (const target of chosen) {
    try {
      done.push(await work(target));
    } catch (error) {
      const lack = lackOf(error);
      if (named || !lack) throw error;
      failure ??= error;
      skipped.push({ target: target.backend.name, ...lack });
    }
  }
  if (done.length === 0 && failure !== undefined) throw failure;
  return { done, skipped };
}

function lackOf(error: unknown): { why: string; mend: string } | undefined {
  if (error instanceof LackError) return { why: error.message, mend: error.mend };
  const [first] = error instanceof DiagnosticError ? error.diagnostics : [];
  // Only what a target cannot do is no reason to stop for the others.
  return first && /^U2/.test(first.code) && first.code !== "U201"
    ? { why: first.message, mend: first.help }
    : undefined;
}

/** A target that was left out, on one line. */
export const formatTargetLack = ({ target, why, mend }: SkippedTarget, colors: Environment["colors"]): string =>
  `${colors.yellow("left out")}: ${target}: ${why}\n  to mend it: ${mend}\n`;
