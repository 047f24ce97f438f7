import { type Command, Option } from "commander";
import { count, formatParams } from "../../bench/format.ts";
import type { Storage, Target, TargetName } from "../../codegen/target.ts";
import { DiagnosticError } from "../../ir/core/diagnostic.ts";
import type { Layer } from "../../ir/core/layer.ts";
import { noSpan } from "../../ir/core/span.ts";
import { type BackendSource, chooseTargets } from "../../runtime/backends.ts";
import { type EmittedLayer, emitLayer } from "../../runtime/emit.ts";
import { writeTree } from "../../runtime/files.ts";
import { targetFor } from "../../runtime/tune/target.ts";
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
  withRecords,
} from "../options.ts";
import { jsonDocument } from "../text.ts";

interface Options extends LayerOptions {
  readonly target: TargetName | "all";
  readonly out: string;
  readonly limits?: string;
  readonly layout?: "hf-kernels";
  readonly golden?: number;
}

export function compileCommand(program: Command, run: Run, environment: Environment): void {
  layerCommand(program.command("compile").description("write a layer's kernels as source code"))
    .addOption(
      new Option("--target <name>", "simd-c, wgsl, ascend, or all (then each into a folder of its own)")
        .argParser(targetOrAll)
        .makeOptionMandatory(),
    )
    .option(
      "--limits <name>",
      "limits of the WebGPU device to compile for: default (which every device has), phone, adapter (this machine's), or a JSON file",
    )
    .addOption(
      new Option(
        "--layout <name>",
        "for wgsl: hf-kernels writes a package in the layout of Hugging Face's WebGPU kernels",
      ).choices(["hf-kernels"]),
    )
    .option(
      "--golden <MiB>",
      "for ascend: weights up to which the project gets golden data, which the oracle computes meanwhile; default: 256",
      wholeNumber(0),
    )
    .requiredOption("--out <folder>", "where the sources go; it is made if need be")
    .action((file: string, options: Options) => run(() => compile(file, options, environment)));
}

/** Backends for devices with these limits, where devices differ in them. */
const limited =
  (source: BackendSource, limits: string | undefined): BackendSource =>
  async (name) => {
    const backend = await source(name);
    return limits === undefined || !backend.withLimits ? backend : backend.withLimits(limits);
  };

const layoutElsewhere = (layout: string, target: string): DiagnosticError =>
  new DiagnosticError([
    {
      code: "U410",
      span: noSpan,
      message: `the layout ${layout} is one of WebGPU kernels`,
      expected: "--target wgsl",
      found: `--target ${target}`,
      help: "Compile for wgsl, or leave --layout out.",
    },
  ]);

/** The layer as a package for a loader of kernels. */
async function packageLayer(layer: Layer, targets: readonly Target[], storage: Storage): Promise<EmittedLayer> {
  const [{ compileLayer }, { hubFiles, hubTarget }] = await Promise.all([
    import("../../codegen/compile.ts"),
    import("../../runtime/hub.ts"),
  ]);
  const [compilation] = targets.map((target) => compileLayer(layer, hubTarget(target), storage));
  if (!compilation) throw new Error("there is no target to compile for");
  const { prepare, kernels } = compilation.program;
  return { kernels: prepare.length + kernels.length, files: hubFiles(compilation), data: new Map() };
}

async function compile(file: string, options: Options, environment: Environment): Promise<number> {
  const layer = await layerOf(file, options, environment);
  const storage: Storage = options.storage ?? "f32";
  if (options.layout !== undefined && options.target !== "wgsl") throw layoutElsewhere(options.layout, options.target);
  const found = await chooseTargets(
    limited(environment.backends, options.limits),
    expandTargets([options.target]),
    options.isa,
    "emit",
  );
  const chosen = withRecords(found, options, environment);
  const files = new Map<string, string | Uint8Array>();
  const targets: {
    target: string;
    isa: string;
    tuning?: string;
    kernels: number;
    note?: string;
    files: { path: string; bytes: number }[];
  }[] = [];
  for (const choice of chosen) {
    const { backend } = choice;
    // Without --isa, a target that can has all of its variants, and chooses when it runs.
    const isas = options.isa === undefined && backend.emitVariants ? backend.isas : [choice.isa];
    const described = await Promise.all(isas.map((isa) => targetFor({ ...choice, isa }, layer, storage)));
    const tuning = described.flatMap((t) => t.tuning ?? []).join(", ");
    const emitted =
      options.layout === undefined
        ? await emitLayer(layer, backend, described, storage, environment.cache, options.golden)
        : await packageLayer(layer, described, storage);
    const prefix = options.target === "all" ? `${backend.name}/` : "";
    const tree = [...emitted.files, ...emitted.data].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [path, text] of tree) files.set(prefix + path, text);
    targets.push({
      target: backend.name,
      isa: isas.join(", "),
      ...(tuning === "" ? {} : { tuning }),
      kernels: emitted.kernels,
      ...(emitted.without === undefined ? {} : { note: emitted.without }),
      files: tree.map(([path, text]) => ({ path: prefix + path, bytes: Buffer.byteLength(text) })),
    });
  }
  await writeTree(options.out, files);
  if (options.json) {
    environment.out(jsonDocument({ layer: layer.name, params: layer.params, storage, out: options.out, targets }));
    return status.done;
  }
  const { colors } = environment;
  environment.out(
    `${colors.bold(layer.name)} (${formatParams(layer.params)}), weights in ${storage}, into ${options.out}\n`,
  );
  for (const { target, isa, tuning, kernels, note, files: written } of targets) {
    const which = [...(isa === target ? [] : [isa]), ...(tuning === undefined ? [] : [`tuned: ${tuning}`])].join("; ");
    environment.out(`  ${target}${which === "" ? "" : ` (${which})`}: ${kernels} kernels\n`);
    for (const { path, bytes } of written) environment.out(`    ${path}  ${count(bytes)} bytes\n`);
    if (note !== undefined) environment.out(`    ${note}\n`);
  }
  return status.done;
}
