import Table from "cli-table3";
import type { Spread } from "./statistics.ts";

/** A table for the terminal, all columns but the first few texts to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[], texts = 0): string {
  const colAligns = head.map((_, i) => (i < texts ? ("left" as const) : ("right" as const)));
  const made = new Table({ head: [...head], style: { head: [], border: [] }, colAligns });
  made.push(...rows.map((row) => [...row]));
  return made.toString();
}

/** Three digits, or as many as a whole number has. */
export const figure = (value: number): string => (value >= 1000 ? value.toFixed(0) : value.toPrecision(3));

export const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

/** The median, and in brackets the least and the most. */
export const spreadText = ({ median, least, most }: Spread, unit = figure): string =>
  `${unit(median)} (${unit(least)}–${unit(most)})`;
