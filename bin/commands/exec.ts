import { type Command, InvalidArgumentError, Option } from "commander";
import type { TargetName } from "../../codegen/target.ts";
import { chooseTargets } from "../../runtime/backends.ts";
import { type Execution, execute, forFile, rowsOf } from "../../runtime/exec.ts";
import { checkWritable, writeWhole } from "../../runtime/files.ts";
import { writeSafetensors } from "../../runtime/safetensors/index.ts";
import type { Environment } from "../environment.ts";
import { status } from "../failure.ts";
import type { Run } from "../main.ts";
import { type LayerOptions, layerCommand, layerOf, targetOrAll, withRecords } from "../options.ts";
import { jsonDocument } from "../text.ts";

interface Options extends LayerOptions {
  readonly target: TargetName;
  readonly weights: string;
  readonly input: string;
  readonly out: string;
  readonly routeOut?: string;
  readonly prefix?: string;
  readonly allowUnused?: boolean;
}

export function execCommand(program: Command, run: Run, environment: Environment): void {
  layerCommand(program.command("exec").description("run a layer once on given tensors"))
    .addOption(new Option("--target <name>", "simd-c, wgsl or ascend").argParser(oneTarget).default("simd-c"))
    .requiredOption("--weights <file>", "safetensors file (or folder) with the weights, by published or argument names")
    .requiredOption("--input <file>", "safetensors file with the inputs, by argument names")
    .requiredOption("--out <file>", "safetensors file for the results, by result names")
    .option("--prefix <text>", "what stands before the published names, such as model.layers.3.; default: what fits")
    .option("--allow-unused", "accept tensors beside the layer's own that it does not use")
    .option("--route-out <file>", "JSON file for the experts that each token chose, and their weights")
    .action((file: string, options: Options) => run(() => exec(file, options, environment)));
}

function oneTarget(name: string): TargetName {
  const target = targetOrAll(name);
  if (target !== "all") return target;
  throw new InvalidArgumentError("One target is expected.");
}

async function exec(file: string, options: Options, environment: Environment): Promise<number> {
  await checkWritable(options.out);
  if (options.routeOut !== undefined) await checkWritable(options.routeOut);
  const layer = await layerOf(file, options, environment);
  const found = await chooseTargets(environment.backends, [options.target], options.isa, "run");
  const [target] = withRecords(found, options, environment);
  if (!target) throw new Error("no target was chosen");
  const execution = await execute(layer, target, options, options.storage, options, environment.weights);
  const results = new Map([...execution.results].map(([name, tensor]) => [name, forFile(tensor)]));
  await writeSafetensors(options.out, results);
  if (options.routeOut !== undefined)
    await writeWhole(options.routeOut, jsonDocument(routeDocument(layer.name, target.backend.name, execution)));
  const notes = notesOf(execution);
  if (options.json) {
    const { storage, evidence, device, dims, prefix } = execution;
    const shapes = [...results].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
    const written = { out: options.out, ...(options.routeOut === undefined ? {} : { route_out: options.routeOut }) };
    const ran = {
      layer: layer.name,
      params: layer.params,
      target: target.backend.name,
      isa: target.isa,
      tuning: execution.tuning,
      storage,
      prefix,
    };
    environment.out(jsonDocument({ ...ran, evidence, device, dims, results: shapes, ...written, notes }));
    return status.done;
  }
  for (const note of notes) environment.err(`note: ${note}\n`);
  const sizes = Object.entries(execution.dims).map(([symbol, size]) => `${symbol} = ${size}`);
  environment.out(
    `${layer.name} on ${target.backend.name} (${target.isa}${execution.tuning === undefined ? "" : `, tuned: ${execution.tuning}`}, weights in ${execution.storage}, ${sizes.join(", ")}; ${execution.device})\n`,
  );
  for (const [name, { dtype, shape }] of results)
    environment.out(`  ${name} ${dtype}[${shape.join(", ")}] → ${options.out}\n`);
  if (options.routeOut !== undefined) environment.out(`  routing → ${options.routeOut}\n`);
  return status.done;
}

/** Chosen experts and their weights: per router, a row for each token. The first router's also stand at the top. */
function routeDocument(layer: string, target: string, { routings, dims }: Execution) {
  const all = routings.map(({ name, ids, weights }) => ({ name, ids: rowsOf(ids), weights: rowsOf(weights) }));
  const [first] = all;
  return { layer, target, dims, ids: first?.ids ?? [], weights: first?.weights ?? [], routings: all };
}

function notesOf({ unused, rounded, storage }: Execution): readonly string[] {
  const note = (names: readonly string[], what: string): string[] =>
    names.length === 0
      ? []
      : [
          `${names.length} tensor${names.length === 1 ? "" : "s"} of the ${what} file ${names.length === 1 ? "is" : "are"} not used: ${names.slice(0, 5).join(", ")}${names.length > 5 ? ", …" : ""}`,
        ];
  const narrowed = rounded.length === 0 ? [] : [`weights are rounded to ${storage}: ${rounded.join(", ")}`];
  return [...narrowed, ...note(unused.weights, "weights"), ...note(unused.inputs, "input")];
}
