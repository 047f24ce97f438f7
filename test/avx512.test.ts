// Layers for AVX-512 against the oracle, on a CPU without it: their C is compiled against an emulation of the intrinsics.
import { resolve } from "node:path";
import { test } from "vitest";
import type { Backend } from "../backends/backend.ts";
import { ForeignProgram, type Machine, machineFor } from "../backends/simd-c/foreign/testing.ts";
import { createSimdC } from "../backends/simd-c/index.ts";
import { vectorIsa } from "../backends/simd-c/targets.ts";
import type { Storage } from "../codegen/target.ts";
import type { TypedArray } from "../codegen/tile/interpreter.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import * as native from "../runtime/native.ts";
import { expectStorages } from "./support.ts";

const all = process.env.UNMOOR_TEST_ALL === "1";
const isas = all ? ["avx512-bf16", "avx512-vnni", "avx512"] : ["avx512-bf16", "avx512-vnni"];
const storages: readonly Storage[] = all ? ["f32", "f16", "bf16", "q8_0", "q4_0"] : ["bf16", "q4_0"];
const layers: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  "longcat-moe.ts": { H: 40, I: 37, E: 5, Z: 2, K: 3, scale: 6 },
  ...(all
    ? { "gpt-oss.ts": { H: 37, I: 21, E: 12, K: 3 }, "kimi-k3.ts": { H: 37, L: 23, I: 21, S: 19, E: 12, K: 3 } }
    : {}),
};

const arrays = (tensors: ReadonlyMap<string, Tensor>): (readonly [string, TypedArray])[] =>
  [...tensors].map(([name, { data }]) => [name, data as TypedArray]);

/** simd-c whose layers are programs of their own. */
function emulated(isa: string, machine: Machine): Backend {
  return {
    ...createSimdC(native),
    async load(program) {
      const built = new ForeignProgram(program, vectorIsa(isa), machine, ["-Wno-unused-variable"]);
      let weights: (readonly [string, TypedArray])[] = [];
      return {
        evidence: "emulated",
        device: "SIMDe",
        async setWeights(given) {
          weights = arrays(given);
        },
        async run(inputs, dims, { threads = 2 } = {}) {
          const found = await built.run(new Map([...weights, ...arrays(inputs)]), dims, threads);
          const outputs = new Map(
            program.buffers.flatMap((b): [string, Tensor][] => {
              const data = found.get(b.name);
              if (b.role !== "output" || data === undefined) return [];
              return [[b.name, { dtype: b.dtype, dims: b.dims.map((d) => d.evaluate(dims)), data } as Tensor]];
            }),
          );
          return { outputs, nanoseconds: new Float64Array(1) };
        },
        close: async () => built.close(),
      };
    },
  };
}

const machines = isas.map((isa) => ({ isa, machine: machineFor(vectorIsa(isa), native) }));

for (const { isa, machine } of machines)
  test.skipIf(typeof machine === "string")(
    `layers for ${isa} agree with the oracle${typeof machine === "string" ? ` (skipped: ${machine})` : ""}`,
    { timeout: 600_000 },
    async () => {
      if (typeof machine === "string") return;
      for (const [file, params] of Object.entries(layers)) {
        const path = resolve(import.meta.dirname, "../examples", file);
        await expectStorages(path, params, emulated(isa, machine), isa, storages);
      }
    },
  );
