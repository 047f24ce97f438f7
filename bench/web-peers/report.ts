import type { Tensor } from "../../ir/core/tensor.ts";
import { type Spread, spread } from "../statistics.ts";
import { figure, percent, spreadText, table } from "../tables.ts";
import type { Case } from "./cases.ts";
import type { Finished, RaceResult, Ran } from "./entry.ts";

/** One that gave the oracle's results. */
export interface Figures {
  readonly name: string;
  readonly ms: Spread;
  /** Its time over Unmoor's, within each round. */
  readonly ratio: Spread;
  readonly gflops: number;
  /** Of the adapter's rate of multiply-adds. */
  readonly share: number;
  readonly submissions: number;
  readonly read_backs: number;
  readonly outside_kernels?: number;
  readonly empty_kernels?: number;
  readonly error_over_bound: number;
}

export interface Outcome {
  readonly title: string;
  readonly where: string;
  readonly kind: "emulated" | "measured";
  readonly adapter: string;
  readonly rate_gflops: number;
  readonly figures: readonly Figures[];
  /** Why others have none. */
  readonly without: readonly string[];
  /** Whether one of them gave a wrong result. */
  readonly wrong: boolean;
}

const finished = (ran: Ran): ran is Finished => !("failed" in ran);

/** Holds each result against the oracle: those that it confirms get figures. */
export function judge(contest: Case, where: string, { adapter, rate, ran }: RaceResult): Outcome {
  const figures: Figures[] = [];
  const without: string[] = [];
  const [own] = ran;
  const ours = own && finished(own) ? new Map<string, Tensor>(Object.entries(own.outputs)) : undefined;
  let wrong = false;
  for (const each of ran) {
    if (!finished(each)) without.push(`${each.name}: ${each.failed}`);
    else if (!ours || !own || !finished(own)) without.push(`${each.name}: Unmoor gave nothing to compare with`);
    else {
      const { disagreements, maxErrorOverBound } = contest.verify(each.outputs, ours);
      const [first] = disagreements;
      if (first !== undefined) {
        wrong = true;
        without.push(`${each.name}: no figure, for its result is wrong: ${first}`);
        // Others are compared along our choices.
        if (each === own) return outcome([], [`${each.name}: its result is wrong: ${first}`], true);
        continue;
      }
      const ms = spread(each.ms);
      const gflops = contest.flops(ours) / ms.median / 1e6;
      figures.push({
        name: each.name,
        ms,
        ratio: spread(each.ms.map((time, round) => time / (own.ms[round] ?? Number.NaN))),
        gflops,
        share: gflops / rate,
        submissions: each.submissions,
        read_backs: each.readBacks,
        ...(each.outside === undefined ? {} : { outside_kernels: each.outside }),
        ...(each.empty === undefined ? {} : { empty_kernels: each.empty }),
        error_over_bound: maxErrorOverBound,
      });
    }
  }
  return outcome(figures, without, wrong);

  function outcome(figures: readonly Figures[], without: readonly string[], wrong: boolean): Outcome {
    const kind = adapter.software ? "emulated" : "measured";
    return { title: contest.title, where, kind, adapter: adapter.name, rate_gflops: rate, figures, without, wrong };
  }
}

export function outcomeText({ title, where, kind, adapter, rate_gflops, figures, without }: Outcome): string {
  const head = [
    "",
    "ms",
    "times ours",
    "GFLOP/s",
    "of the rate",
    "submissions",
    "read-backs",
    "outside kernels",
    "empty kernels",
    "error/bound",
  ];
  const rows = figures.map((f) => [
    f.name,
    spreadText(f.ms),
    spreadText(f.ratio),
    figure(f.gflops),
    percent(f.share),
    f.submissions,
    f.read_backs,
    f.outside_kernels === undefined ? "" : percent(f.outside_kernels),
    f.empty_kernels === undefined ? "" : percent(f.empty_kernels),
    figure(f.error_over_bound),
  ]);
  return [
    `${title} (${kind}: ${adapter} in ${where}, ${figure(rate_gflops)} GFLOP/s of multiply-adds)`,
    ...(rows.length > 0 ? [table(head, rows, 1)] : []),
    ...without,
  ].join("\n");
}
