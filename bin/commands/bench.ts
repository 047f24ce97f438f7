import { type Command, InvalidArgumentError, Option } from "commander";
import { type RoutingChoice, socNames } from "../../backends/ascend/cost/index.ts";
import type { SocName } from "../../backends/ascend/target.ts";
import type { Measurement } from "../../bench/measure.ts";
import { makeReport, type Report } from "../../bench/report.ts";
import { measureRoofs, type Roofs } from "../../bench/roofs.ts";
import { benchTarget } from "../../bench/run.ts";
import type { TargetName } from "../../codegen/target.ts";
import type { Layer } from "../../ir/core/layer.ts";
import type { ChosenTarget } from "../../runtime/backends.ts";
import { checkWritable, writeWhole } from "../../runtime/files.ts";
import type { Environment } from "../environment.ts";
import { status } from "../failure.ts";
import { formatReport } from "../figures.ts";
import type { Run } from "../main.ts";
import {
  type LayerOptions,
  layerCommand,
  layerOf,
  targetsOption,
  targetsToRun,
  wholeNumber,
  wholeNumbers,
} from "../options.ts";
import { formatTargetLack, tryTargets } from "../targets.ts";
import { jsonDocument } from "../text.ts";

interface Options extends LayerOptions {
  readonly target?: readonly (TargetName | "all")[];
  readonly tokens: readonly number[];
  readonly threads?: number;
  readonly seed: number;
  readonly budget: number;
  readonly roofs: boolean;
  readonly jsonOut?: string;
  readonly html?: string;
  readonly soc?: SocName;
  readonly routing: "balanced" | "seeded";
}

export function benchCommand(program: Command, run: Run, environment: Environment): void {
  layerCommand(program.command("bench").description("measure a layer, after checking its results against the oracle"))
    .addOption(targetsOption("which targets; default: all that this machine runs or emulates"))
    .option("--tokens <numbers>", "numbers of tokens", wholeNumbers, [1, 16, 128, 512])
    .option("--threads <number>", "threads; default: all that the machine has", wholeNumber(1))
    .option("--seed <number>", "seed of weights and inputs", wholeNumber(0), 1)
    .option("--budget <milliseconds>", "time for one figure", wholeNumber(1), 500)
    .addOption(
      new Option(
        "--soc <name>",
        "with --target ascend: model this chip instead of running; nothing is measured",
      ).choices([...socNames]),
    )
    .addOption(
      new Option("--routing <kind>", "with --soc: how the model's tokens choose experts")
        .choices(["balanced", "seeded"])
        .default("balanced"),
    )
    .option("--no-roofs", "do not measure the machine's roofs, which tell how near a figure comes to them")
    .option("--json-out <file>", "write the report here, as JSON")
    .option("--html <file>", "write the report here, as a page")
    .action((file: string, options: Options) => run(() => bench(file, options, environment)));
}

async function bench(file: string, options: Options, environment: Environment): Promise<number> {
  for (const path of [options.jsonOut, options.html]) if (path !== undefined) await checkWritable(path);
  const layer = await layerOf(file, options, environment);
  if (options.soc !== undefined) return modelled(layer, options.soc, options, environment);
  const { chosen, skipped, named } = await targetsToRun(options.target, options, environment);
  const settings = {
    seed: options.seed,
    budgetMs: options.budget,
    sampledTokens: 16,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  };
  const { done, skipped: unfit } = await tryTargets(chosen, named, (target) =>
    benchTarget(layer, target, options.storage ?? "f32", options.tokens, settings),
  );
  const measurements: readonly Measurement[] = done.flat();
  const leftOut = [...skipped, ...unfit];
  const report = makeReport({ measurements, leftOut, roofs: options.roofs ? await roofsOf(chosen, measurements) : [] });
  await give(report, options, environment);
  if (!options.json) for (const lack of leftOut) environment.err(formatTargetLack(lack, environment.colors));
  return report.wrong.length === 0 ? status.done : status.disagreement;
}

/** The layer on a chip that is not here: modelled figures alone, and no other target beside them. */
async function modelled(layer: Layer, soc: SocName, options: Options, environment: Environment): Promise<number> {
  if (options.target === undefined || options.target.some((name) => name !== "ascend"))
    throw new InvalidArgumentError(
      "--soc models an Ascend chip: give it with --target ascend, and with no other target.",
    );
  const { modelTarget } = await import("../../bench/model.ts");
  const routing: RoutingChoice =
    options.routing === "balanced" ? { kind: "balanced" } : { kind: "seeded", seed: options.seed };
  const rows = modelTarget(layer, soc, options.storage ?? "f32", options.tokens, routing);
  await give(makeReport({ measurements: [], leftOut: [], modelled: rows }), options, environment);
  return status.done;
}

/** Writes the report where the options say. */
async function give(report: Report, options: Options, environment: Environment): Promise<void> {
  if (options.jsonOut !== undefined) await writeWhole(options.jsonOut, jsonDocument(report));
  if (options.html !== undefined) {
    const { reportPage } = await import("../../bench/page.ts");
    await writeWhole(options.html, reportPage(report));
  }
  if (options.json) environment.out(jsonDocument(report));
  else {
    environment.out(formatReport(report, environment.colors));
    for (const path of [options.jsonOut, options.html]) if (path !== undefined) environment.out(`report: ${path}\n`);
  }
}

/** The roofs of every target that has a measured figure. */
async function roofsOf(
  chosen: readonly ChosenTarget[],
  measurements: readonly Measurement[],
): Promise<readonly Roofs[]> {
  const roofs: Roofs[] = [];
  for (const { backend, isa } of chosen) {
    if (!measurements.some((m) => m.ok && m.row.target === backend.name && m.row.kind === "measured")) continue;
    const found = await measureRoofs(backend, isa);
    if (found) roofs.push(found);
  }
  return roofs;
}
