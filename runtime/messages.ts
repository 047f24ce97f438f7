import type { Diagnostic } from "../ir/core/diagnostic.ts";

export const formatShape = (dims: readonly number[]): string => `[${dims.join(", ")}]`;

/** What a file holds instead of a name: the tensors with the longest common ending. */
export function heldInstead(name: string, keys: readonly string[]): string {
  const common = (key: string): number => {
    let n = 0;
    while (n < key.length && n < name.length && key.at(-1 - n) === name.at(-1 - n)) n++;
    return n;
  };
  const best = [...keys].sort((a, b) => common(b) - common(a)).slice(0, 3);
  if (keys.length === 0) return "no tensors";
  return keys.length <= 3 ? best.join(", ") : `${keys.length} tensors, such as ${best.join(", ")}`;
}

/** Hundreds of experts lack the same thing: the first few are told, the rest counted. */
export function summarise(problems: readonly Diagnostic[]): readonly Diagnostic[] {
  const first = problems.slice(0, 3);
  const last = first.at(-1);
  if (problems.length <= 3 || !last) return problems;
  return [...first.slice(0, 2), { ...last, message: `${last.message} (and ${problems.length - 3} more like it)` }];
}
