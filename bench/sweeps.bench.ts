/**
 * How a layer's time on SIMD C follows its work, `npm run bench:sweeps`: zero-computation experts, the number of experts, the number of
 * tokens. docs/benchmarks.md says how to read it.
 */
import { availableParallelism } from "node:os";
import { Command, Option } from "commander";
import { LackError } from "../backends/backend.ts";
import { type Storage, storages } from "../codegen/target.ts";
import { loadBackend } from "../runtime/backends.ts";
import { jsonOption, list, namesOption, positive, runBench, writeFigures } from "./arguments.ts";
import { machineLines } from "./peers/report.ts";
import { openRoofProbe, type RoofProbe } from "./roofs.ts";
import { sweepExperts, sweepTokens } from "./sweeps/growth.ts";
import type { SweepSettings } from "./sweeps/layer.ts";
import { sweepZeroExperts } from "./sweeps/zero-experts.ts";
import { figure, percent, table } from "./tables.ts";

const kinds = ["zero", "experts", "tokens"] as const;

interface Options {
  readonly sweep: readonly (typeof kinds)[number][];
  readonly storage: readonly Storage[];
  readonly threads: number;
  readonly rounds: number;
  readonly budget: number;
  readonly json?: string;
}

const program = new Command("npm run bench:sweeps --")
  .description("prints how the time of an MoE layer follows its work")
  .addOption(namesOption("--sweep", kinds))
  .addOption(
    new Option("--storage <names>", `of ${storages.join(", ")}`).argParser(list(storages)).default(["bf16"], "bf16"),
  )
  .addOption(new Option("--threads <number>").argParser(positive).default(availableParallelism()))
  .addOption(new Option("--rounds <number>", "how often each point is measured").argParser(positive).default(3))
  .addOption(new Option("--budget <ms>", "time of each point in each round").argParser(positive).default(100))
  .addOption(jsonOption());

/** Powers of two, and what lies half-way between them. */
const tokenCounts = Array.from({ length: 12 }, (_, i) => 2 ** i)
  .flatMap((n) => (n < 2 ? [n] : [n, n + n / 2]))
  .concat(4096);

async function runSweeps(settings: SweepSettings, kindsWanted: Options["sweep"], probe: RoofProbe) {
  const { storage } = settings;
  const zero = kindsWanted.includes("zero") ? await sweepZeroExperts(settings, [1, 16, 128]) : [];
  for (const { params, tokens, points, fit, relativeSlope } of zero) {
    const sizes = Object.entries(params).map(([name, value]) => `${name} ${value}`);
    console.log(
      `\nZero-computation experts in ${storage}, ${tokens} token${tokens === 1 ? "" : "s"}: ${sizes.join(", ")}`,
    );
    console.log(
      table(
        ["identity hits of 12", ...points.map((p) => String(p.hits))],
        [["ms", ...points.map((p) => figure(p.ms))]],
      ),
    );
    console.log(
      `correlation ${fit.correlation.toFixed(4)}; slope ${relativeSlope.toFixed(3)} of a slot's time per hit (−1: full proportion)`,
    );
  }
  const experts = kindsWanted.includes("experts") ? await sweepExperts(settings, [1, 128], [8, 16, 32, 64, 128]) : [];
  for (const { tokens, points, growth } of experts) {
    console.log(`\nNumber of experts in ${storage}, ${tokens} token${tokens === 1 ? "" : "s"}, always the same 8 hit`);
    console.log(
      table(
        ["experts", ...points.map((p) => String(p.experts))],
        [["ms per token", ...points.map((p) => figure(p.ms / tokens))]],
      ),
    );
    console.log(`the longest over the shortest: ${growth.toFixed(3)}`);
  }
  const tokens = kindsWanted.includes("tokens") ? await sweepTokens(settings, tokenCounts, probe) : undefined;
  if (tokens) {
    console.log(`\nNumber of tokens in ${storage}, OLMoE's shape`);
    const rows = tokens.points.map((p) => [p.tokens, figure(p.ms), figure(p.ms / p.tokens), percent(p.share)]);
    console.log(table(["tokens", "ms", "ms per token", "of the roofline"], rows));
    const { ratio, from, to } = tokens.cliff;
    console.log(
      `worst cliff: from ${from} to ${to} tokens time grows ${ratio.toFixed(2)} times as much as the roofline`,
    );
  }
  return { storage, zero, experts, tokens };
}

async function run(options: Options): Promise<number> {
  const backend = await loadBackend("simd-c");
  const isa = await backend.bestIsa();
  const probe = await openRoofProbe(backend, isa);
  if (!probe) throw new LackError(`${isa} has no roofs to compare with`, "run on a CPU with vectors");
  const roofs = await probe.roofs();
  console.log(machineLines(roofs, options.threads).join("\n"));
  const sweeps = [];
  try {
    for (const storage of options.storage)
      sweeps.push(await runSweeps({ ...options, backend, isa, storage }, options.sweep, probe));
  } finally {
    await probe.close();
  }
  writeFigures(options.json, { kind: "measured", roofs, options, sweeps });
  return 0;
}

await runBench(program, run);
