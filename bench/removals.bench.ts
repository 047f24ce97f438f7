/**
 * Whether the emulator notices missing synchronisation, `npm run ascend:removals`: takes the calls that order pipes and cores out of
 * the generated kernels of every example, one by one, and counts what is noticed within twenty seeds. Examples and storages can be
 * named: `npm run ascend:removals -- mixtral.ts longcat-moe.ts bf16`. Exit status 1 where fewer than 95 % of the removals that
 * matter are noticed.
 */
import { join } from "node:path";
import Table from "cli-table3";
import { createAscend } from "../backends/ascend/index.ts";
import { compileLayer } from "../codegen/compile.ts";
import * as native from "../runtime/native.ts";
import { readLayer } from "../runtime/source.ts";
import { installFolder } from "../runtime/version.ts";
import { exampleSizes } from "./example-sizes.ts";
import { type Removals, removeCalls } from "./removals.ts";

const SEEDS = 20;
const storages = ["f32", "f16", "bf16", "int8"] as const;
const named = process.argv.slice(2);
const unknown = named.filter((n) => !(n in exampleSizes) && !storages.some((s) => s === n));
if (unknown.length > 0) {
  console.error(
    `expected names of examples (${Object.keys(exampleSizes).join(", ")}) or of storages (${storages.join(", ")}), found ${unknown.join(", ")}`,
  );
  process.exit(2);
}
const chosen = <T extends string>(all: readonly T[]): readonly T[] => {
  const some = all.filter((a) => named.includes(a));
  return some.length > 0 ? some : all;
};

const head = ["layer", "storage", "calls", "removed", "reported", "other results", "covered", "not noticed"];
const table = new Table({ head, colAligns: ["left", "left", "right", "right", "right", "right", "right", "right"] });
const results: Removals[] = [];
const listed: string[] = [];
for (const file of chosen(Object.keys(exampleSizes)))
  for (const params of exampleSizes[file] ?? [])
    for (const storage of chosen(storages)) {
      const layer = await readLayer({
        file: join(installFolder(), "examples", file),
        params,
        cache: undefined,
      });
      const target = createAscend(native).target("dav-2201");
      const done = await removeCalls(compileLayer(layer, target, storage), SEEDS);
      results.push(done);
      const { calls, tried, reported, differing, covered, unnoticed } = done;
      const sizes = Object.entries(params).map(([name, size]) => `${name} ${size}`);
      table.push([
        `${file} ${sizes.slice(0, 2).join(" ")}`,
        storage,
        ...[calls, tried, reported, differing, covered.length, unnoticed.length],
      ]);
      for (const text of covered)
        listed.push(
          `${file}, ${storage}: ${text}: another queue of the same pipes hands over later, and orders the same`,
        );
      for (const text of unnoticed)
        listed.push(`${file}, ${storage}: ${text}: nothing depends on it, or nobody noticed`);
      console.error(`${file} ${storage}: ${tried} removals, ${reported + differing} noticed`);
    }

const sum = (of: (each: Removals) => number): number => results.reduce((total, each) => total + of(each), 0);
const noticed = sum((r) => r.reported + r.differing);
const mattering = noticed + sum((r) => r.unnoticed.length);
console.log(table.toString());
for (const line of listed) console.log(line);
console.log(
  `${noticed} of ${mattering} removals that matter are noticed within ${SEEDS} seeds, ${((100 * noticed) / mattering).toFixed(1)} %; ${sum((r) => r.covered.length)} are made up for by another call.`,
);
if (noticed < 0.95 * mattering) process.exitCode = 1;
