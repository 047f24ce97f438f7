import type { Evidence } from "../backends/backend.ts";
import { digits } from "../bench/format.ts";
import { modelCells, modelHeads, modelNotes, modelTitle } from "../bench/model.ts";
import { kindTitles, type Report, type ReportRow, workloads } from "../bench/report.ts";
import type { Environment } from "./environment.ts";
import { formatTable } from "./table.ts";

/** A report's figures as tables, one for each kind and layer: measured, emulated and modelled figures never share a column. */
export function formatReport(report: Report, colors: Environment["colors"]): string {
  const tables = (Object.keys(kindTitles) as Evidence[]).flatMap((kind) =>
    workloads(report.rows, kind).map(({ title, rows }) => {
      const roofs = rows.some((r) => r.share_of_roof !== undefined);
      const shown = rows.map((r) => cells(r, roofs));
      return `${colors.bold(`${kindTitles[kind].title}: ${title}`)}\n${formatTable(heads(roofs), shown, colors)}\n`;
    }),
  );
  const wrong = report.wrong.map(
    (m) =>
      `${colors.red("no figure")}: ${m.target} (${m.isa}) disagrees with the oracle at T=${m.tokens}: ${m.disagreements.join("; ")}\n`,
  );
  const modelled = report.modelled.map(
    (row) =>
      `${colors.bold(`${kindTitles.modelled.title}: ${modelTitle(row)}`)}\n${formatTable(modelHeads, modelCells(row, digits), colors)}\n${modelNotes(row).join("\n")}\n`,
  );
  return [...tables, ...modelled, ...wrong].join("\n");
}

const heads = (roofs: boolean): string[] => [
  "target",
  "isa",
  "#tokens",
  "#median ms",
  "#min ms",
  "#runs",
  "#GFLOP/s",
  "#GB/s",
  ...(roofs ? ["#of roof"] : []),
  "#error/bound",
  "#ambiguous",
];

const cells = (r: ReportRow, roofs: boolean): string[] => [
  r.target,
  r.isa,
  String(r.tokens),
  digits(r.median_ms),
  digits(r.min_ms),
  String(r.runs),
  digits(r.gflops),
  digits(r.gbps),
  ...(roofs ? [r.share_of_roof === undefined ? "" : `${Math.round(r.share_of_roof * 100)} %`] : []),
  digits(r.max_error_over_bound),
  String(r.ambiguous_tokens),
];
