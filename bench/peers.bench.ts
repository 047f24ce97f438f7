/**
 * Unmoor's SIMD C beside what one would pick instead, `npm run bench:peers`: llama.cpp's MoE layer, and ONNX Runtime's MoE and QMoE
 * operators, on the same weights and tokens, alternately in one process. docs/benchmarks.md says how to read it.
 */
import { availableParallelism } from "node:os";
import { Command, Option } from "commander";
import { LackError } from "../backends/backend.ts";
import { loadBackend } from "../runtime/backends.ts";
import { jsonOption, namesOption, positive, positives, runBench, writeFigures } from "./arguments.ts";
import { compareShape, type Outcome } from "./peers/compare.ts";
import { ggml } from "./peers/ggml.ts";
import { installPeers } from "./peers/install.ts";
import { onnxruntime } from "./peers/onnxruntime.ts";
import { machineLines, outcomeTable } from "./peers/report.ts";
import { type Comparable, comparable, shapes } from "./peers/shapes.ts";
import { openRoofProbe } from "./roofs.ts";

const peers = [ggml, onnxruntime];

interface Options {
  readonly shape: readonly string[];
  readonly storage: readonly Comparable[];
  readonly tokens: readonly number[];
  readonly peer: readonly string[];
  readonly threads: number;
  readonly rounds: number;
  readonly budget: number;
  readonly memory: number;
  readonly json?: string;
}

const names = (all: readonly { readonly name: string }[]): readonly string[] => all.map((each) => each.name);
const peerNames = ["llama.cpp", "onnxruntime"] as const;

const program = new Command("npm run bench:peers --")
  .description("times Unmoor's SIMD C and other programs alternately on one MoE layer, and prints the ratios")
  .addOption(namesOption("--shape", names(shapes)))
  .addOption(namesOption("--storage", comparable))
  .addOption(namesOption("--peer", peerNames))
  .addOption(
    new Option("--tokens <numbers>", "tokens at once").argParser(positives).default([1, 16, 128, 512], "1,16,128,512"),
  )
  .addOption(
    new Option("--threads <number>", "threads of each side").argParser(positive).default(availableParallelism()),
  )
  .addOption(new Option("--rounds <number>", "how often the sides take turns").argParser(positive).default(5))
  .addOption(new Option("--budget <ms>", "time of each side in each round").argParser(positive).default(300))
  .addOption(
    new Option("--memory <GB>", "most memory for weights; shapes get fewer experts where they need more")
      .argParser(positive)
      .default(7),
  )
  .addOption(jsonOption());

async function run(options: Options): Promise<number> {
  await installPeers((text) => console.error(text));
  const backend = await loadBackend("simd-c");
  const isa = await backend.bestIsa();
  const probe = await openRoofProbe(backend, isa);
  if (!probe) throw new LackError(`${isa} has no roofs to compare with`, "run on a CPU with vectors");
  const roofs = await probe.roofs();
  console.log(machineLines(roofs, options.threads).join("\n"));
  const outcomes: Outcome[] = [];
  try {
    for (const shape of shapes.filter((s) => options.shape.includes(s.name)))
      for (const storage of options.storage) {
        const chosen = peers.filter((_, i) => options.peer.includes(peerNames[i] ?? ""));
        const outcome = await compareShape({ ...options, shape, storage, peers: chosen, backend, isa, probe });
        outcomes.push(...outcome);
        for (const each of outcome) console.log(`\n${outcomeTable(each)}`);
      }
  } finally {
    await probe.close();
  }
  writeFigures(options.json, { kind: "measured", roofs, options, outcomes });
  return outcomes.some((o) => o.results.some((r) => "disagreements" in r)) ? 1 : 0;
}

await runBench(program, run);
