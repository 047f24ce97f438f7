/**
 * Attention on the SIMD C target, `npm run bench:attention`: one token after 4095 others, and 512 tokens at once,
 * beside the machine's roofs in the same run. Optionally the number of threads.
 */
import { compileLayer } from "../codegen/compile.ts";
import { operationFlops } from "../ir/ops/index.ts";
import { parseLayer } from "../ir/text/index.ts";
import { loadBackend } from "../runtime/backends.ts";
import { seededTensor } from "../runtime/check/cases.ts";
import { measureRoofs } from "./roofs.ts";

const layer = parseLayer(
  `layer @attended {A = 32, G = 4, D = 128} (
    input fixed %q: f32[T, A, D],
    input fixed %k: f32[P + T, G, D],
    input fixed %v: f32[P + T, G, D]
  ) {
    %y = attention(%q, %k, %v) {causal = true} : f32[T, A, D]
    return y = %y
  }`,
  "attention.bench",
);

const [, , given] = process.argv;
const threads = given === undefined ? {} : { threads: Number(given) };
const backend = await loadBackend("simd-c");
const isa = await backend.bestIsa();
const roofs = await measureRoofs(backend, isa);
const compilation = compileLayer(layer, backend.target(isa), "f32");
const loaded = await backend.load(compilation.program, compilation.target);
await loaded.setWeights(new Map());
console.log(
  `${loaded.device}; roofs: ${roofs?.read_gbps.toFixed(1)} GB/s, ${roofs?.gflops.f32?.toFixed(0)} GFLOP/s in f32`,
);
for (const [name, dims] of [
  ["one token after 4095", { T: 1, P: 4095 }],
  ["512 tokens at once", { T: 512, P: 0 }],
] as const) {
  const inputs = new Map(layer.args.map((a) => [a.value.name, seededTensor(layer, a, dims, 1)] as const));
  await loaded.run(inputs, dims, { ...threads, repeat: 3 });
  const { nanoseconds } = await loaded.run(inputs, dims, { ...threads, repeat: 30 });
  const times = [...nanoseconds].sort((a, b) => a - b);
  const [least = 0, median = 0] = [times[0], times[Math.floor(times.length / 2)]];
  const sizes = { ...layer.params, ...dims };
  const flops = layer.body.reduce((sum, o) => sum + operationFlops(o, sizes), 0);
  const bytes = [...inputs.values()].reduce((sum, t) => sum + t.data.byteLength, 0);
  const [gflops, gbps] = [flops / median, bytes / median];
  console.log(
    `${name}: median ${(median / 1e6).toFixed(3)} ms, least ${(least / 1e6).toFixed(3)} ms; ${gflops.toFixed(0)} GFLOP/s, ${gbps.toFixed(1)} GB/s`,
  );
}
await loaded.close();
