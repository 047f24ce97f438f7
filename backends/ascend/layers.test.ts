import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compileLayer } from "../../codegen/compile.ts";
import type { Storage } from "../../codegen/target.ts";
import { parseLayer } from "../../ir/text/index.ts";
import { casesFor } from "../../runtime/check/cases.ts";
import { checkTarget, splitByRole } from "../../runtime/check/check.ts";
import * as native from "../../runtime/native.ts";
import { createAscend } from "./index.ts";
import { ascendTarget } from "./target.ts";

let cache = "";
beforeAll(() => {
  cache = mkdtempSync(join(tmpdir(), "unmoor-ascend-layers-"));
});
afterAll(() => rmSync(cache, { recursive: true, force: true }));

/** The LongCat-Flash layer: softmax over FFN and identity experts, chosen by score + bias, SwiGLU. */
const longcat = (sizes: { H: number; I: number; E: number; Z: number; K: number }): string =>
  `layer @longcatMoe {H = ${sizes.H}, I = ${sizes.I}, E = ${sizes.E}, Z = ${sizes.Z}, K = ${sizes.K}, scale = 6} (
  input auto %x: f32[T, H],
  weight fixed %router: f32[E + Z, H],
  weight fixed %bias: f32[E + Z],
  weight auto %gate: f32[E, I, H],
  weight auto %up: f32[E, I, H],
  weight auto %down: f32[E, H, I]
) {
  %logits = linear(%x, %router) : f32[T, E + Z]
  %ids, %weights = route(%logits, %bias) {with = ["select_bias"], score = "softmax", top_k = K, renormalise = "none", scale = 6} : i32[T, K], f32[T, K]
  %y = mix(%x, %ids, %weights) {ffn = E, identity = Z} (%token: f32[H], %e: i32[]) {
    %gate_e = index(%gate, %e) : f32[I, H]
    %up_e = index(%up, %e) : f32[I, H]
    %down_e = index(%down, %e) : f32[H, I]
    %g = linear(%token, %gate_e) : f32[I]
    %u = linear(%token, %up_e) : f32[I]
    %h = map(%g, %u) {fn = (g, u) => ((g * (1.0 / (1.0 + exp(neg(g))))) * u)} : f32[I]
    %o = linear(%h, %down_e) : f32[H]
    yield %o
  } : f32[T, H]
  return y = %y
}
`;

/** Sigmoid scores, weights that sum to one, no identity experts, rows wider than a tile, and an activation with a condition. */
const sigmoid = `layer @sigmoidMoe {H = 2100, I = 24, E = 5, K = 3} (
  input auto %x: f32[T, H],
  weight fixed %router: f32[E, H],
  weight auto %up: f32[E, I, H],
  weight auto %down: f32[E, H, I]
) {
  %logits = linear(%x, %router) : f32[T, E]
  %ids, %weights = route(%logits) {score = "sigmoid", top_k = K, renormalise = "sum", scale = 1} : i32[T, K], f32[T, K]
  %y = mix(%x, %ids, %weights) {ffn = E, identity = 0} (%token: f32[H], %e: i32[]) {
    %up_e = index(%up, %e) : f32[I, H]
    %down_e = index(%down, %e) : f32[H, I]
    %u = linear(%token, %up_e) : f32[I]
    %h = map(%u) {fn = (u) => select((u < 0.0), (0.1 * u), u)} : f32[I]
    %o = linear(%h, %down_e) : f32[H]
    yield %o
  } : f32[T, H]
  return y = %y
}
`;

const cases: readonly (readonly [string, Parameters<typeof longcat>[0], Storage, number])[] = [
  ["odd sizes", { H: 40, I: 24, E: 5, Z: 3, K: 2 }, "f32", 11],
  ["odd sizes", { H: 40, I: 24, E: 5, Z: 3, K: 2 }, "bf16", 12],
  ["sizes that fill no fractal", { H: 513, I: 33, E: 5, Z: 3, K: 2 }, "int8", 18],
  ["a product of 512 columns", { H: 512, I: 33, E: 3, Z: 1, K: 2 }, "bf16", 19],
  ["products of 513 columns", { H: 33, I: 513, E: 3, Z: 1, K: 2 }, "bf16", 20],
  ["the reduced example", { H: 256, I: 128, E: 16, Z: 8, K: 4 }, "f32", 13],
  ["the reduced example", { H: 256, I: 128, E: 16, Z: 8, K: 4 }, "bf16", 14],
];

// The first may compile the emulator, on a machine that may be busy.
describe("the LongCat layer on the emulator agrees with the oracle", { timeout: 300_000 }, () => {
  it.each(cases)("%s %o in %s, seed %d", async (_, sizes, storage, seed) => {
    const backend = createAscend(native, { env: { ...process.env }, seed });
    const layer = parseLayer(longcat(sizes), "longcat.moe");
    const checked = await checkTarget(layer, backend, backend.target("dav-2201"), storage, seed);
    expect(checked.cases.filter((c) => c.disagreements.length > 0)).toEqual([]);
    expect(checked.agrees).toBe(true);
    expect(checked.evidence).toBe("emulated");
    expect(checked.device).toBe("Ascend emulator (910B3, dav-2201)");
  });

  it("with ten seeds a run, from seed 16 on", async () => {
    const env = { ...process.env, UNMOOR_ASCEND_SEEDS: "10" };
    const layer = parseLayer(longcat({ H: 40, I: 24, E: 5, Z: 3, K: 2 }), "longcat.moe");
    const backend = createAscend(native, { env, seed: 16 });
    const checked = await checkTarget(layer, backend, backend.target("dav-2201"), "bf16", 16);
    expect(checked.agrees).toBe(true);
  });

  it("and writes a trace of the modelled times", async () => {
    const trace = join(cache, "trace.json");
    const backend = createAscend(native, { env: { ...process.env }, trace });
    const layer = parseLayer(longcat({ H: 40, I: 24, E: 5, Z: 3, K: 2 }), "longcat.moe");
    const compilation = compileLayer(layer, ascendTarget, "bf16");
    const loaded = await backend.load(compilation.program, ascendTarget);
    const [, , three] = casesFor(compilation, 17);
    if (!three) throw new Error("no case");
    const { weights, inputs } = splitByRole(compilation.stored, three.tensors);
    await loaded.setWeights(weights);
    await loaded.run(inputs, three.dims);
    await loaded.close();
    const { traceEvents } = JSON.parse(readFileSync(trace, "utf8")) as {
      traceEvents: { name: string; cat?: string }[];
    };
    expect(new Set(traceEvents.map((e) => e.cat))).toEqual(
      new Set([undefined, "S", "V", "M", "MTE1", "MTE2", "MTE3", "FIX"]),
    );
    expect(traceEvents.some((e) => e.name === "Mmad")).toBe(true);
  });

  it("refuses a number of seeds that is none", async () => {
    const backend = createAscend(native, { env: { ...process.env, UNMOOR_ASCEND_SEEDS: "0" } });
    const layer = parseLayer(longcat({ H: 40, I: 24, E: 5, Z: 3, K: 2 }), "longcat.moe");
    await expect(checkTarget(layer, backend, backend.target("dav-2201"), "bf16", 16)).rejects.toThrow(
      'UNMOOR_ASCEND_SEEDS has to be a whole number of at least 1, found "0"',
    );
  });

  it("sigmoid scores and wide rows in bf16, seed 15", async () => {
    const backend = createAscend(native, { env: { ...process.env }, seed: 15, soc: "910B4" });
    const checked = await checkTarget(
      parseLayer(sigmoid, "sigmoid.moe"),
      backend,
      backend.target("dav-2201"),
      "bf16",
      15,
    );
    expect(checked.cases.filter((c) => c.disagreements.length > 0)).toEqual([]);
    expect(checked.agrees).toBe(true);
  });
});
