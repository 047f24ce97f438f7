import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Compilation, compileLayer } from "../../codegen/compile.ts";
import { routingsOf } from "../../codegen/program.ts";
import type { Storage } from "../../codegen/target.ts";
import { encodeBf16, encodeF16 } from "../../ir/core/float16.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import { loadBackend } from "../../runtime/backends.ts";
import { seededTensor } from "../../runtime/check/cases.ts";
import { type Agreement, compareWithOracle } from "../../runtime/check/compare.ts";
import { openSafetensors, type TensorData } from "../../runtime/safetensors/index.ts";
import { readLayer } from "../../runtime/source.ts";
import { toFloats } from "../../runtime/tensors.ts";
import { type Ran, temporaryFolder, tensorFile, unmoor } from "../support.ts";
import type { Values, Weights } from "./models.ts";

export type FileDtype = "F32" | "F16" | "BF16";

export const isa = "avx2";
const isas = { "simd-c": isa, ascend: "dav-2201" } as const;
export const seed = 20;

/** A tensor as a file has it: floats in this dtype, integers as I64. */
export function fileTensor({ shape, data }: Values, dtype: FileDtype): TensorData {
  if (data instanceof BigInt64Array) return { dtype: "I64", shape, data };
  if (dtype === "F32") return { dtype, shape, data };
  const bits = new Uint16Array(data.length);
  (dtype === "F16" ? encodeF16 : encodeBf16)(data, bits);
  return { dtype, shape, data: bits };
}

export const fileTensors = (tensors: Weights, dtype: FileDtype, prefix = ""): Map<string, TensorData> =>
  new Map(Object.entries(tensors).map(([name, t]) => [prefix + name, fileTensor(t, dtype)]));

/** The compilation that exec must make of an example. */
export async function compiled(
  example: string,
  params: Readonly<Record<string, number>>,
  storage: Storage,
  target: "simd-c" | "ascend" = "simd-c",
): Promise<Compilation> {
  const layer = await readLayer({ file: `examples/${example}.ts`, params, cache: undefined });
  return compileLayer(layer, (await loadBackend(target)).target(isas[target]), storage);
}

/** Run-time sizes of the test: tokens, and earlier ones where a layer has a cache. */
const dims = { T: 5, P: 3 } as const;

const dimsOf = ({ symbols }: { readonly symbols: readonly string[] }): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(dims).filter(([name]) => symbols.includes(name)));

/** Seeded tensors of a layer; their floats are exact in every dtype. */
export const tensorsOf = ({ stored, program }: Compilation): ReadonlyMap<string, Tensor> =>
  new Map(stored.args.map((a) => [a.value.name, seededTensor(stored, a, dimsOf(program), seed)]));

/** Tensors of a layer as values, by argument name. */
export const valuesOf = (
  { stored }: Compilation,
  tensors: ReadonlyMap<string, Tensor>,
  role: "input" | "weight",
): Weights =>
  Object.fromEntries(
    stored.args
      .filter((a) => a.role === role)
      .map(({ value }) => {
        const tensor = tensors.get(value.name) as Tensor;
        const { data } = tensor;
        const values =
          data instanceof Int32Array ? BigInt64Array.from(data, BigInt) : Float32Array.from(toFloats(tensor));
        return [value.name, { shape: tensor.dims, data: values }];
      }),
  );

export interface Files {
  readonly config?: object;
  /** The weights' file, or a folder with them. */
  readonly weights: ReadonlyMap<string, TensorData> | string;
  readonly input: ReadonlyMap<string, TensorData>;
}

/** Runs `unmoor exec` on files of a test. */
export async function exec(
  example: string,
  { config, weights, input }: Files,
  extra: readonly string[] = [],
): Promise<{ readonly ran: Ran; readonly folder: string }> {
  const folder = temporaryFolder();
  const configPath = join(folder, "config.json");
  if (config !== undefined) writeFileSync(configPath, JSON.stringify(config));
  const w = typeof weights === "string" ? weights : await tensorFile(folder, "layer.safetensors", weights);
  const x = await tensorFile(folder, "x.safetensors", input);
  const ran = await unmoor([
    "exec",
    `examples/${example}.ts`,
    ...(config === undefined ? [] : ["--config", configPath]),
    ...["--weights", w, "--input", x, "--out", join(folder, "y.safetensors")],
    ...["--route-out", join(folder, "routing.json"), "--isa", isa, ...extra],
  ]);
  return { ran, folder };
}

/** How far what exec wrote agrees with the oracle on these tensors of the layer. */
export async function agreement(
  { program, ...compilation }: Compilation,
  tensors: ReadonlyMap<string, Tensor>,
  folder: string,
): Promise<Agreement> {
  const file = await openSafetensors(join(folder, "y.safetensors"));
  const routing = JSON.parse(readFileSync(join(folder, "routing.json"), "utf8"));
  const outputs = new Map<string, Tensor>();
  for (const { name, buffer } of program.results) {
    outputs.set(buffer, { dtype: "f32", dims: file.info(name).shape, data: await file.readF32(name) });
  }
  await file.close();
  routingsOf(program).forEach(({ ids, weights }, i) => {
    const { ids: chosen, weights: weighed } = routing.routings[i];
    const dims = [chosen.length, chosen[0]?.length ?? 0];
    outputs.set(ids, { dtype: "i32", dims, data: Int32Array.from(chosen.flat()) });
    outputs.set(weights, { dtype: "f32", dims, data: Float32Array.from(weighed.flat()) });
  });
  return compareWithOracle({ ...compilation, program }, tensors, dimsOf(program), outputs);
}
