import { availableParallelism, totalmem } from "node:os";
import type { Evidence } from "../backends/backend.ts";
import type { SkippedTarget } from "../runtime/backends.ts";
import type { CheckedTarget } from "../runtime/check/check.ts";
import { cpuModel } from "../runtime/native.ts";
import { unmoorVersion } from "../runtime/version.ts";
import { formatParams } from "./format.ts";
import type { BenchRow, Measurement } from "./measure.ts";
import type { ModelRow } from "./model.ts";
import { type Roofs, shareOfRoof } from "./roofs.ts";

/** The kinds of figures, in the order in which they are shown, and what each says. */
export const kindTitles = {
  measured: { title: "Measured", meaning: "Times of real hardware." },
  emulated: {
    title: "Emulated",
    meaning:
      "Times of a stand-in for the hardware: a GPU in software, or an emulator of an NPU, both on this machine's CPU. They show that the code runs and is right. They say nothing about how fast the hardware would be.",
  },
  modelled: { title: "Modelled", meaning: "Computed by a cost model. Nothing was run." },
} as const satisfies Record<Evidence, { title: string; meaning: string }>;

/** What checking one target showed, in short. */
export interface CheckSummary {
  readonly target: string;
  readonly isa: string;
  readonly kind: Evidence;
  readonly device: string;
  readonly storage: string;
  readonly cases: number;
  readonly max_error_over_bound: number;
  readonly ambiguous_tokens: number;
  readonly agrees: boolean;
}

/** A row of the report: a figure, and how near it comes to the machine's roofs where they are known. */
export type ReportRow = BenchRow & { readonly share_of_roof?: number };

/** All figures of a run, with the machine that they were made on. */
export interface Report {
  readonly format: "unmoor-report-1";
  readonly unmoor: string;
  readonly node: string;
  readonly machine: { readonly cpu: string; readonly threads: number; readonly memory: number };
  readonly rows: readonly ReportRow[];
  readonly checks: readonly CheckSummary[];
  readonly roofs: readonly Roofs[];
  /** Layers on chips that are not here, in a section of their own. */
  readonly modelled: readonly ModelRow[];
  /** Runs whose results are wrong, and which therefore have no figure. */
  readonly wrong: readonly Extract<Measurement, { ok: false }>[];
  /** Targets that this machine could not do, and what mends it. */
  readonly left_out: readonly SkippedTarget[];
}

export interface ReportParts {
  readonly measurements: readonly Measurement[];
  readonly checks?: readonly CheckedTarget[];
  readonly roofs?: readonly Roofs[];
  readonly modelled?: readonly ModelRow[];
  readonly leftOut: readonly SkippedTarget[];
}

export function makeReport({ measurements, checks = [], roofs = [], modelled = [], leftOut }: ReportParts): Report {
  return {
    format: "unmoor-report-1",
    unmoor: unmoorVersion(),
    node: process.versions.node,
    machine: { cpu: cpuModel(), threads: availableParallelism(), memory: totalmem() },
    rows: measurements.flatMap((m) => (m.ok ? [withRoof(m.row, roofs)] : [])),
    checks: checks.map(summarise),
    roofs,
    modelled,
    wrong: measurements.flatMap((m) => (m.ok ? [] : [m])),
    left_out: leftOut,
  };
}

function withRoof(row: BenchRow, roofs: readonly Roofs[]): ReportRow {
  const share = roofs.map((r) => shareOfRoof(row, r)).find((s) => s !== undefined);
  return share === undefined ? row : { ...row, share_of_roof: share };
}

const summarise = (t: CheckedTarget): CheckSummary => ({
  target: t.target,
  isa: t.isa,
  kind: t.evidence,
  device: t.device,
  storage: t.storage,
  cases: t.cases.length,
  max_error_over_bound: Math.max(0, ...t.cases.map((c) => c.max_error_over_bound)),
  ambiguous_tokens: t.cases.reduce((n, c) => n + c.ambiguous_tokens, 0),
  agrees: t.agrees,
});

/** Rows of one layer at one size and storage. */
export interface Workload {
  readonly title: string;
  readonly rows: readonly ReportRow[];
}

export const workloadTitle = (row: BenchRow): string =>
  `${row.layer} (${formatParams(row.params)}), weights in ${row.storage}`;

/** The rows of one kind, by workload, in the order in which they came. */
export function workloads(rows: readonly ReportRow[], kind: Evidence): readonly Workload[] {
  const ofKind = rows.filter((r) => r.kind === kind);
  return [...new Set(ofKind.map(workloadTitle))].map((title) => ({
    title,
    rows: ofKind.filter((r) => workloadTitle(r) === title),
  }));
}
