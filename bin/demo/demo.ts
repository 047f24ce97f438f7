import { join } from "node:path";
import { type Backend, LackError } from "../../backends/backend.ts";
import { digits } from "../../bench/format.ts";
import { type Measurement, type MeasureOptions, measure } from "../../bench/measure.ts";
import { makeReport, type ReportParts } from "../../bench/report.ts";
import { measureRoofs, type Roofs } from "../../bench/roofs.ts";
import { benchTarget } from "../../bench/run.ts";
import { type Compilation, compileLayer } from "../../codegen/compile.ts";
import { type TargetName, targetNames } from "../../codegen/target.ts";
import type { Layer } from "../../ir/core/layer.ts";
import { type ChosenTarget, chooseTargets, type SkippedTarget } from "../../runtime/backends.ts";
import { type CheckedTarget, certify, checkTarget } from "../../runtime/check/check.ts";
import { writeTree, writeWhole } from "../../runtime/files.ts";
import { gigabytes, requireMemory } from "../../runtime/machine.ts";
import { openSafetensors } from "../../runtime/safetensors/index.ts";
import { readLayer } from "../../runtime/source.ts";
import { loadWeights } from "../../runtime/weights.ts";
import type { Environment } from "../environment.ts";
import { jsonDocument } from "../text.ts";
import { checkpointBytes, ensureCheckpoint, seededCheckpoint } from "./weights.ts";

/** Hears what is going on. */
export type Reporter = (text: string) => void;

export interface Step {
  readonly title: string;
  /** Resolves with what was done, in one line. */
  work(report: Reporter): Promise<string>;
}

const SEED = 1;
/** Small enough for the oracle and the emulators. */
const reduced = { H: 256, I: 128, E: 16, Z: 8, K: 4, scale: 6 };
const reducedTokens = [1, 16, 128];
/** The widths of LongCat-Flash-Lite, with a quarter of its experts or with all. */
const lite = { H: 3072, I: 1024, E: 64, Z: 32, K: 12, scale: 6 };
const full = { ...lite, E: 256, Z: 128 };
const liteTokens = [1, 16, 128, 512];

/** The work of `npm start`, step by step, and what came of it. */
export class Demo implements ReportParts {
  readonly measurements: Measurement[] = [];
  readonly checks: CheckedTarget[] = [];
  readonly roofs: Roofs[] = [];
  readonly leftOut: SkippedTarget[] = [];
  readonly written: string[] = [];
  readonly steps: readonly Step[];
  readonly #environment: Environment;
  readonly #file: string;
  readonly #out: string;
  readonly #full: boolean;
  #writing = false;
  #interrupted = false;

  /**
   * @param file the layer's file
   * @param out the folder for all that is written
   */
  constructor(environment: Environment, file: string, out: string, isFull: boolean) {
    this.#environment = environment;
    this.#file = file;
    this.#out = out;
    this.#full = isFull;
    const large = isFull ? full : lite;
    this.steps = [
      ...targetNames.map((name) => ({
        title: `${name}: the layer at reduced size (H ${reduced.H}, I ${reduced.I}, ${reduced.E} + ${reduced.Z} experts, f32)`,
        work: (report: Reporter) => this.#reducedOn(name, report),
      })),
      {
        title: `simd-c: LongCat-Flash-Lite's widths (H ${large.H}, I ${large.I}, ${large.E} + ${large.Z} experts, bf16)`,
        work: (report) => this.#large(report),
      },
      { title: "report", work: () => this.#report() },
    ];
  }

  /** Asks for an end. False where nothing needs to be cleaned first. */
  interrupt(): boolean {
    const again = this.#interrupted;
    this.#interrupted = true;
    return this.#writing && !again;
  }

  async #reducedOn(name: TargetName, report: Reporter): Promise<string> {
    return this.#orLeaveOut(name, async () => {
      report("compiling");
      const layer = await this.#layer(reduced);
      const target = await this.#target(name);
      await this.#writeSources(layer, target, "f32", join(this.#out, name));
      const checked = await checkTarget(layer, target.backend, target.backend.target(target.isa), "f32", SEED, (c) =>
        report(`checked: ${c}`),
      );
      this.checks.push(checked);
      const options: MeasureOptions = { seed: SEED, budgetMs: 300, sampledTokens: 16 };
      const rows = await benchTarget(layer, target, "f32", reducedTokens, options, (m) => report(describe(m)));
      this.measurements.push(...rows);
      const verdict = checked.agrees ? "agrees with the oracle" : "DISAGREES with the oracle";
      return `${name} (${target.isa}, ${checked.evidence}): ${verdict} in ${checked.cases.length} cases; ${rows.length} figures`;
    });
  }

  async #large(report: Reporter): Promise<string> {
    const name = "simd-c";
    return this.#orLeaveOut(name, async () => {
      const target = await this.#target(name);
      const layer = await this.#layer(this.#full ? full : lite);
      const { backend, isa } = target;
      const compilation = compileLayer(layer, backend.target(isa), "bf16");
      await this.#writeSources(layer, target, "bf16", join(this.#out, "longcat-flash-lite", name));
      const tensors = seededCheckpoint(compilation.stored);
      const bytes = checkpointBytes(tensors);
      // The file's tensors, and the panels that they are packed into.
      requireMemory(bytes * 2.2, "the layer at this size", this.#full ? "leave out --full" : "free some memory");
      const path = join(this.#out, "weights", `longcat-moe-${compilation.stored.params.E}-experts.safetensors`);
      await this.#ensureWeights(path, tensors, report);
      report(`loading ${gigabytes(bytes)} of weights`);
      await this.#measureLarge(compilation, backend, path, report);
      report("measuring the machine's roofs");
      const roofs = await measureRoofs(backend, isa);
      if (roofs) this.roofs.push(roofs);
      return `${name} (${isa}) at LongCat-Flash-Lite's widths: ${gigabytes(bytes)} of weights from ${path}; ${liteTokens.length} figures`;
    });
  }

  async #measureLarge(compilation: Compilation, backend: Backend, path: string, report: Reporter): Promise<void> {
    const opened: { close(): unknown }[] = [];
    try {
      const file = await openSafetensors(path);
      opened.push(file);
      const weights = await loadWeights(compilation.stored, file);
      opened.push({ close: weights.free });
      const loaded = await backend.load(compilation.program, compilation.target);
      opened.push(loaded);
      await loaded.setWeights(weights.tensors);
      const options: MeasureOptions = { seed: SEED, budgetMs: 1000, sampledTokens: 4 };
      for (const tokens of liteTokens) {
        report(`measuring T = ${tokens}`);
        const measurement = await measure(compilation, loaded, weights.tensors, tokens, options);
        report(describe(measurement));
        this.measurements.push(measurement);
      }
    } finally {
      for (const resource of opened.reverse()) await resource.close();
    }
  }

  async #ensureWeights(path: string, tensors: ReturnType<typeof seededCheckpoint>, report: Reporter): Promise<void> {
    this.#writing = true;
    let told = -1;
    try {
      await ensureCheckpoint(path, tensors, SEED, (done, total) => {
        if (this.#interrupted) throw new Error("interrupted");
        const percent = Math.floor((done / total) * 10) * 10;
        if (percent !== told) report(`writing ${path}: ${percent} % of ${gigabytes(total)}`);
        told = percent;
      });
    } finally {
      this.#writing = false;
      // The file's remains are gone; nobody waits for the rest.
      if (this.#interrupted) process.exit(130);
    }
  }

  async #report(): Promise<string> {
    const layer = await this.#layer(reduced);
    const report = makeReport(this);
    const { reportPage } = await import("../../bench/page.ts");
    const files = new Map([
      ["report.json", jsonDocument(report)],
      ["report.html", reportPage(report)],
      ["certificate.json", jsonDocument(certify(layer, SEED, this.checks))],
    ]);
    for (const [name, text] of files) {
      await writeWhole(join(this.#out, name), text);
      this.written.push(join(this.#out, name));
    }
    return `report: ${this.written.join(", ")}`;
  }

  #layer(params: Readonly<Record<string, number>>): Promise<Layer> {
    return readLayer({ file: this.#file, params, cache: this.#environment.cache });
  }

  async #target(name: TargetName): Promise<ChosenTarget> {
    const [target] = await chooseTargets(this.#environment.backends, [name], undefined, "run");
    if (!target) throw new Error(`no variant of ${name} was chosen`);
    return target;
  }

  async #writeSources(
    layer: Layer,
    { backend, isa }: ChosenTarget,
    storage: "f32" | "bf16",
    folder: string,
  ): Promise<void> {
    const { program, target } = compileLayer(layer, backend.target(isa), storage);
    await writeTree(folder, await backend.emit(program, target));
    this.written.push(folder);
  }

  /** What this machine cannot do is told, and the rest goes on. */
  async #orLeaveOut(target: TargetName, work: () => Promise<string>): Promise<string> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof LackError)) throw error;
      this.leftOut.push({ target, why: error.message, mend: error.mend });
      return `${target}: left out: ${error.message}`;
    }
  }
}

const describe = (m: Measurement): string =>
  m.ok
    ? `T = ${m.row.tokens}: ${digits(m.row.median_ms)} ms, ${digits(m.row.gflops)} GFLOP/s`
    : `T = ${m.tokens}: disagrees with the oracle`;
