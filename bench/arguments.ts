import { writeFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { LackError } from "../backends/backend.ts";
import { unmoorVersion } from "../runtime/version.ts";

/** For commander: a list of some of these names, with commas between them. */
export const list =
  <T extends string>(all: readonly T[]) =>
  (text: string): readonly T[] =>
    text.split(",").map((given) => {
      const found = all.find((name) => name === given.trim());
      if (found === undefined) throw new InvalidArgumentError(`Expected some of ${all.join(", ")}, found "${given}".`);
      return found;
    });

/** For commander: a whole number above 0. */
export function positive(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new InvalidArgumentError(`Expected a whole number above 0, found "${text}".`);
}

/** For commander: numbers above 0, with commas between them. */
export const positives = (text: string): readonly number[] => text.split(",").map(positive);

/** An option that takes some of these names, and all of them where it is not given. */
export const namesOption = <T extends string>(flag: string, all: readonly T[]): Option =>
  new Option(`${flag} <names>`, `of ${all.join(", ")}`).argParser(list(all)).default(all, "all");

/** The option that `writeFigures` serves. */
export const jsonOption = (): Option => new Option("--json <file>", "writes all figures to a file as well");

/** Writes figures as a JSON document, with this version of Unmoor; does nothing without a file. */
export function writeFigures(file: string | undefined, figures: Readonly<Record<string, unknown>>): void {
  if (file === undefined) return;
  writeFileSync(file, `${JSON.stringify({ unmoor: unmoorVersion(), ...figures }, null, 2)}\n`);
}

/** Runs a bench with its options, to an exit status: 3 where this machine lacks something, which is said with what mends it. */
export async function runBench<O extends object>(
  program: Command,
  run: (options: O) => Promise<number>,
): Promise<void> {
  try {
    process.exitCode = await run(program.parse().opts<O>());
  } catch (error) {
    if (!(error instanceof LackError)) throw error;
    console.error(`${error.message}\nto mend it: ${error.mend}`);
    process.exitCode = 3;
  }
}
