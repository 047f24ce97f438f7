import { mkdir } from "node:fs/promises";
import { type Command, Option } from "commander";
import { digits, formatParams } from "../../bench/format.ts";
import { type TriedTuning, type TuneOptions, type TuningResult, tuneLayer } from "../../bench/tune.ts";
import type { Storage, TargetName } from "../../codegen/target.ts";
import type { Layer } from "../../ir/core/layer.ts";
import { type ChosenTarget, chooseTargets } from "../../runtime/backends.ts";
import { descriptionHash, recordChoice } from "../../runtime/tune/record.ts";
import type { Environment } from "../environment.ts";
import { status } from "../failure.ts";
import type { Run } from "../main.ts";
import {
  expandTargets,
  type LayerOptions,
  layerCommand,
  layerOf,
  targetOrAll,
  wholeNumber,
  wholeNumbers,
} from "../options.ts";
import { formatTable } from "../table.ts";
import { jsonDocument } from "../text.ts";

interface Options extends LayerOptions {
  readonly target: TargetName | "all";
  readonly tokens: readonly number[];
  readonly threads?: number;
  readonly seed: number;
  readonly budget: number;
}

/** What tuning showed on one target. */
interface Tuned {
  readonly target: string;
  readonly isa: string;
  readonly storage: Storage;
  readonly result: TuningResult;
  readonly record: string;
}

export function tuneCommand(program: Command, run: Run, environment: Environment): void {
  layerCommand(
    program
      .command("tune")
      .description("find the fastest schedules of a layer on this device, for other commands to use"),
  )
    .addOption(
      new Option("--target <name>", "simd-c, wgsl, ascend, or all").argParser(targetOrAll).makeOptionMandatory(),
    )
    .option("--tokens <numbers>", "numbers of tokens that count", wholeNumbers, [1, 16, 128])
    .option("--threads <number>", "threads; default: all that the machine has", wholeNumber(1))
    .option("--seed <number>", "seed of weights and inputs", wholeNumber(0), 1)
    .option("--budget <milliseconds>", "time for one schedule at one number of tokens", wholeNumber(1), 500)
    .action((file: string, options: Options) => run(() => tune(file, options, environment)));
}

async function tune(file: string, options: Options, environment: Environment): Promise<number> {
  const layer = await layerOf(file, options, environment);
  const storage: Storage = options.storage ?? "f32";
  const chosen = await chooseTargets(environment.backends, expandTargets([options.target]), options.isa, "run");
  const done: Tuned[] = [];
  for (const target of chosen) {
    const folder = environment.tuning;
    await mkdir(folder, { recursive: true });
    // A device may take minutes to compile some of them.
    const tell = (tried: TriedTuning): void => environment.err(`${triedText(tried)}\n`);
    const tuned = await tuneTarget(layer, target, storage, folder, options, options.json ? () => {} : tell);
    done.push(tuned);
    if (!options.json) environment.out(formatTuned(layer, tuned, options.tokens, environment.colors));
  }
  if (options.json) {
    const { name, params } = layer;
    const targets = done.map(({ result: { best, ...result }, ...rest }) => ({
      ...rest,
      ...result,
      best: best?.target.tuning ?? "default",
    }));
    environment.out(jsonDocument({ layer: name, params, tokens: options.tokens, targets }));
  }
  return status.done;
}

async function tuneTarget(
  layer: Layer,
  { backend, isa }: ChosenTarget,
  storage: Storage,
  folder: string,
  options: Options,
  onTried: (tried: TriedTuning) => void,
): Promise<Tuned> {
  const settings: TuneOptions = {
    seed: options.seed,
    budgetMs: options.budget,
    sampledTokens: 16,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  };
  const result = await tuneLayer(layer, backend, isa, storage, options.tokens, settings, onTried);
  const device = (await backend.deviceName?.()) ?? result.device;
  const { best, evidence } = result;
  const record = await recordChoice(
    folder,
    backend,
    isa,
    device,
    layer,
    storage,
    best && {
      layer: layer.name,
      params: layer.params,
      storage,
      tuning: best.tried.tuning,
      description: descriptionHash(best.target),
      evidence,
      speedups: best.tried.speedups.map(({ tokens, ratio }) => ({ tokens, ratio })),
    },
  );
  return { target: backend.name, isa, storage, result, record };
}

function triedText({ tuning, speedups, unfit }: TriedTuning): string {
  const ratios = speedups.map(({ tokens, ratio }) => `T=${tokens} ${digits(ratio)}×`);
  return `tried ${tuning}: ${[...ratios, ...(unfit === undefined ? [] : [unfit])].join(", ")}`;
}

function formatTuned(
  layer: Layer,
  { target, isa, storage, result, record }: Tuned,
  tokens: readonly number[],
  colors: Environment["colors"],
): string {
  const { best, device, evidence, tried } = result;
  const title = `${layer.name} (${formatParams(layer.params)}), weights in ${storage}, on ${target} (${isa}; ${device})`;
  if (tried.length === 0) return `${colors.bold(title)}\n${target} has one schedule only: nothing to choose\n`;
  const head = ["schedule", ...tokens.map((count) => `#T=${count}`), "verdict"];
  const row = (t: TriedTuning): string[] => [
    t.tuning,
    ...tokens.map((count) => {
      const ratio = t.speedups.find((s) => s.tokens === count)?.ratio;
      return ratio === undefined ? "" : `${digits(ratio)}×`;
    }),
    t.unfit ?? (t.tuning === best?.tried.tuning ? colors.green("chosen") : ""),
  ];
  const kind = evidence === "emulated" ? "Emulated" : "Measured";
  const verdict = best ? `${best.tried.tuning} is used from now on` : "the default stays";
  return `${colors.bold(title)}\n${kind}: times as fast as the default\n${formatTable(head, tried.map(row), colors)}\n${verdict}; record: ${record}\n`;
}
