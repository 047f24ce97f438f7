import type { Command } from "commander";
import type { Evidence } from "../../backends/backend.ts";
import { digits, formatParams } from "../../bench/format.ts";
import type { TargetName } from "../../codegen/target.ts";
import { type CheckedCase, type CheckedTarget, certify, checkTarget } from "../../runtime/check/check.ts";
import { checkWritable, writeWhole } from "../../runtime/files.ts";
import { targetFor } from "../../runtime/tune/target.ts";
import type { Environment } from "../environment.ts";
import { status } from "../failure.ts";
import type { Run } from "../main.ts";
import { type LayerOptions, layerCommand, layerOf, targetsOption, targetsToRun, wholeNumber } from "../options.ts";
import { formatTable } from "../table.ts";
import { formatTargetLack, tryTargets } from "../targets.ts";
import { jsonDocument } from "../text.ts";

interface Options extends LayerOptions {
  readonly target?: readonly (TargetName | "all")[];
  readonly seed: number;
  readonly out?: string;
}

export function checkCommand(program: Command, run: Run, environment: Environment): void {
  layerCommand(program.command("check").description("run a layer on targets and compare with the oracle"))
    .addOption(targetsOption("which targets; default: all that this machine runs or emulates"))
    .option("--seed <number>", "seed of weights and inputs", wholeNumber(0), 1)
    .option("--out <file>", "write the certificate here, as JSON")
    .action((file: string, options: Options) => run(() => check(file, options, environment)));
}

async function check(file: string, options: Options, environment: Environment): Promise<number> {
  if (options.out !== undefined) await checkWritable(options.out);
  const layer = await layerOf(file, options, environment);
  const { chosen, skipped, named } = await targetsToRun(options.target, options, environment);
  const { done: targets, skipped: unfit } = await tryTargets(chosen, named, async (target) => {
    const storage = options.storage ?? "f32";
    return checkTarget(layer, target.backend, await targetFor(target, layer, storage), storage, options.seed);
  });
  const certificate = certify(layer, options.seed, targets);
  if (options.out !== undefined) await writeWhole(options.out, jsonDocument(certificate));
  const left = [...skipped, ...unfit];
  if (options.json) environment.out(jsonDocument({ ...certificate, skipped: left }));
  else {
    environment.out(`${formatChecked(targets, environment.colors)}\n`);
    for (const lack of left) environment.err(formatTargetLack(lack, environment.colors));
    const cases = targets.reduce((n, t) => n + t.cases.length, 0);
    const names = targets.map((t) => t.target).join(", ");
    environment.out(
      certificate.agrees
        ? `${layer.name} (${formatParams(layer.params)}): ${names} agree with the oracle in ${cases} cases, seed ${options.seed}\n`
        : `${layer.name} (${formatParams(layer.params)}): ${targets
            .filter((t) => !t.agrees)
            .map((t) => t.target)
            .join(", ")} disagree with the oracle, seed ${options.seed}\n`,
    );
    if (options.out !== undefined) environment.out(`certificate: ${options.out}\n`);
  }
  return certificate.agrees ? status.done : status.disagreement;
}

/** For each kind of evidence a table with a row per target and case, and what disagrees below. */
function formatChecked(targets: readonly CheckedTarget[], colors: Environment["colors"]): string {
  const head = ["target", "isa", "storage", "case", "#error/bound", "#ambiguous", "result"];
  const tables = [...new Set(targets.map((t) => t.evidence))].map((evidence) => {
    const rows = targets
      .filter((t) => t.evidence === evidence)
      .flatMap((t) => t.cases.map((c) => [t.target, t.isa, t.storage, ...caseCells(c, colors)]));
    return `${colors.bold(`Checked on ${where[evidence]}`)}\n${formatTable(head, rows, colors)}\n`;
  });
  const disagreements = targets.flatMap((t) =>
    t.cases.flatMap((c) => c.disagreements.map((d) => `${t.target} (${t.isa}), ${c.name}: ${d}\n`)),
  );
  return [...tables, disagreements.join("")].filter((text) => text !== "").join("\n");
}

const where = {
  measured: "hardware",
  emulated: "stand-ins for hardware (emulated)",
  modelled: "a model",
} as const satisfies Record<Evidence, string>;

const caseCells = (c: CheckedCase, colors: Environment["colors"]): string[] => [
  c.name,
  digits(c.max_error_over_bound),
  String(c.ambiguous_tokens),
  c.disagreements.length === 0 ? colors.green("agrees") : colors.red("DISAGREES"),
];
