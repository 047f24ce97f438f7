import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { changedLines, diffLines } from "../../bench/diff.ts";
import { type Explanation, explain, slotText } from "../../bench/explain.ts";
import type { KernelTimeline, SourceText } from "../../bench/explain-page.ts";
import { digits, formatParams } from "../../bench/format.ts";
import { type Compilation, compileLayer } from "../../codegen/compile.ts";
import type { TargetName } from "../../codegen/target.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import { formatSpan } from "../../ir/core/span.ts";
import { chooseTargets } from "../../runtime/backends.ts";
import { checkWritable, writeWhole } from "../../runtime/files.ts";
import { targetFor } from "../../runtime/tune/target.ts";
import { unmoorVersion } from "../../runtime/version.ts";
import type { Environment } from "../environment.ts";
import { status } from "../failure.ts";
import type { Run } from "../main.ts";
import {
  expandTargets,
  type LayerOptions,
  layerCommand,
  layerOf,
  targetsOption,
  wholeNumbers,
  withRecords,
} from "../options.ts";
import { formatTable } from "../table.ts";
import { formatTargetLack, tryTargets } from "../targets.ts";
import { jsonDocument } from "../text.ts";

interface Options extends LayerOptions {
  readonly target?: readonly (TargetName | "all")[];
  readonly tokens: readonly number[];
  readonly html?: string;
}

export function explainCommand(program: Command, run: Run, environment: Environment): void {
  layerCommand(
    program.command("explain").description("show the IR before and after each pass, the kernels, the memory plan"),
  )
    .addOption(targetsOption("for which targets; default: simd-c"))
    .option("--tokens <numbers>", "numbers of tokens that work and memory are told for", wholeNumbers, [1, 128])
    .option("--html <file>", "write it here, as a page with the kernels' tile IR and source")
    .action((file: string, options: Options) => run(() => explainLayer(file, options, environment)));
}

async function explainLayer(file: string, options: Options, environment: Environment): Promise<number> {
  if (options.html !== undefined) await checkWritable(options.html);
  const layer = await layerOf(file, options, environment);
  const given = options.target ?? ["simd-c"];
  const found = await chooseTargets(environment.backends, expandTargets(given), options.isa, "emit");
  const chosen = withRecords(found, options, environment);
  const storage = options.storage ?? "f32";
  // With all targets, one that cannot do this layer is told and left out.
  const timelines: KernelTimeline[] = [];
  const { done: targets, skipped } = await tryTargets(chosen, !given.includes("all"), async (target) => {
    const compilation = compileLayer(layer, await targetFor(target, layer, storage), storage);
    if (options.html !== undefined && target.backend.name === "ascend")
      timelines.push(...(await timelinesOf(compilation, options.tokens, environment)));
    return explain(compilation, target.backend, options.tokens);
  });
  const { tokens } = options;
  const { out, colors } = environment;
  if (options.html !== undefined) {
    const { explainPage } = await import("../../bench/explain-page.ts");
    const sources = sourceTexts([layer.span.file, ...targets.flatMap((t) => t.kernels.map((k) => k.span.file))]);
    await writeWhole(
      options.html,
      explainPage({
        layer: layer.name,
        params: layer.params,
        unmoor: unmoorVersion(),
        sources,
        targets,
        skipped,
        timelines,
      }),
    );
  }
  for (const lack of skipped) environment.err(formatTargetLack(lack, colors));
  if (options.json) out(jsonDocument({ layer: layer.name, params: layer.params, tokens, targets: targets.map(brief) }));
  else if (options.html !== undefined) out(`page: ${options.html}\n`);
  else {
    out(`${colors.bold(layer.name)} (${formatParams(layer.params)})\n`);
    for (const target of targets) out(explainText(target, colors));
  }
  return status.done;
}

/** What pipes do, at the largest number of tokens; the drawing is left out, and says so, where the cost model cannot follow a kernel. */
async function timelinesOf(
  { program }: Compilation,
  tokens: readonly number[],
  environment: Environment,
): Promise<readonly KernelTimeline[]> {
  const { pipeTimelines } = await import("../../bench/pipe-timelines.ts");
  try {
    return pipeTimelines(program, "910B3", Math.max(...tokens));
  } catch (error) {
    if (!(error instanceof IrError)) throw error;
    environment.err(`note: the page has no timelines of pipes: ${error.message}\n`);
    return [];
  }
}

/** The source files that the layer comes from, as far as they can still be read. */
function sourceTexts(names: readonly string[]): readonly SourceText[] {
  return [...new Set(names)].flatMap((file) => {
    try {
      return [{ file, text: readFileSync(file, "utf8") }];
    } catch {
      return []; // compiled IR from the cache may be older than the file's removal
    }
  });
}

/** Without the texts of sources, which `unmoor compile` writes. */
const brief = ({ target, isa, storage, stages, kernels, memory, program, files }: Explanation) => ({
  target,
  isa,
  storage,
  stages: stages.map(({ spans: _, ...stage }) => stage),
  kernels: kernels.map(({ span, source, ...kernel }) => ({
    ...kernel,
    place: formatSpan(span),
    file: source.path,
    local_memory: source.memory,
  })),
  memory,
  program,
  files,
});

function explainText(explained: Explanation, colors: Environment["colors"]): string {
  const { target, isa, storage, tokens, stages, kernels, memory } = explained;
  const lines: string[] = ["", colors.bold(`== ${target} (${isa}), weights in ${storage}`), ""];
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
    ...k.work.map((w) => digits(w.flops)),
    ...k.work.map((w) => digits(w.bytes)),
  ]);
  lines.push(
    colors.bold("-- kernels, if every slot goes to an FFN expert, spread evenly"),
    formatTable(head, rows, colors),
    "",
  );
  const slots = memory.slots.map((s, i) => [String(i), slotText(s, memory), ...s.bytes.map(digits)]);
  const total = ["", "workspace", ...memory.workspace.map(digits)];
  lines.push(
    colors.bold("-- memory plan: buffers that share a slot are never alive at once, or are one (=)"),
    formatTable(["slot", "buffers", ...atTokens("bytes")], [...slots, total], colors),
    "",
  );
  return `${lines.join("\n")}\n`;
}
