/**
 * Unmoor's WGSL beside what a web developer would pick instead, `npm run bench:web`: onnxruntime-web and tfjs on WebGPU, in Node and in
 * Chromium, on the same weights and tokens, in turns. docs/benchmarks.md says how to read it.
 */
import { Command, Option } from "commander";
import { createWgsl } from "../backends/wgsl/index.ts";
import { Arena } from "./arena.ts";
import { jsonOption, namesOption, positive, runBench, writeFigures } from "./arguments.ts";
import { type Contest, contests, makeCase } from "./web-peers/cases.ts";
import type { RaceOptions, RaceTrack } from "./web-peers/entry.ts";
import { packages } from "./web-peers/packages.ts";
import { judge, type Outcome, outcomeText } from "./web-peers/report.ts";

const places = ["node", "chromium"] as const;
type Place = (typeof places)[number];

interface Options extends RaceOptions {
  readonly contest: readonly Contest[];
  readonly place: readonly Place[];
  readonly tuning?: string;
  readonly json?: string;
}

const program = new Command("npm run bench:web --")
  .description("times Unmoor's WGSL, onnxruntime-web and tfjs in turns on one adapter, and prints the ratios")
  .addOption(namesOption("--contest", contests))
  .addOption(namesOption("--place", places))
  .addOption(new Option("--rounds <number>", "how often they take turns").argParser(positive).default(5))
  .addOption(new Option("--budget-ms <ms>", "time of each in each round").argParser(positive).default(200))
  .addOption(
    new Option("--first-run <seconds>", "longest wait for the first result, which compiles")
      .argParser(positive)
      .default(180),
  )
  .option("--tuning <name>", "one of Unmoor's schedules, as unmoor tune calls them (default: what it recorded here)")
  .addOption(jsonOption());

const open: Readonly<Record<Place, () => Promise<RaceTrack>>> = {
  node: async () => (await import("./web-peers/node.ts")).nodeTrack(),
  chromium: async () => (await import("./web-peers/chromium.ts")).chromiumTrack(),
};

async function run(options: Options): Promise<number> {
  if (!packages.installed())
    console.error("installing onnxruntime-web and tfjs into bench/web-peers/node_modules: some 220 MB, once");
  await packages.install();
  const backend = createWgsl();
  const outcomes: Outcome[] = [];
  for (const place of options.place) {
    const track = await open[place]();
    try {
      for (const contest of options.contest) {
        const arena = new Arena();
        try {
          const made = await makeCase(contest, backend, arena, options.tuning);
          const outcome = judge(made, track.where, await track.race(made.entries, options));
          outcomes.push(outcome);
          console.log(`\n${outcomeText(outcome)}`);
        } finally {
          arena.free();
        }
      }
    } finally {
      await track.close();
    }
  }
  writeFigures(options.json, { options, outcomes });
  return outcomes.some(({ wrong }) => wrong) ? 1 : 0;
}

await runBench(program, run);
// onnxruntime-web and tfjs leave devices open.
process.exit();
