import Table from "cli-table3";
import type { Roofs } from "../roofs.ts";
import type { Spread } from "../statistics.ts";
import type { Outcome } from "./compare.ts";

/** The machine, and what it can do. */
export function machineLines(roofs: Roofs, threads: number): readonly string[] {
  const gflops = Object.entries(roofs.gflops).map(([storage, n]) => `${storage} ${n.toFixed(0)}`);
  const cache = roofs.cache_gbps === undefined ? "" : `, last cache ${roofs.cache_gbps.toFixed(0)} GB/s`;
  return [
    `Measured on ${roofs.device}; each side has ${threads} thread${threads === 1 ? "" : "s"}.`,
    `Roofs: ${gflops.join(", ")} GFLOP/s by storage of the weights; memory ${roofs.read_gbps.toFixed(1)} GB/s (one thread ${roofs.read_gbps_one_thread.toFixed(1)})${cache}.`,
  ];
}

const figure = (value: number): string => value.toPrecision(3);
const within = ({ median, least, most }: Spread, unit = figure): string =>
  `${unit(median)} (${unit(least)}–${unit(most)})`;
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

/** One table: a line per number of tokens, medians of the rounds with the least and the most of them. */
export function outcomeTable(outcome: Outcome): string {
  const { shape, params, published_experts, storage, peer, title, results, note } = outcome;
  const sizes = Object.entries(params).filter(([name]) => /^[HIEK]$/.test(name));
  const experts = published_experts === undefined ? [] : [`of ${published_experts} experts, for lack of memory`];
  const heading = [`${shape} in ${storage}: ${sizes.map(([n, v]) => `${n} ${v}`).join(", ")}`, ...experts];
  const lines = [`${heading.join(" ")}; beside ${title}`, ...(note === undefined ? [] : [note])];
  if (results.length === 0) return `${shape} in ${storage}: not beside ${peer}: ${title}`;
  const head = [
    "tokens",
    "Unmoor, ms",
    `${peer}, ms`,
    "times as fast",
    "of the roof",
    "GB/s read",
    "error/bound, both",
  ];
  const table = new Table({ head, style: { head: [], border: [] }, colAligns: head.map(() => "right" as const) });
  for (const each of results) {
    if ("disagreements" in each)
      lines.push(`${each.tokens} tokens: no figure, for the results differ: ${each.disagreements.join("; ")}`);
    else
      table.push([
        each.tokens,
        within(each.ours),
        within(each.peer),
        within(each.ratio),
        within(each.share, percent),
        figure(each.read_gbps.median),
        `${figure(each.our_error_over_bound)}, ${figure(each.peer_error_over_bound)}`,
      ]);
  }
  return [...lines, ...(table.length > 0 ? [table.toString()] : [])].join("\n");
}
