import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import picocolors from "picocolors";
import { expect, onTestFinished } from "vitest";
import type { Backend, LoadedLayer } from "../backends/backend.ts";
import { runnableIsas } from "../backends/simd-c/testing.ts";
import type { Environment } from "../bin/environment.ts";
import { main } from "../bin/main.ts";
import { compileLayer } from "../codegen/compile.ts";
import { type Storage, type TargetName, targetNames } from "../codegen/target.ts";
import { blockMultiple, isBlockFormat } from "../ir/core/block-formats.ts";
import { layerHash } from "../ir/core/hash.ts";
import type { Layer } from "../ir/core/layer.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { isFloat } from "../ir/core/types.ts";
import { type AnyTensor, type ConcreteTensor, type LayerFunction, type Params, tensor } from "../ir/dsl/index.ts";
import { interpret } from "../ir/interpreter/index.ts";
import { type BackendSource, loadBackend } from "../runtime/backends.ts";
import { casesFor } from "../runtime/check/cases.ts";
import { checkTarget } from "../runtime/check/check.ts";
import * as native from "../runtime/native.ts";
import { fillSeeded, type TensorData, writeSafetensors } from "../runtime/safetensors/index.ts";
import { readLayer } from "../runtime/source.ts";
import { toFloats } from "../runtime/tensors.ts";

/** Small sizes of examples/longcat-moe.ts. */
export const small = { H: 32, I: 16, E: 4, Z: 2, K: 2, scale: 6 } as const;
export const smallParams = Object.entries(small).flatMap(([name, value]) => ["--param", `${name}=${value}`]);
export const example = "examples/longcat-moe.ts";

export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command line in this process, without the IR cache. */
export async function unmoor(argv: readonly string[], options: Partial<Environment> = {}): Promise<Ran> {
  let out = "";
  let err = "";
  const status = await main(argv, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    colors: picocolors.createColors(false),
    backends: loadBackend,
    cache: undefined,
    tuning: join(tmpdir(), "unmoor-test-without-records"),
    debug: false,
    ...options,
  });
  return { status, out, err };
}

/** A folder that goes when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "unmoor-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A DSL file with this text, in a folder that goes when the test ends. */
export function sourceFile(text: string): string {
  const path = join(temporaryFolder(), "layer.ts");
  writeFileSync(path, text);
  return path;
}

/** The simd-c backend, whose runs pass through `change`. */
export function changedBackend(change: (outputs: Map<string, Tensor>) => void): BackendSource {
  return async (name) => {
    const backend: Backend = await loadBackend(name);
    return {
      ...backend,
      async load(program, target): Promise<LoadedLayer> {
        const loaded = await backend.load(program, target);
        return {
          evidence: loaded.evidence,
          device: loaded.device,
          setWeights: (weights) => loaded.setWeights(weights),
          async run(inputs, dims, options) {
            const { outputs, nanoseconds } = await loaded.run(inputs, dims, options);
            const changed = new Map(outputs);
            change(changed);
            return { outputs: changed, nanoseconds };
          },
          close: () => loaded.close(),
        };
      },
    };
  };
}

/** Weights of the example at small sizes in published naming, and 5 tokens of input, as the tensors of files. */
export function smallTensors(dtype: "F32" | "F16" | "BF16"): {
  weights: Map<string, TensorData>;
  input: Map<string, TensorData>;
} {
  const { H, I, E, Z } = small;
  const seeded = (name: string, shape: number[], type: "F32" | "F16" | "BF16", scale: number): [string, TensorData] => {
    const elements = shape.reduce((a, b) => a * b, 1);
    const data = type === "F32" ? new Float32Array(elements) : new Uint16Array(elements);
    fillSeeded(data, { seed: 7, name, dtype: type, scale });
    return [name, { dtype: type, shape, data }];
  };
  const experts = Array.from({ length: E }, (_, e) => e).flatMap((e) => [
    seeded(`mlp.experts.${e}.gate_proj.weight`, [I, H], dtype, 0.25),
    seeded(`mlp.experts.${e}.up_proj.weight`, [I, H], dtype, 0.25),
    seeded(`mlp.experts.${e}.down_proj.weight`, [H, I], dtype, 0.25),
  ]);
  return {
    weights: new Map([
      seeded("mlp.router.classifier.weight", [E + Z, H], "F32", 0.25),
      seeded("mlp.router.e_score_correction_bias", [E + Z], "F32", 0.125),
      ...experts,
    ]),
    input: new Map([seeded("x", [5, H], "F32", 1)]),
  };
}

/** Writes tensors to a file in a folder, and gives its path. */
export async function tensorFile(
  folder: string,
  name: string,
  tensors: ReadonlyMap<string, TensorData>,
): Promise<string> {
  const path = join(folder, name);
  await writeSafetensors(path, tensors);
  return path;
}

/** The one JSON document that stdout must be. */
export function jsonOf({ out }: Ran): unknown {
  return JSON.parse(out);
}

/** SIMD C's variants that this CPU runs, the fastest first. */
export async function simdIsas(): Promise<readonly string[]> {
  const fastest = await (await loadBackend("simd-c")).bestIsa();
  return [fastest, ...runnableIsas(native).filter((isa) => isa !== fastest)];
}

/** Each target's best variant on this machine; with UNMOOR_TEST_ALL=1 (npm run test:all) every variant that it runs. */
export async function variants(): Promise<(readonly [target: TargetName, isa: string])[]> {
  const all = targetNames.map(async (name) => {
    const backend = await loadBackend(name);
    const isas = name === "simd-c" ? await simdIsas() : backend.isas;
    return isas.slice(0, process.env.UNMOOR_TEST_ALL === "1" ? undefined : 1).map((isa) => [name, isa] as const);
  });
  return (await Promise.all(all)).flat();
}

/** What is at least as large may be a width; what is smaller is a number of experts, heads or the like. */
const leastWidth = 16;

/** The parameters with widths rounded up to whole blocks. */
export const wholeBlocks = (params: Readonly<Record<string, number>>, block: number): Record<string, number> =>
  Object.fromEntries(
    Object.entries(params).map(([name, value]) => [
      name,
      value < leastWidth ? value : Math.ceil(value / block) * block,
    ]),
  );

const read = new Map<string, Promise<Layer>>();

/** The layer of a DSL file, read once. */
function layerOf(file: string, params: Readonly<Record<string, number>>): Promise<Layer> {
  const key = JSON.stringify([file, params]);
  const layer = read.get(key) ?? readLayer({ file, params, cache: undefined });
  read.set(key, layer);
  return layer;
}

/** Holds the layer of a DSL file against the oracle on one variant of a target, in those of these storages that it reads. Seed 1. */
export async function expectAgreement(
  file: string,
  params: Readonly<Record<string, number>>,
  name: TargetName,
  isa: string,
  storages: readonly Storage[] = ["f32", "bf16"],
): Promise<void> {
  const backend = await loadBackend(name);
  const held = storages.filter((storage) => backend.target(isa).storages.includes(storage));
  await expectStorages(file, params, backend, isa, held);
}

/**
 * A layer agrees with the oracle in these storages; sizes grow to whole blocks where one needs them. What comes out the same in several,
 * because the layer has no weights that they are for, is checked once.
 */
export async function expectStorages(
  file: string,
  params: Readonly<Record<string, number>>,
  backend: Backend,
  isa: string,
  storages: readonly Storage[],
): Promise<void> {
  const checked = new Set<string>();
  for (const storage of storages) {
    const fitting = isBlockFormat(storage) ? wholeBlocks(params, blockMultiple(storage)) : params;
    const layer = await layerOf(file, fitting);
    const hashes = compileLayer(layer, backend.target(isa), storage)
      .stages.map((s) => layerHash(s.layer))
      .join();
    if (checked.has(hashes)) continue;
    checked.add(hashes);
    const { cases, agrees } = await checkTarget(layer, backend, backend.target(isa), storage, 1);
    expect(cases.flatMap((c) => c.disagreements)).toEqual([]);
    expect(agrees).toBe(true);
    expect(cases.length).toBeGreaterThan(4);
  }
}

/** Holds a layer called as a function, on a few tokens, against the interpretation of what the frontend makes of it. Seed 1. */
export async function expectSameAsFunction(file: string, params: Readonly<Record<string, number>>): Promise<void> {
  const module: Readonly<Record<string, unknown>> = await import(file);
  const [fn] = Object.values(module).filter((value) => typeof value === "function") as LayerFunction<
    Params,
    object[],
    AnyTensor
  >[];
  if (!fn) throw new Error(`${file} exports no layer`);
  const layer = await layerOf(file, params);
  const backend = await loadBackend("simd-c");
  const compilation = compileLayer(layer, backend.target(backend.isas[0] ?? ""), "f32");
  const made = [...casesFor(compilation, 1)].find((c) => c.name === "3 tokens");
  if (!made) throw new Error("there is no case of 3 tokens");
  const { results } = interpret(compilation.stored, made);
  const given = (name: string): ConcreteTensor => {
    const { dtype, dims, data } = made.tensors.get(name) as Tensor;
    if (!isFloat(dtype) && dtype !== "i32") throw new Error(`${name} is ${dtype}, which no author writes`);
    return tensor(dims, isFloat(dtype) ? toFloats({ dtype, dims, data }) : data, dtype);
  };
  // Each input is a parameter of its own, neighbouring weights are the members of one.
  const args: (ConcreteTensor | Record<string, ConcreteTensor>)[] = [];
  let weights: Record<string, ConcreteTensor> | undefined;
  for (const { role, value } of compilation.stored.args) {
    if (role === "input") {
      weights = undefined;
      args.push(given(value.name));
      continue;
    }
    if (!weights) {
      weights = {};
      args.push(weights);
    }
    weights[value.name] = given(value.name);
  }
  const found: unknown = fn.with(params).at(made.dims)(...args);
  const named = results.size === 1 && results.has("y") ? { y: found } : found;
  for (const [name, want] of results) {
    const got = (named as Record<string, ConcreteTensor>)[name];
    expect([name, got?.dtype, got?.dims]).toEqual([name, want.dtype, want.dims]);
    got?.data.forEach((v, i) => {
      const expected = Number(want.data[i]);
      expect(Math.abs(v - expected), `${name}, element ${i}: ${v} found, ${expected} expected`).toBeLessThanOrEqual(
        1e-9 * (1 + Math.abs(expected)),
      );
    });
  }
}
