/** A whole model on WebGPU: embedding, attention with a cache, experts, head and choice; one submission for each token. */
import { expect, onTestFinished, test } from "vitest";
import { openDevice } from "../backends/wgsl/adapter/index.ts";
import { elementsOf } from "../backends/wgsl/elements.ts";
import { wgslLanguage } from "../backends/wgsl/functions.ts";
import { loadRunModule } from "../backends/wgsl/support.ts";
import { wgslTarget } from "../backends/wgsl/target.ts";
import { random } from "../backends/wgsl/testing.ts";
import { compileLayer } from "../codegen/compile.ts";
import { emitWgsl } from "../codegen/emit/wgsl/index.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { interpret } from "../ir/interpreter/index.ts";
import { seededTensor } from "../runtime/check/cases.ts";
import { readLayer } from "../runtime/source.ts";
import { sourceFile } from "./support.ts";

const source = `import { add, argMax, attention, concat, gather, layer, linear, mul, reshape, rmsNorm, rope, route, silu, type Tensor } from "unmoor";

export const model = layer(
  { H: 32, A: 2, G: 1, D: 16, I: 16, E: 4, K: 2, V: 40 },
  (
    p,
    ids: Tensor<["T"], "i32">,
    positions: Tensor<["T"], "i32">,
    keys: Tensor<["P", "G", "D"]>,
    values: Tensor<["P", "G", "D"]>,
    noise: Tensor<["T", "V"]>,
    w: {
      table: Tensor<["V", "H"]>; norm: Tensor<["H"]>; q: Tensor<["A*D", "H"]>; k: Tensor<["G*D", "H"]>; v: Tensor<["G*D", "H"]>;
      o: Tensor<["H", "A*D"]>; norm2: Tensor<["H"]>; router: Tensor<["E", "H"], "f32">; gate: Tensor<["E", "I", "H"]>;
      up: Tensor<["E", "I", "H"]>; down: Tensor<["E", "H", "I"]>; head: Tensor<["V", "H"]>;
    },
  ) => {
    const x = gather(w.table, ids);
    const n = rmsNorm(x, { weight: w.norm, epsilon: 1e-6 });
    const q = rope(reshape(linear(n, w.q), ["T", "A", "D"]), positions, { theta: 10000 });
    const k = rope(reshape(linear(n, w.k), ["T", "G", "D"]), positions, { theta: 10000 });
    const allKeys = concat([keys, k], 0);
    const allValues = concat([values, reshape(linear(n, w.v), ["T", "G", "D"])], 0);
    const h = add(x, linear(reshape(attention(q, allKeys, allValues), ["T", "A*D"]), w.o));
    const m = rmsNorm(h, { weight: w.norm2, epsilon: 1e-6 });
    const routing = route(linear(m, w.router), { score: "softmax", topK: p.K, experts: { ffn: p.E } });
    const y = add(h, routing.mix(m, (t, e) => linear(mul(silu(linear(t, w.gate[e])), linear(t, w.up[e])), w.down[e])));
    return { next: argMax(add(linear(y, w.head), noise)), allKeys, allValues };
  },
);
`;

const prompt = [3, 17, 5];
const steps = 5;
const seed = 2;
const vocabulary = 40;

/**
 * What, added to logits, makes the largest a sample of their softmax at a temperature of `scale`: Gumbel noise (E. J. Gumbel, 1954);
 * at 0 the best token. It depends on the step alone.
 */
function noiseOf(step: number, tokens: number, scale: number): Float32Array {
  return random(100 + step, tokens * vocabulary).map((u) => -Math.log(-Math.log((u + 1) / 2 + 1e-6)) * scale);
}

const choices = new Map<number, readonly number[]>();

test.each([
  ["the best", 0],
  ["sampled", 3],
] as const)(
  "tokens (%s) follow each other on the device, one submission each, and nothing is read before the end",
  {
    timeout: 300_000,
  },
  async (_, temperature) => {
    const layer = await readLayer({ file: sourceFile(source), params: {}, cache: undefined });
    const { program, stored } = compileLayer(layer, wgslTarget, "f32");
    const weights = new Map(
      stored.args.flatMap((a) =>
        a.role === "weight" ? [[a.value.name, seededTensor(stored, a, {}, seed)] as const] : [],
      ),
    );
    const { plan, modules } = emitWgsl(program, wgslLanguage);
    const { createRunner } = await loadRunModule();
    const { device, close } = await openDevice();
    onTestFinished(close);
    const runner = await createRunner(device, { plan, modules: Object.fromEntries(modules) });
    await runner.setWeights(elementsOf(program, weights, "weight"));

    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const make = (words: number): GPUBuffer => device.createBuffer({ size: Math.max(16, words * 4), usage });
    const filled = (data: Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>): GPUBuffer => {
      const buffer = make(data.length);
      device.queue.writeBuffer(buffer, 0, data);
      return buffer;
    };
    const bufferOf = (name: string): string => plan.results.find((r) => r.name === name)?.buffer ?? "";
    let submissions = 0;
    const submit = device.queue.submit.bind(device.queue);
    device.queue.submit = (commands) => {
      submissions++;
      return submit(commands);
    };

    const { G, D } = { G: 1, D: 16 };
    const chosen = make(steps);
    let [ids, keys, values, past] = [filled(Int32Array.from(prompt)), make(0), make(0), 0];
    for (let i = 0; i < steps; i++) {
      const tokens = i === 0 ? prompt.length : 1;
      const all = past + tokens;
      const next = { keys: make(all * G * D), values: make(all * G * D), ids: make(1) };
      const given = {
        ids,
        keys,
        values,
        positions: filled(Int32Array.from({ length: tokens }, (_, t) => past + t)),
        noise: filled(Float32Array.from(noiseOf(i, tokens, temperature))),
        [bufferOf("allKeys")]: next.keys,
        [bufferOf("allValues")]: next.values,
      };
      const encoder = device.createCommandEncoder();
      const out = runner.encode(encoder, given, { T: tokens, P: past })[bufferOf("next")];
      if (!out) throw new Error("the plan has no next token");
      encoder.copyBufferToBuffer(out, (tokens - 1) * 4, next.ids, 0, 4);
      encoder.copyBufferToBuffer(out, (tokens - 1) * 4, chosen, i * 4, 4);
      device.queue.submit([encoder.finish()]);
      [ids, keys, values, past] = [next.ids, next.keys, next.values, all];
    }
    expect(submissions).toBe(steps);
    const result = device.createBuffer({ size: steps * 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(chosen, 0, result, 0, steps * 4);
    device.queue.submit([encoder.finish()]);
    await result.mapAsync(GPUMapMode.READ);
    const found = [...new Int32Array(result.getMappedRange())];

    // The oracle, token by token.
    const expected: number[] = [];
    const cache = (tensor: Tensor | undefined, rows: number): Tensor => ({
      dtype: "f32",
      dims: [rows, G, D],
      data: tensor?.data ?? new Float64Array(0),
    });
    const whole = (data: readonly number[]): Tensor => ({
      dtype: "i32",
      dims: [data.length],
      data: Int32Array.from(data),
    });
    let state = { ids: prompt, keys: cache(undefined, 0), values: cache(undefined, 0), past: 0 };
    for (let i = 0; i < steps; i++) {
      const tokens = state.ids.length;
      const positions = whole(Array.from({ length: tokens }, (_, t) => state.past + t));
      const { keys, values } = state;
      const { results } = interpret(stored, {
        dims: { T: tokens, P: state.past },
        tensors: new Map([
          ...weights,
          ["ids", whole(state.ids)],
          ["positions", positions],
          ["keys", keys],
          ["values", values],
          ["noise", { dtype: "f32", dims: [tokens, vocabulary], data: noiseOf(i, tokens, temperature) }],
        ]),
      });
      const token = Number(results.get("next")?.data.at(-1));
      expected.push(token);
      const all = state.past + tokens;
      state = {
        ids: [token],
        keys: cache(results.get("allKeys"), all),
        values: cache(results.get("allValues"), all),
        past: all,
      };
    }
    expect(found).toEqual(expected);
    expect(new Set(expected).size).toBeGreaterThan(1);
    // The noise decides, or it would be no sample.
    choices.set(temperature, found);
    if (choices.size > 1) expect(choices.get(3)).not.toEqual(choices.get(0));
  },
);
