import type { Roofs } from "../roofs.ts";
import { figure, percent, spreadText, table } from "../tables.ts";
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
    "GFLOP/s",
    "error/bound, both",
  ];
  const rows: (string | number)[][] = [];
  for (const each of results) {
    if ("disagreements" in each)
      lines.push(`${each.tokens} tokens: no figure, for the results differ: ${each.disagreements.join("; ")}`);
    else
      rows.push([
        each.tokens,
        spreadText(each.ours),
        spreadText(each.peer),
        spreadText(each.ratio),
        spreadText(each.share, percent),
        figure(each.read_gbps.median),
        figure(each.gflops.median),
        `${figure(each.our_error_over_bound)}, ${figure(each.peer_error_over_bound)}`,
      ]);
  }
  return [...lines, ...(rows.length > 0 ? [table(head, rows)] : [])].join("\n");
}
