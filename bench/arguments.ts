import { InvalidArgumentError } from "commander";

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
