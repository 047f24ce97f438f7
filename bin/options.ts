import { type Command, InvalidArgumentError, Option } from "commander";
import { ADAPTER_KINDS, ADAPTER_VARIABLE } from "../backends/wgsl/adapter/info.ts";
import { type Storage, storages, type TargetName, targetNames } from "../codegen/target.ts";
import { DiagnosticError } from "../ir/core/diagnostic.ts";
import type { Layer } from "../ir/core/layer.ts";
import { noSpan } from "../ir/core/span.ts";
import type { ConfigFile } from "../ir/frontend/index.ts";
import { type ChosenTarget, chooseTargets, runnableTargets, type SkippedTarget } from "../runtime/backends.ts";
import { readLayer } from "../runtime/source.ts";
import type { Environment } from "./environment.ts";

/** Options of every command that reads a layer. */
export interface LayerOptions {
  readonly layer?: string;
  readonly param?: readonly string[];
  readonly config?: string;
  readonly storage?: Storage;
  readonly isa?: string;
  readonly untuned?: boolean;
  readonly json?: boolean;
}

/** A command that reads a layer, with the shared options. */
export const layerCommand = (command: Command): Command =>
  jsonOption(
    command
      .argument("<file>", "TypeScript file that declares the layer")
      .option("--layer <name>", "which layer, where the file declares several")
      .option("--param <name=value>", "value of a parameter; may be given several times", collect)
      .option(
        "--config <file>",
        "config.json of the model, from which the layer reads parameters; --param goes before it",
      )
      .addOption(new Option("--storage <type>", "storage of weights that the layer leaves open").choices([...storages]))
      .option("--isa <name>", "variant of the target, such as avx2; default: the best that this machine runs")
      .option("--untuned", "use the default schedules, whatever unmoor tune found")
      .addOption(
        new Option(
          "--adapter <name>",
          `WebGPU adapter that runs WGSL, and no other; as ${ADAPTER_VARIABLE} names it`,
        ).choices(ADAPTER_KINDS),
      )
      .hook("preAction", (_, called) => {
        const { adapter } = called.opts<{ readonly adapter?: string }>();
        if (adapter !== undefined) process.env[ADAPTER_VARIABLE] = adapter;
      }),
  );

export const jsonOption = (command: Command): Command =>
  command.option("--json", "print one machine-readable document and nothing else");

/** --target for commands that work on several. */
export const targetsOption = (description: string): Option =>
  new Option("--target <name>", `${description}; may be given several times`).argParser(
    (name: string, before: readonly (TargetName | "all")[] = []) => [...before, targetOrAll(name)],
  );

/** A target's name, or all. */
export function targetOrAll(name: string): TargetName | "all" {
  const found = ([...targetNames, "all"] as const).find((n) => n === name);
  if (found) return found;
  throw new InvalidArgumentError(`The targets are ${targetNames.join(", ")}, and all.`);
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** An option that is a whole number of at least `least`. */
export const wholeNumber =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`A whole number of at least ${least} is expected.`);
  };

/** Whole numbers with commas between them: 1,16,128. */
export function wholeNumbers(text: string): readonly number[] {
  return [...new Set(text.split(",").map((part) => wholeNumber(1)(part.trim())))];
}

/** The values of --param. Throws DiagnosticError for one that is not NAME=VALUE. */
export function parseParams(given: readonly string[]): Readonly<Record<string, number>> {
  const problems = given.filter(
    (text) => !/^[A-Za-z_$][\w$]*=\s*\S+\s*$/.test(text) || !Number.isFinite(numberIn(text)),
  );
  if (problems.length > 0) {
    throw new DiagnosticError(
      problems.map((text) => ({
        code: "U406",
        span: noSpan,
        message: "a parameter is given by its name and a number",
        expected: "--param NAME=VALUE, such as --param H=256",
        found: `--param ${text}`,
        help: "Write the parameter's name, an equals sign and a number, without spaces.",
      })),
    );
  }
  return Object.fromEntries(given.map((text) => [text.slice(0, text.indexOf("=")), numberIn(text)]));
}

const numberIn = (text: string): number => Number(text.slice(text.indexOf("=") + 1));

/** Reads the layer that the options name. */
export async function layerOf(file: string, options: LayerOptions, environment: Environment): Promise<Layer> {
  return readLayer({
    file,
    params: parseParams(options.param ?? []),
    cache: environment.cache,
    ...(options.layer === undefined ? {} : { layer: options.layer }),
    ...(options.config === undefined ? {} : { config: await configOf(options.config) }),
  });
}

/** Targets with the tuning records that the options allow. */
export const withRecords = (
  chosen: readonly ChosenTarget[],
  { untuned }: LayerOptions,
  { tuning }: Environment,
): readonly ChosenTarget[] => (untuned ? chosen : chosen.map((target) => ({ ...target, records: tuning })));

/** Targets to run on: those named, which must all work here; or without a name all that work here. */
export async function targetsToRun(
  names: readonly (TargetName | "all")[] | undefined,
  options: LayerOptions,
  environment: Environment,
): Promise<{
  readonly chosen: readonly ChosenTarget[];
  readonly skipped: readonly SkippedTarget[];
  readonly named: boolean;
}> {
  const { backends } = environment;
  const found =
    names === undefined
      ? await runnableTargets(backends, options.isa)
      : { chosen: await chooseTargets(backends, expandTargets(names), options.isa, "run"), skipped: [] };
  return { ...found, chosen: withRecords(found.chosen, options, environment), named: names !== undefined };
}

export const expandTargets = (names: readonly (TargetName | "all")[]): readonly TargetName[] =>
  targetNames.filter((name) => names.includes(name) || names.includes("all"));

/** Reads a config; what checks it is loaded only then. */
const configOf = async (path: string): Promise<ConfigFile> => (await import("../runtime/config.ts")).readConfig(path);
