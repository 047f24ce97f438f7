/**
 * How long compiling takes, `npm run bench:compile`: from DSL source to the sources of all three targets, each time in a process of
 * its own that loads all that it needs, with an empty cache and with one that knows the source; then, in this process,
 * its parts. The layer is LongCat-Flash's, at sizes that every target can hold.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Benchmark from "benchmark";
import { compileLayer } from "../codegen/compile.ts";
import { targetNames } from "../codegen/target.ts";
import { loadBackend } from "../runtime/backends.ts";
import { readLayer } from "../runtime/source.ts";
import { installFolder } from "../runtime/version.ts";

const file = join(installFolder(), "examples", "longcat-moe.ts");
const params = { H: 256, I: 128, E: 16, Z: 8, K: 4 };
const folder = mkdtempSync(join(tmpdir(), "unmoor-compile-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** Runs `unmoor compile` for all targets in a new process, with a cache of this name. Rejects where it fails. */
function compileAll(cache: string): Promise<void> {
  const options = Object.entries(params).flatMap(([name, value]) => ["--param", `${name}=${value}`]);
  const given = ["compile", file, ...options, "--target", "all", "--out", join(folder, "out")];
  const env = { ...process.env, XDG_CACHE_HOME: join(folder, cache) };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [join(installFolder(), "bin", "unmoor.js"), ...given], { env }, (error, _, stderr) => {
      if (error) reject(new Error(stderr || error.message));
      else resolve();
    });
  });
}

const suite = new Benchmark.Suite();
const timed = (name: string, work: () => Promise<void>): void => {
  const fn = (deferred: { resolve(): void }): void => {
    work().then(
      () => deferred.resolve(),
      (error: unknown) => {
        console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
        process.exit(1);
      },
    );
  };
  suite.add(name, { defer: true, minSamples: 8, fn });
};

let runs = 0;
timed("a new process, empty cache: DSL source → all three sources (goal: under 4 s)", () =>
  compileAll(`cold${runs++}`),
);
await compileAll("known");
timed("a new process, unchanged source: the same (goal: under 0.5 s)", () => compileAll("known"));

const read = () => readLayer({ file, params, cache: undefined });
const layer = await read();
timed("in this process: DSL source → layer IR", async () => void (await read()));
for (const name of targetNames) {
  const backend = await loadBackend(name);
  const target = backend.target(backend.isas[0] ?? "");
  timed(`in this process: layer IR → ${name} (${target.isa}) sources`, async () => {
    await backend.emit(compileLayer(layer, target, "f32").program, target);
  });
}
const ms = (seconds: number): string => (seconds * 1e3).toFixed(seconds < 0.1 ? 1 : 0);
suite.on("cycle", (event: Benchmark.Event) => {
  const { name, stats } = event.target;
  if (!stats) return;
  const times = [...stats.sample].sort((a, b) => a - b);
  const [least = 0, most = 0, middle = 0] = [times[0], times.at(-1), times[Math.floor(times.length / 2)]];
  console.log(`${name}\n  median ${ms(middle)} ms, ${ms(least)} to ${ms(most)} ms (${times.length} runs)`);
});
suite.run({ async: true });
