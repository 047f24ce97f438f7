/// <reference types="@webgpu/types" />
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import {
  type DeviceFeature,
  type WgslFeature,
  type WgslLanguage,
  wgslFeatures,
} from "../../codegen/emit/wgsl/language.ts";
import type { Program } from "../../codegen/program.ts";
import type { Target } from "../../codegen/target.ts";
import type { Kernel } from "../../codegen/tile/types.ts";
import { DiagnosticError, IrError } from "../../ir/core/diagnostic.ts";
import { noSpan } from "../../ir/core/span.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import { type Backend, type KernelSource, LackError, type LoadedLayer, type SourceTree } from "../backend.ts";
import type { AdapterDescription, DeviceOptions, OpenedDevice } from "./adapter/index.ts";
import { elementsOf } from "./elements.ts";
import { wgslLanguage } from "./functions.ts";
import { limitsOf, limitTarget, namedLimits, type WgslLimits } from "./limits.ts";
import type { LoadedPlan, Runner } from "./support/run.js";
import { loadRunModule, supportFiles } from "./support.ts";
import { wgslTarget, wgslTunings } from "./target.ts";

const isFeature = (name: string): name is WgslFeature => Object.hasOwn(wgslFeatures, name);
const isOfDevice = (name: string): name is DeviceFeature => isFeature(name) && wgslFeatures[name].ofDevice;

const LARGER =
  "choose smaller sizes with --param, or a device that allows more (UNMOOR_ADAPTER: system, swiftshader or lavapipe)";

// Each is loaded when first used: most commands need one of them, or none.
const emitter = () => import("../../codegen/emit/wgsl/index.ts");
const adapters = () => import("./adapter/index.ts");

/** The adapter that these options lead to, described. */
async function adapterHere(options: DeviceOptions): Promise<AdapterDescription> {
  const { chooseAdapter, describeAdapter, findAdapter } = await adapters();
  return describeAdapter(await findAdapter(chooseAdapter(options.adapter)));
}

/** The WebGPU backend: WGSL modules with a launch plan, run in this process by Dawn. */
export function createWgsl(options: DeviceOptions = {}): Backend {
  const backend: Backend = {
    name: "wgsl",
    isas: [wgslTarget.isa],
    target(isa) {
      if (isa === wgslTarget.isa) return wgslTarget;
      throw new IrError(`wgsl has no variant ${isa}`, `Use ${wgslTarget.isa}.`);
    },
    tunings: () => wgslTunings,
    deviceName: async () => (await adapterHere(options)).name,
    async devices() {
      const reports = await (await adapters()).listAdapters();
      return reports.map(({ kind, ...report }) =>
        report.ok
          ? { name: kind, ok: true, how: `${report.description.name} by ${report.description.backend}` }
          : { name: kind, ...report },
      );
    },
    async withLimits(named) {
      const limits = await readLimits(named, options);
      return {
        ...backend,
        target: (isa) => limitTarget(backend.target(isa), limits),
        tunings: () => wgslTunings.map((target) => limitTarget(target, limits)),
      };
    },
    async bestIsa() {
      const { run, emulate } = await backend.probe();
      if (run.ok || emulate.ok) return wgslTarget.isa;
      throw new LackError(emulate.why, emulate.mend);
    },
    probe: async () => (await adapters()).probeWebGpu(),
    emit,
    kernels,
    load: (program, target) => load(program, target, options),
  };
  return backend;
}

/** Limits by name, of this machine's device, or from a file. */
async function readLimits(named: string, options: DeviceOptions): Promise<WgslLimits> {
  const known = Object.hasOwn(namedLimits, named) ? namedLimits[named] : undefined;
  if (known) return known;
  if (named === "adapter") {
    const found = await adapterHere(options);
    return limitsOf(found.limits, found.name, wgslLanguage.workgroupSize);
  }
  let text: string;
  try {
    text = readFileSync(named, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DiagnosticError([
      {
        code: "U409",
        span: noSpan,
        message: `the limits ${named} cannot be read: ${reason}`,
        expected: `${Object.keys(namedLimits).join(", ")}, adapter, or the path of a JSON file`,
        found: named,
        help: "Name one of these sets of limits, or correct the path.",
      },
    ]);
  }
  return limitsOf(parsed(text), named, wgslLanguage.workgroupSize);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The language of a target: with the features that its kernels may use. */
const languageOf = ({ features = [], subgroupLanes }: Target): WgslLanguage => ({
  ...wgslLanguage,
  features: features.filter(isFeature),
  ...(subgroupLanes ? { subgroupLanes } : {}),
});

async function emit(program: Program, target: Target): Promise<SourceTree> {
  const { emitWgsl } = await emitter();
  const { plan, modules } = emitWgsl(program, languageOf(target), target.limits.bufferBytes);
  return new Map([["plan.json", `${JSON.stringify(plan, null, 2)}\n`], ...modules, ...supportFiles()]);
}

async function kernels(program: Program, target: Target): Promise<ReadonlyMap<Kernel, KernelSource>> {
  const { emitWgsl } = await emitter();
  const { modules, paths } = emitWgsl(program, languageOf(target), target.limits.bufferBytes);
  return new Map([...paths].map(([kernel, path]) => [kernel, { path, text: modules.get(path) ?? "", memory: [] }]));
}

async function load(program: Program, target: Target, options: DeviceOptions): Promise<LoadedLayer> {
  const { emitWgsl } = await emitter();
  const { plan, modules } = emitWgsl(program, languageOf(target), target.limits.bufferBytes);
  const { LaunchError, createRunner } = await loadRunModule();
  const requiredFeatures = plan.requires.features.filter(isOfDevice);
  const { openDevice } = await adapters();
  const opened = await openDevice({ limits: "adapter", ...options, requiredFeatures });
  const translate = (error: unknown): unknown => {
    if (!(error instanceof LaunchError)) return error;
    if (error.kind === "limit" || error.kind === "memory")
      return new LackError(`${opened.description.name}: ${error.message}`, LARGER);
    if (error.kind === "lost")
      return new LackError(error.message, "run again; if it happens again, choose smaller sizes");
    if (error.kind === "input")
      return new IrError(error.message, "Give every weight and input in the layer's dtype and shape.");
    return error;
  };
  try {
    const loaded: LoadedPlan = { plan, modules: Object.fromEntries(modules) };
    return loadedLayer(program, opened, await createRunner(opened.device, loaded), translate);
  } catch (error) {
    opened.close();
    throw translate(error);
  }
}

function loadedLayer(
  program: Program,
  opened: OpenedDevice,
  runner: Runner,
  translate: (error: unknown) => unknown,
): LoadedLayer {
  const attempt = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await Promise.race([work(), opened.failed]);
    } catch (error) {
      throw translate(error);
    }
  };
  return {
    evidence: opened.description.software ? "emulated" : "measured",
    device: opened.description.software ? `${opened.description.name} (software)` : opened.description.name,
    tools: { webgpu: dawnVersion() },
    setWeights: (weights) => attempt(async () => runner.setWeights(elementsOf(program, weights, "weight"))),
    run: (inputs, dims, options = {}) =>
      attempt(async () => {
        const repeat = options.repeat ?? 1;
        const { outputs, nanoseconds } = await runner.run(elementsOf(program, inputs, "input"), dims, { repeat });
        return { outputs: new Map<string, Tensor>(Object.entries(outputs)), nanoseconds };
      }),
    async close() {
      runner.destroy();
      opened.close();
    },
  };
}

/** Version of the package that carries Dawn. */
function dawnVersion(): string {
  const entry = createRequire(import.meta.url).resolve("webgpu");
  const manifest: unknown = JSON.parse(readFileSync(join(dirname(entry), "package.json"), "utf8"));
  const isManifest = typeof manifest === "object" && manifest !== null && "version" in manifest;
  return isManifest ? String(manifest.version) : "unknown";
}
