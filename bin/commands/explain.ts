import type { Command } from "commander";
import { digits, formatParams } from "../../bench/report.ts";
import { kernelWork } from "../../bench/work.ts";
import { type Compilation, compileLayer } from "../../codegen/compile.ts";
import { workspaceBytes } from "../../codegen/memory.ts";
import type { TargetName } from "../../codegen/target.ts";
import type { Kernel } from "../../codegen/tile/types.ts";
import { layerHash } from "../../ir/core/hash.ts";
import { printLayer } from "../../ir/text/index.ts";
import { chooseTargets } from "../../runtime/backends.ts";
import { changedLines, diffLines } from "../diff.ts";
import type { Environment } from "../environment.ts";
import { status } from "../failure.ts";
import type { Run } from "../main.ts";
import { expandTargets, type LayerOptions, layerCommand, layerOf, targetsOption, wholeNumbers } from "../options.ts";
import { formatTable, jsonDocument } from "../text.ts";

interface Options extends LayerOptions {
  readonly target?: readonly (TargetName | "all")[];
  readonly tokens: readonly number[];
}

export function explainCommand(program: Command, run: Run, environment: Environment): void {
  layerCommand(
    program.command("explain").description("show the IR before and after each pass, the kernels, the memory plan"),
  )
    .addOption(targetsOption("for which targets; default: simd-c"))
    .option("--tokens <numbers>", "numbers of tokens that work and memory are told for", wholeNumbers, [1, 128])
    .action((file: string, options: Options) => run(() => explain(file, options, environment)));
}

async function explain(file: string, options: Options, environment: Environment): Promise<number> {
  const layer = await layerOf(file, options, environment);
  const names = expandTargets(options.target ?? ["simd-c"]);
  const chosen = await chooseTargets(environment.backends, names, options.isa, "emit");
  const compilations = chosen.map(({ backend, isa }) =>
    compileLayer(layer, backend.target(isa), options.storage ?? "f32"),
  );
  const { tokens } = options;
  if (options.json) {
    const targets = compilations.map((c) => explained(c, tokens));
    environment.out(jsonDocument({ layer: layer.name, params: layer.params, tokens, targets }));
    return status.done;
  }
  environment.out(`${environment.colors.bold(layer.name)} (${formatParams(layer.params)})\n`);
  for (const compilation of compilations) environment.out(explainText(compilation, tokens, environment.colors));
  return status.done;
}

interface Stage {
  readonly pass: string;
  readonly summary: string;
  readonly changed: boolean;
  readonly hash: string;
  readonly ir: string;
}

const stagesOf = ({ stages }: Compilation): readonly Stage[] =>
  stages.map(({ pass, layer }, i) => {
    const hash = layerHash(layer);
    const before = stages[i - 1];
    return {
      pass: pass?.name ?? "source",
      summary: pass?.summary ?? "the layer as written",
      changed: before === undefined || layerHash(before.layer) !== hash,
      hash,
      ir: printLayer(layer),
    };
  });

const dimsAt = ({ program }: Compilation, tokens: number): Readonly<Record<string, number>> =>
  Object.fromEntries(program.symbols.map((symbol) => [symbol, tokens]));

function explained(compilation: Compilation, tokens: readonly number[]) {
  const { target, storage, program, lowered } = compilation;
  const works = tokens.map((t) => ({ t, work: kernelWork(lowered, program, dimsAt(compilation, t)) }));
  const kernel = (phase: "prepare" | "run") => (k: Kernel) => ({
    phase,
    name: k.name,
    op: k.origin.op,
    summary: k.origin.summary,
    grid: k.grid.map((g) => `${g.name} < ${g.extent}`),
    work: works.map(({ t, work }) => ({ tokens: t, ...work.get(k.name) })),
  });
  return {
    target: target.name,
    isa: target.isa,
    storage,
    stages: stagesOf(compilation),
    kernels: [...program.prepare.map(kernel("prepare")), ...program.kernels.map(kernel("run"))],
    memory: {
      slots: program.memory.slots.map((slot) => ({
        buffers: slot.buffers,
        bytes: tokens.map((t) => ({ tokens: t, bytes: slotBytes(slot, dimsAt(compilation, t)) })),
      })),
      workspace: tokens.map((t) => ({ tokens: t, bytes: workspaceBytes(program, dimsAt(compilation, t)) })),
    },
  };
}

const slotBytes = (slot: Compilation["program"]["memory"]["slots"][number], dims: Readonly<Record<string, number>>) =>
  Math.max(...slot.bytes.map((b) => b.evaluate(dims)));

function explainText(compilation: Compilation, tokens: readonly number[], colors: Environment["colors"]): string {
  const { target, storage } = compilation;
  const { stages, kernels, memory } = explained(compilation, tokens);
  const lines: string[] = ["", colors.bold(`== ${target.name} (${target.isa}), weights in ${storage}`), ""];
  stages.forEach((stage, i) => {
    const before = stages[i - 1];
    lines.push(`${colors.bold(`-- ${stage.pass}`)}: ${stage.summary}${stage.changed ? "" : " (changes nothing)"}`);
    if (!before) lines.push(...stage.ir.trimEnd().split("\n"), "");
    else if (stage.changed) {
      for (const line of changedLines(diffLines(before.ir, stage.ir), 1)) {
        if (!line) lines.push(colors.dim("    …"));
        else {
          const paint = line.kind === "+" ? colors.green : line.kind === "-" ? colors.red : colors.dim;
          lines.push(paint(`${line.kind} ${line.text}`));
        }
      }
      lines.push("");
    }
  });
  const atTokens = (name: string): string[] => tokens.map((t) => `#${name} at T=${t}`);
  const head = ["phase", "kernel", "computes", "grid", ...atTokens("flops"), ...atTokens("bytes")];
  const rows = kernels.map((k) => [
    k.phase,
    k.name,
    k.summary,
    k.grid.join(", "),
    ...k.work.map((w) => digits(w.flops ?? 0)),
    ...k.work.map((w) => digits(w.bytes ?? 0)),
  ]);
  lines.push(colors.bold("-- kernels, if every slot goes to an FFN expert"), formatTable(head, rows, colors), "");
  const aliases = new Map(compilation.program.buffers.map((b) => [b.name, b.alias]));
  const named = (name: string): string => (aliases.get(name) === undefined ? name : `${name} = ${aliases.get(name)}`);
  const slots = memory.slots.map((s, i) => [
    String(i),
    s.buffers.map(named).join(", "),
    ...s.bytes.map((b) => digits(b.bytes)),
  ]);
  const total = ["", "workspace", ...memory.workspace.map((w) => digits(w.bytes))];
  lines.push(
    colors.bold("-- memory plan: buffers that share a slot are never alive at once, or are one (=)"),
    formatTable(["slot", "buffers", ...atTokens("bytes")], [...slots, total], colors),
    "",
  );
  return `${lines.join("\n")}\n`;
}
