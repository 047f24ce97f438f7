/**
 * How long compiling takes: DSL source to layer IR, and layer IR to the sources of each target. `npm run bench:compile`.
 * ts-morph is loaded before anything is timed: loading it is a cost of the first compilation only, and printed by itself.
 */
import { fileURLToPath } from "node:url";
import Benchmark from "benchmark";
import { compileLayer } from "../codegen/compile.ts";
import { targetNames } from "../codegen/target.ts";
import { loadBackend } from "../runtime/backends.ts";
import { readLayer } from "../runtime/source.ts";

const file = fileURLToPath(
  import.meta.resolve("unmoor/package.json").replace("package.json", "examples/longcat-moe.ts"),
);
const params = { H: 256, I: 128, E: 16, Z: 8, K: 4 };
const read = () => readLayer({ file, params, cache: undefined });

const start = performance.now();
const layer = await read();
console.log(
  `first compilation of source, with loading the TypeScript compiler: ${(performance.now() - start).toFixed(0)} ms`,
);

const suite = new Benchmark.Suite();
suite.add("DSL source → layer IR", {
  defer: true,
  fn: (deferred: { resolve(): void }) => {
    void read().then(() => deferred.resolve());
  },
});
for (const name of targetNames) {
  const backend = await loadBackend(name);
  const target = backend.target(backend.isas[0] ?? "");
  suite.add(`layer IR → ${name} (${target.isa}) sources`, () => {
    backend.emit(compileLayer(layer, target, "f32").program, target);
  });
}
suite.on("cycle", (event: Benchmark.Event) => {
  const { name, stats } = event.target;
  if (stats)
    console.log(
      `${name}: ${(stats.mean * 1e3).toFixed(1)} ms ± ${stats.rme.toFixed(1)} % (${stats.sample.length} runs)`,
    );
});
suite.run({ async: true });
