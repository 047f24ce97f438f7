/**
 * exec on checkpoints whose expert matrices are coded: MXFP4 and FP8 with block scales, as gpt-oss, Kimi and DeepSeek publish them,
 * and signed bytes with a scale for each row, as W8A8 checkpoints hold them.
 */
import { describe, expect, test } from "vitest";
import type { Tensor } from "../ir/core/tensor.ts";
import type { TensorData } from "../runtime/safetensors/index.ts";
import { fromFloats } from "../runtime/tensors.ts";
import { models, type Values } from "./published/models.ts";
import { agreement, compiled, exec, fileTensor, fileTensors, tensorsOf, valuesOf } from "./published/run.ts";
import { jsonOf } from "./support.ts";

/** Whole numbers below 2^16 from a seed. */
function random(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) % below;
  };
}

/** A tensor in a coded form: what it means, and the tensors that hold it. */
interface Coded {
  readonly values: Float32Array;
  readonly codes: Uint8Array;
  readonly scales: TensorData["data"];
}

const halves = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

/** Random MXFP4: the low half of a byte is the even element; a power of two for each 32 elements. */
function mxfp4(elements: number, next: (below: number) => number): Coded {
  const codes = Uint8Array.from({ length: elements / 2 }, () => next(256));
  const scales = Uint8Array.from({ length: elements / 32 }, () => 122 + next(4));
  const values = Float32Array.from({ length: elements }, (_, i) => {
    const nibble = i % 2 === 0 ? codes[i / 2] % 16 : Math.floor(codes[(i - 1) / 2] / 16);
    return (nibble >= 8 ? -1 : 1) * halves[nibble % 8] * 2 ** (scales[Math.floor(i / 32)] - 127);
  });
  return { values, codes, scales };
}

/** Random FP8 of a matrix, with a scale for each 128 rows and 128 columns: F32, or powers of two as E8M0. */
function fp8(rows: number, columns: number, next: (below: number) => number, powers: boolean): Coded {
  const [down, across] = [Math.ceil(rows / 128), Math.ceil(columns / 128)];
  const scales = powers
    ? Uint8Array.from({ length: down * across }, () => 118 + next(4))
    : Float32Array.from({ length: down * across }, () => (1 + next(100) / 64) / 1024);
  const codes = Uint8Array.from({ length: rows * columns }, () => 128 * next(2) + next(96));
  const values = Float32Array.from(codes, (code, i) => {
    const [sign, exponent, fraction] = [code >= 128 ? -1 : 1, Math.floor((code % 128) / 8), code % 8];
    const value = sign * 2 ** (Math.max(exponent, 1) - 7) * ((exponent > 0 ? 1 : 0) + fraction / 8);
    const scale = scales[Math.floor(Math.floor(i / columns) / 128) * across + Math.floor((i % columns) / 128)];
    return Math.fround(value * (powers ? 2 ** (scale - 127) : scale));
  });
  return { values, codes, scales };
}

const stack = (parts: readonly Coded[]): Float32Array => Float32Array.from(parts.flatMap((p) => [...p.values]));

/** The layer's tensors with some of them replaced by values, in the dtypes of the compilation. */
function replaced(tensors: ReadonlyMap<string, Tensor>, values: Readonly<Record<string, Float32Array>>) {
  const changed = new Map(tensors);
  for (const [name, data] of Object.entries(values)) {
    const { dtype, dims } = tensors.get(name) as Tensor;
    changed.set(name, fromFloats(data, dims, dtype));
  }
  return changed;
}

test("gpt-oss in MXFP4 blocks is kept in them (seed 1)", async () => {
  const params = { H: 64, I: 32, E: 3, K: 2, alpha: 1.702, limit: 7 };
  const compilation = await compiled("gpt-oss", params, "mxfp4");
  const next = random(1);
  const [gateUp, down] = [mxfp4(3 * 64 * 64, next), mxfp4(3 * 64 * 32, next)];
  const tensors = replaced(tensorsOf(compilation), { gateUp: gateUp.values, down: down.values });
  const w = valuesOf(compilation, tensors, "weight");
  const names = {
    "mlp.router.weight": w.router,
    "mlp.router.bias": w.routerBias,
    "mlp.experts.gate_up_proj_bias": w.gateUpBias,
    "mlp.experts.down_proj_bias": w.downBias,
  };
  const weights = fileTensors(names, "BF16", "model.layers.9.");
  const put = (name: string, shape: number[], data: ArrayBufferView) =>
    weights.set(`model.layers.9.mlp.experts.${name}`, { dtype: "U8", shape, data });
  put("gate_up_proj_blocks", [3, 64, 2, 16], gateUp.codes);
  put("gate_up_proj_scales", [3, 64, 2], gateUp.scales);
  put("down_proj_blocks", [3, 64, 1, 16], down.codes);
  put("down_proj_scales", [3, 64, 1], down.scales);
  const config = { ...models["gpt-oss"]?.config, hidden_size: 64, intermediate_size: 32, num_local_experts: 3 };
  const input = fileTensors(valuesOf(compilation, tensors, "input"), "F32");
  const { ran, folder } = await exec("gpt-oss", { config, weights, input }, ["--json"]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  expect(jsonOf(ran)).toMatchObject({ storage: "mxfp4", params, notes: [] });
  expect((await agreement(compilation, tensors, folder)).disagreements).toEqual([]);
});

test("Kimi-K3's experts, packed one by one in MXFP4 (seed 2)", async () => {
  const params = { H: 24, L: 32, I: 64, S: 32, E: 3, K: 2, beta: 4, linearBeta: 25, epsilon: 1e-5 };
  const compilation = await compiled("kimi-k3", params, "bf16");
  const next = random(2);
  const experts = { w1: [64, 32], w3: [64, 32], w2: [32, 64] } as const;
  const coded = Object.entries(experts).map(([name, [n, k]]) => {
    return [name, n, k, Array.from({ length: 3 }, () => mxfp4(n * k, next))] as const;
  });
  const [gate = [], up = [], down = []] = coded.map(([, , , parts]) => parts);
  const tensors = replaced(tensorsOf(compilation), { gate: stack(gate), up: stack(up), down: stack(down) });
  const published = models["kimi-k3"]?.publish(valuesOf(compilation, tensors, "weight")) ?? {};
  const plain = Object.entries(published).filter(([name]) => !name.includes(".experts."));
  const weights = fileTensors(Object.fromEntries(plain), "BF16", "language_model.model.layers.1.");
  for (const [name, n, k, parts] of coded) {
    for (const [e, { codes, scales }] of parts.entries()) {
      const key = `language_model.model.layers.1.block_sparse_moe.experts.${e}.${name}`;
      weights.set(`${key}.weight_packed`, { dtype: "U8", shape: [n, k / 2], data: codes });
      weights.set(`${key}.weight_scale`, { dtype: "U8", shape: [n, k / 32], data: scales });
    }
  }
  const given = Object.entries(params).flatMap(([name, value]) => ["--param", `${name}=${value}`]);
  const input = fileTensors(valuesOf(compilation, tensors, "input"), "F32");
  const { ran, folder } = await exec("kimi-k3", { weights, input }, ["--json", ...given]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  expect(jsonOf(ran)).toMatchObject({ storage: "bf16", notes: [] });
  expect((await agreement(compilation, tensors, folder)).disagreements).toEqual([]);
});

test.each([
  ["deepseek-v3", "F32", 3],
  ["deepseek-v4", "F8_E8M0", 4],
] as const)(
  "%s in FP8 blocks with scales in %s, at sizes that no block divides (seed %i)",
  async (example, scaleType, start) => {
    const v4 = example === "deepseek-v4";
    const sizes = { H: 160, I: 130, E: 2, K: 1, scale: 1.5 };
    const params = v4 ? { ...sizes, limit: 10 } : { ...sizes, S: 130, G: 1, M: 1 };
    const compilation = await compiled(example, params, "f32");
    const next = random(start);
    const tensors = tensorsOf(compilation);
    const { prefix = "", publish } = models[example] ?? {};
    const published = publish?.(valuesOf(compilation, tensors, "weight")) ?? {};
    // In DeepSeek-V4 the shared experts alone are FP8.
    const codedName = (name: string): boolean => (v4 ? name.includes(".shared_") : /experts?\./.test(name));
    const weights = fileTensors(
      Object.fromEntries(Object.entries(published).filter(([name]) => !codedName(name))),
      "F32",
      prefix,
    );
    const meant = new Map<string, Values>();
    for (const [name, { shape }] of Object.entries(published).filter(([n]) => codedName(n))) {
      const [n = 0, k = 0] = shape;
      const { values, codes, scales } = fp8(n, k, next, scaleType === "F8_E8M0");
      meant.set(name, { shape, data: values });
      weights.set(prefix + name, { dtype: "F8_E4M3", shape, data: codes });
      const scaleName = v4 ? name.replace(/weight$/, "scale") : `${name}_scale_inv`;
      weights.set(prefix + scaleName, {
        dtype: scaleType,
        shape: [Math.ceil(n / 128), Math.ceil(k / 128)],
        data: scales,
      });
    }
    const values = (name: string): Float32Array => meant.get(name)?.data as Float32Array;
    const experts = (part: string) =>
      Float32Array.from([0, 1].flatMap((e) => [...values(`mlp.experts.${e}.${part}_proj.weight`)]));
    const where = v4 ? "ffn.shared_experts.w" : "mlp.shared_experts.";
    const [gate, up, down] = v4 ? ["1", "3", "2"] : ["gate_proj", "up_proj", "down_proj"];
    const changed = replaced(tensors, {
      sharedGate: values(`${where}${gate}.weight`),
      sharedUp: values(`${where}${up}.weight`),
      sharedDown: values(`${where}${down}.weight`),
      ...(v4 ? {} : { gate: experts("gate"), up: experts("up"), down: experts("down") }),
    });
    const given = Object.entries(params).flatMap(([name, value]) => ["--param", `${name}=${value}`]);
    const input = fileTensors(valuesOf(compilation, tensors, "input"), "F32");
    const { ran, folder } = await exec(example, { weights, input }, ["--json", ...given]);
    expect(ran).toMatchObject({ status: 0, err: "" });
    expect(jsonOf(ran)).toMatchObject({ storage: "f32", notes: [] });
    expect((await agreement(compilation, changed, folder)).disagreements).toEqual([]);
    const rounded = await exec(example, { weights, input }, [...given, "--storage", "bf16"]);
    expect(rounded.ran.status).toBe(0);
    expect(rounded.ran.err).toBe(
      "note: weights are rounded to bf16: gate, up, down, sharedGate, sharedUp, sharedDown\n",
    );
  },
);

/** FP8 blocks as kernels' weights hold them: for each 128 of a row its factor in f32, then the codes. */
function rowBlocks(columns: number, { codes, scales }: Coded): Uint8Array {
  const across = columns / 128;
  const out = new Uint8Array((codes.length / 128) * 132);
  for (let block = 0; block * 128 < codes.length; block++) {
    const row = Math.floor(block / across);
    const factor = (scales as Float32Array).subarray(Math.floor(row / 128) * across + (block % across)).slice(0, 1);
    out.set(new Uint8Array(factor.buffer), block * 132);
    out.set(codes.subarray(block * 128, (block + 1) * 128), block * 132 + 4);
  }
  return out;
}

test("DeepSeek-V3 in FP8 blocks is kept in them where 128 divides its sizes (seed 5)", async () => {
  const params = { H: 256, I: 128, E: 2, K: 1, S: 128, G: 1, M: 1, scale: 1.5 };
  const compilation = await compiled("deepseek-v3", params, "fp8");
  const next = random(5);
  const tensors = new Map(tensorsOf(compilation));
  const { prefix = "", publish } = models["deepseek-v3"] ?? {};
  const asFloats = await compiled("deepseek-v3", params, "f32");
  const published = publish?.(valuesOf(asFloats, tensorsOf(asFloats), "weight")) ?? {};
  const isCoded = (name: string): boolean => /experts?\./.test(name);
  const others = Object.fromEntries(Object.entries(published).filter(([name]) => !isCoded(name)));
  const weights = fileTensors(others, "F32", prefix);
  const blocks = new Map<string, Uint8Array>();
  for (const [name, { shape }] of Object.entries(published).filter(([n]) => isCoded(n))) {
    const [n = 0, k = 0] = shape;
    const coded = fp8(n, k, next, false);
    blocks.set(name, rowBlocks(k, coded));
    weights.set(prefix + name, { dtype: "F8_E4M3", shape, data: coded.codes });
    weights.set(`${prefix}${name}_scale_inv`, { dtype: "F32", shape: [n / 128, k / 128], data: coded.scales });
  }
  const put = (name: string, ...parts: string[]): void => {
    const data = Uint8Array.from(parts.flatMap((part) => [...(blocks.get(part) ?? [])]));
    tensors.set(name, { ...(tensors.get(name) as Tensor), data });
  };
  for (const part of ["gate", "up", "down"]) {
    put(part, ...[0, 1].map((e) => `mlp.experts.${e}.${part}_proj.weight`));
    put(`shared${part[0]?.toUpperCase()}${part.slice(1)}`, `mlp.shared_experts.${part}_proj.weight`);
  }
  const given = Object.entries(params).flatMap(([name, value]) => ["--param", `${name}=${value}`]);
  const input = fileTensors(valuesOf(compilation, tensors, "input"), "F32");
  const { ran, folder } = await exec("deepseek-v3", { weights, input }, ["--json", ...given]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  expect(jsonOf(ran)).toMatchObject({ storage: "fp8", notes: [] });
  expect((await agreement(compilation, tensors, folder)).disagreements).toEqual([]);
});

/** Random bytes of a matrix, the least among them, with a scale for each row that bf16 holds. */
function int8(
  rows: number,
  columns: number,
  next: (below: number) => number,
): Coded & { readonly scales: Float32Array } {
  const scales = Float32Array.from({ length: rows }, () => (1 + next(128) / 128) / 1024);
  const codes = Uint8Array.from({ length: rows * columns }, (_, i) => (i === 0 ? 128 : next(256)));
  const values = Float32Array.from(codes, (code, i) => ((code << 24) >> 24) * (scales[Math.floor(i / columns)] ?? 0));
  return { values, codes, scales };
}

/** Rows as kernels' weights hold them: a scale in f32, then the bytes. */
function byteRows(columns: number, { codes, scales }: ReturnType<typeof int8>): Uint8Array {
  const out = new Uint8Array(codes.length + 4 * scales.length);
  for (const [row, scale] of scales.entries()) {
    const at = row * (4 + columns);
    out.set(new Uint8Array(Float32Array.of(scale).buffer), at);
    out.set(codes.subarray(row * columns, (row + 1) * columns), at + 4);
  }
  return out;
}

describe("Qwen3-MoE in bytes with a scale for each row (seed 6)", async () => {
  const { config = {}, params = {}, prefix = "", publish } = models["qwen3-moe"] ?? {};
  const asFloats = await compiled("qwen3-moe", params, "f32");
  const published = publish?.(valuesOf(asFloats, tensorsOf(asFloats), "weight")) ?? {};
  const next = random(6);
  const coded = Object.entries(published)
    .filter(([name]) => name.includes(".experts."))
    .map(([name, { shape }]) => ({ name, shape, ...int8(shape[0] ?? 0, shape[1] ?? 0, next) }));
  const input = fileTensors(valuesOf(asFloats, tensorsOf(asFloats), "input"), "F32");

  /** As msModelSlim writes them, with zero points of 0, or as compressed-tensors, whose scales may be BF16 and lack the last dimension. */
  const written = (slim: boolean): Map<string, TensorData> => {
    const plain = Object.entries(published).filter(([name]) => !name.includes(".experts."));
    const weights = fileTensors(Object.fromEntries(plain), "F32", prefix);
    for (const { name, shape, codes, scales } of coded) {
      const [rows = 0] = shape;
      weights.set(prefix + name, { dtype: "I8", shape, data: codes });
      const one = { shape: slim ? [rows, 1] : [rows], data: scales };
      weights.set(`${prefix}${name}_scale`, fileTensor(one, slim ? "F32" : "BF16"));
      const zero = { dtype: "F32", shape: [rows, 1], data: new Float32Array(rows) } as const;
      if (slim) weights.set(`${prefix}${name}_offset`, zero);
    }
    return weights;
  };

  const ofPart = (part: string) => coded.filter(({ name }) => name.includes(`.${part}_proj.`));
  const parts = ["gate", "up", "down"] as const;

  test.each([true, false])("keeps its codes on Ascend (msModelSlim: %s)", async (slim) => {
    const compilation = await compiled("qwen3-moe", params, "int8", "ascend");
    const tensors = new Map(tensorsOf(compilation));
    for (const part of parts) {
      const data = Uint8Array.from(ofPart(part).flatMap((each) => [...byteRows(each.shape[1] ?? 0, each)]));
      tensors.set(part, { ...(tensors.get(part) as Tensor), data });
    }
    const onAscend = ["--target", "ascend", "--isa", "dav-2201", "--json"];
    const { ran, folder } = await exec("qwen3-moe", { config, weights: written(slim), input }, onAscend);
    expect(ran).toMatchObject({ status: 0, err: "" });
    expect(jsonOf(ran)).toMatchObject({ storage: "int8", notes: [] });
    expect((await agreement(compilation, tensors, folder)).disagreements).toEqual([]);
  });

  test("widens where a target has no such storage", async () => {
    const changed = replaced(tensorsOf(asFloats), Object.fromEntries(parts.map((part) => [part, stack(ofPart(part))])));
    const files = { config, weights: written(true), input };
    const { ran, folder } = await exec("qwen3-moe", files, ["--json"]);
    expect(ran).toMatchObject({ status: 0, err: "" });
    expect(jsonOf(ran)).toMatchObject({ storage: "f32", notes: [] });
    expect((await agreement(asFloats, changed, folder)).disagreements).toEqual([]);
    const rounded = await exec("qwen3-moe", files, ["--storage", "bf16"]);
    expect(rounded.ran.err).toBe("note: weights are rounded to bf16: gate, up, down\n");
  });
});
