import Table from "cli-table3";
import type { Environment } from "./environment.ts";

const plain = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
} as const;

/** A table without lines; columns that begin with a number sign ("#tokens") are aligned to the right. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  colors: Environment["colors"],
): string {
  const table = new Table({
    head: head.map((h) => colors.bold(h.replace(/^#/, ""))),
    colAligns: head.map((h) => (h.startsWith("#") ? "right" : "left")),
    chars: plain,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0, compact: true },
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}
