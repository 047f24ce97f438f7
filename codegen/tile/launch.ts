import type { Kernel } from "./types.ts";

/** Whether a program launches a kernel at these sizes. */
export function isLaunched({ when }: Pick<Kernel, "when">, dims: Readonly<Record<string, number>>): boolean {
  if (when === undefined) return true;
  const size = when.of.evaluate(dims);
  return size >= when.from && !(when.below !== undefined && size >= when.below);
}
