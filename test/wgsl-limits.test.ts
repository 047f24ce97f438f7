/** Layers laid out within the limits of WebGPU devices, and weights that are cut for it, against the oracle. */
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import type { Backend } from "../backends/backend.ts";
import { wgslLanguage } from "../backends/wgsl/functions.ts";
import { createWgsl } from "../backends/wgsl/index.ts";
import { defaultLimits, limitTarget, phoneLimits, type WgslLimits } from "../backends/wgsl/limits.ts";
import type { LaunchPlan } from "../backends/wgsl/support/run.js";
import { loadRunModule } from "../backends/wgsl/support.ts";
import { wgslTarget } from "../backends/wgsl/target.ts";
import { type Compilation, compileLayer } from "../codegen/compile.ts";
import { emitWgsl } from "../codegen/emit/wgsl/index.ts";
import { checkLegality } from "../codegen/legality.ts";
import type { Program } from "../codegen/program.ts";
import { programWeights } from "../codegen/program-weights.ts";
import type { Storage } from "../codegen/target.ts";
import { DiagnosticError } from "../ir/core/diagnostic.ts";
import type { Layer } from "../ir/core/layer.ts";
import { casesFor } from "../runtime/check/cases.ts";
import { splitByRole } from "../runtime/check/check.ts";
import { compareWithOracle } from "../runtime/check/compare.ts";
import { readLayer } from "../runtime/source.ts";
import { sourceFile } from "./support.ts";

const folder = resolve(import.meta.dirname, "../examples");
const all = process.env.UNMOOR_TEST_ALL === "1";
const patience = 600_000;

const devices: Readonly<Record<string, WgslLimits>> = {
  "the specification's defaults": defaultLimits,
  "a phone": phoneLimits,
  // Those of the software adapters of these tests; stated here, so that the test says the same everywhere.
  SwiftShader: {
    ...defaultLimits,
    maxStorageBufferBindingSize: 2 ** 30,
    maxBufferSize: 2 ** 30,
    maxComputeWorkgroupStorageSize: 32_768,
  },
  lavapipe: {
    ...defaultLimits,
    maxBufferSize: 2 ** 32,
    maxComputeInvocationsPerWorkgroup: 1024,
    maxComputeWorkgroupStorageSize: 32_768,
  },
};

const read = (file: string, params: Readonly<Record<string, number>> = {}): Promise<Layer> =>
  readLayer({ file: resolve(folder, file), params, cache: undefined });

/** The target for devices that allow so many bytes in a binding, and the rest as by default. */
const narrow = (bytes: number) => limitTarget(wgslTarget, { ...defaultLimits, maxStorageBufferBindingSize: bytes });

describe.each(readdirSync(folder).filter((f) => f.endsWith(".ts")))("%s at its published sizes", (file) => {
  test.each(all ? wgslTarget.storages : (["f32"] as const))(
    "is laid out for every device, in %s",
    async (storage) => {
      const { lacks } = await loadRunModule();
      const layer = await read(file);
      const compilation = compiled(layer, storage);
      if (!compilation) return;
      for (const [device, limits] of Object.entries(devices)) {
        const target = limitTarget(wgslTarget, limits);
        checkLegality(layer, compilation.program, target);
        const { plan } = emitWgsl(compilation.program, wgslLanguage, target.limits.bufferBytes);
        expect(lacks(plan, { ...limits }), device).toEqual([]);
        expectWhole(compilation.program, plan);
      }
    },
    patience,
  );
});

/** A layer in a storage, on a device without limits; undefined where its rows are not made of whole blocks. */
function compiled(layer: Layer, storage: Storage): Compilation | undefined {
  try {
    return compileLayer(layer, narrow(2 ** 28), storage);
  } catch (error) {
    if (error instanceof DiagnosticError && error.diagnostics.every((d) => d.code === "U218")) return undefined;
    throw error;
  }
}

/** The parts of every weight are the weight: each element once, in order. */
function expectWhole(program: Program, plan: LaunchPlan): void {
  for (const { name, role, dims } of program.buffers) {
    if (role !== "weight" && role !== "prepared") continue;
    const elements = dims.reduce((n, d) => n * d.evaluate(), 1);
    const parts = plan.buffers.flatMap((b) => (b.part?.of === name ? [{ ...b, ...b.part }] : []));
    let at = 0;
    for (const part of parts) {
      expect([part.first, part.elements]).toEqual([at, elements]);
      at += part.dims.reduce((n, d) => n * (d[0]?.coefficient ?? 0), 1);
    }
    if (parts.length > 0) expect(at).toBe(elements);
  }
}

const olmoe = { H: 32, I: 16, E: 8, K: 3 };
const longcat = { H: 32, A: 2, Q: 16, L: 16, N: 8, R: 4, V: 8, F: 48, I: 16, E: 4, Z: 2, K: 2 };
const cut = [
  ["rows of an expert", "olmoe.ts", olmoe, "f32", 1100],
  ...(all
    ? ([
        ["blocks that are repacked at load", "olmoe.ts", { ...olmoe, I: 32 }, "q4_0", 1100],
        ["whole experts", "olmoe.ts", olmoe, "f32", 5000],
        ["slices of one matrix, and biases", "gpt-oss.ts", { H: 32, I: 16, E: 6, K: 2 }, "f32", 3000],
        ["experts in bf16", "olmoe.ts", olmoe, "bf16", 2500],
        ["bytes and their scales", "olmoe.ts", { ...olmoe, I: 32 }, "q8_0", 1500],
        ["a stack of dense layers", "longcat-block.ts", longcat, "f32", 3000],
      ] as const)
    : []),
] as const;

test("a table is cut, and a kernel that looks ids up in it agrees with the oracle", { timeout: patience }, async () => {
  const text = `import { gather, layer, type Tensor } from "unmoor";

export const rows = layer({ V: 50, H: 8 }, (p, ids: Tensor<["T"], "i32">, w: { table: Tensor<["V", "H"]> }) => gather(w.table, ids));
`;
  await expectCutAgrees(sourceFile(text), {}, "f32", 640, 3);
});

test.each(cut)(
  "cut weights agree with the oracle: %s of %s",
  { timeout: patience },
  (_, file, params, storage, bytes) => expectCutAgrees(file, params, storage, bytes, 7),
);

/** Holds a layer for bindings of so many bytes against the oracle; its weights are cut into so many parts at least. */
async function expectCutAgrees(
  file: string,
  params: Readonly<Record<string, number>>,
  storage: Storage,
  bytes: number,
  parts: number,
): Promise<void> {
  const backend: Backend = createWgsl();
  const compilation = compileLayer(await read(file, params), narrow(bytes), storage);
  const { program, stored, target } = compilation;
  const { plan } = emitWgsl(program, wgslLanguage, bytes);
  expect(plan.buffers.filter((b) => b.part).length).toBeGreaterThanOrEqual(parts);
  expect(plan.kernels.length).toBeGreaterThan(program.kernels.length);
  const loaded = await backend.load(program, target);
  try {
    for (const { name, dims, tensors, tied } of casesFor(compilation, 1)) {
      if (!all && !/^(0|5) tokens$/.test(name)) continue;
      const { weights, inputs } = splitByRole(stored, tensors);
      await loaded.setWeights(programWeights(program, weights));
      const { outputs } = await loaded.run(inputs, dims);
      expect(compareWithOracle(compilation, tensors, dims, outputs, tied).disagreements, name).toEqual([]);
    }
  } finally {
    await loaded.close();
  }
}
