/**
 * Checkpoints and configs that do not fit: what exec says, in full. The texts are in published/messages.txt; UPDATE_FIXTURES=1
 * rewrites them as they are now: read the difference as a user would.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openSafetensors, type TensorData, writeSafetensors } from "../runtime/safetensors/index.ts";
import { models } from "./published/models.ts";
import { agreement, compiled, exec, type Files, fileTensors, seed, tensorsOf, valuesOf } from "./published/run.ts";
import { jsonOf, sourceFile, temporaryFolder, unmoor } from "./support.ts";

type Tensors = Map<string, TensorData>;

/** The files of an example's published layer. */
async function files(example: string) {
  const model = models[example];
  if (model === undefined) throw new Error(`no model ${example}`);
  const compilation = await compiled(example, model.params, "f32");
  const tensors = tensorsOf(compilation);
  const published = model.publish(valuesOf(compilation, tensors, "weight"));
  const input = fileTensors(valuesOf(compilation, tensors, "input"), "F32");
  return { compilation, tensors, published, config: model.config, input, prefix: model.prefix };
}

const zeros = (dtype: TensorData["dtype"], shape: readonly number[]): TensorData => {
  const bytes = { F64: 8, I64: 8, F32: 4, I32: 4, BF16: 2 }[dtype as string] ?? 1;
  return { dtype, shape, data: new Uint8Array(shape.reduce((a, b) => a * b, bytes)) };
};

interface Case {
  readonly example?: string;
  readonly config?: Readonly<Record<string, unknown>> | "none";
  readonly weights?: (weights: Tensors, prefix: string) => void;
  readonly input?: (input: Tensors) => void;
  readonly extra?: readonly string[];
}

const experts = (example: string): string => `${models[example]?.prefix}mlp.experts`;
const qwen = experts("qwen3-moe");

/** Writes experts' matrices, from one expert on, as bytes with a scale for each row. */
const inBytes = (w: Tensors, part: "gate" | "up" | "down", from: number): void => {
  const [rows, columns] = part === "down" ? [24, 16] : [16, 24];
  for (let e = from; e < 6; e++) {
    w.set(`${qwen}.${e}.${part}_proj.weight`, zeros("I8", [rows, columns]));
    w.set(`${qwen}.${e}.${part}_proj.weight_scale`, zeros("F32", [rows, 1]));
  }
};

const cases: Readonly<Record<string, Case>> = {
  "U301 one expert's tensor": { weights: (w) => w.delete(`${qwen}.2.up_proj.weight`) },
  "U301 a name with a slip": {
    weights: (w, prefix) => {
      w.set(`${prefix}mlp.gate.weights`, w.get(`${prefix}mlp.gate.weight`) as TensorData);
      w.delete(`${prefix}mlp.gate.weight`);
    },
  },
  "U301 fewer experts than the layer has": {
    config: { num_experts: 8 },
    weights: (w, prefix) => w.set(`${prefix}mlp.gate.weight`, zeros("F32", [8, 24])),
  },
  "U301 another model": { example: "mixtral", config: "none", extra: ["--param", "E=2"], weights: (w) => w.clear() },
  "U301 bytes for activations with a fixed scale": {
    weights: (w) => {
      inBytes(w, "gate", 0);
      for (let e = 0; e < 6; e++) {
        w.delete(`${qwen}.${e}.gate_proj.weight_scale`);
        w.set(`${qwen}.${e}.gate_proj.deq_scale`, zeros("F32", [16]));
      }
    },
  },
  "U301 the prefix given": { extra: ["--prefix", "model.layers.4"] },
  "U302 transposed": {
    example: "gpt-oss",
    weights: (w, prefix) => w.set(`${prefix}mlp.experts.gate_up_proj`, zeros("F32", [5, 32, 24])),
  },
  "U302 scales without blocks": {
    example: "gpt-oss",
    weights: (w, prefix) => {
      w.delete(`${prefix}mlp.experts.down_proj`);
      w.set(`${prefix}mlp.experts.down_proj_scales`, zeros("U8", [5, 24, 1]));
    },
  },
  "U302 scales for groups of a row": {
    weights: (w) => {
      w.set(`${qwen}.0.down_proj.weight`, zeros("I8", [24, 16]));
      w.set(`${qwen}.0.down_proj.weight_scale`, zeros("BF16", [24, 2]));
      inBytes(w, "down", 1);
    },
  },
  "U302 every expert": { config: { moe_intermediate_size: 32 } },
  "U302 blocks": {
    example: "gpt-oss",
    weights: (w, prefix) => {
      w.set(`${prefix}mlp.experts.down_proj_blocks`, zeros("U8", [5, 24, 1, 16]));
      w.set(`${prefix}mlp.experts.down_proj_scales`, zeros("U8", [5, 24, 1]));
    },
  },
  "U302 flat": {
    example: "dbrx",
    weights: (w, prefix) => w.set(`${prefix}ffn.experts.mlp.w2`, zeros("F32", [80, 25])),
  },
  "U303 a weight": { weights: (w) => w.set(`${qwen}.0.down_proj.weight`, zeros("F64", [24, 16])) },
  "U303 zero points": {
    weights: (w) => {
      inBytes(w, "down", 0);
      const offset = Float32Array.from({ length: 24 }, (_, i) => (i === 5 ? -3 : 0));
      w.set(`${qwen}.1.down_proj.weight_offset`, { dtype: "F32", shape: [24, 1], data: offset });
    },
  },
  "U303 bytes for some experts only": {
    weights: (w) => {
      inBytes(w, "up", 0);
      w.set(`${qwen}.2.up_proj.weight`, zeros("BF16", [16, 24]));
    },
  },
  "U303 a table": {
    example: "deepseek-v4-hash",
    weights: (w, prefix) => w.set(`${prefix}ffn.gate.tid2eid`, zeros("F32", [9, 2])),
  },
  "U303 an input": { input: (x) => x.set("x", zeros("I64", [5, 24])) },
  "U304 no x": {
    input: (x) => {
      x.set("hidden_states", x.get("x") as TensorData);
      x.delete("x");
    },
  },
  "U305 another width": { input: (x) => x.set("x", zeros("F32", [5, 25])) },
  "U306 ids of fewer tokens": {
    example: "deepseek-v4-hash",
    input: (x) => x.set("token_ids", zeros("I64", [4])),
  },
  "U307 two layers": {
    weights: (w, prefix) => {
      for (const [name, t] of [...w]) w.set(name.replace(prefix, "model.layers.4."), t);
    },
  },
  "U307 with a prefix and without": {
    weights: (w, prefix) => {
      for (const [name, t] of [...w]) w.set(name.slice(prefix.length), t);
    },
  },
  "U308 a shared expert that the layer does not have": {
    weights: (w, prefix) => w.set(`${prefix}mlp.shared_expert.up_proj.weight`, zeros("F32", [24, 16])),
  },
  "U308 more experts than the layer has": {
    weights: (w) => {
      for (const part of ["gate", "up", "down"]) w.set(`${qwen}.6.${part}_proj.weight`, zeros("F32", [16, 24]));
    },
  },
  "U308 two layouts of one weight": {
    example: "gpt-oss",
    weights: (w, prefix) => {
      w.set(`${prefix}mlp.experts.gate_up_proj_scales`, zeros("U8", [5, 32, 1]));
    },
  },
  "U309 a token beyond the table": {
    example: "deepseek-v4-hash",
    input: (x) => x.set("token_ids", { dtype: "I64", shape: [5], data: BigInt64Array.of(0n, 8n, 9n, 1n, 2n) }),
  },
  "U309 a token below zero": {
    example: "deepseek-v4-hash",
    input: (x) => x.set("token_ids", { dtype: "I32", shape: [5], data: Int32Array.of(0, -1, 0, 0, 0) }),
  },
  "U309 a token of more than 32 bits": {
    example: "deepseek-v4-hash",
    input: (x) => x.set("token_ids", { dtype: "I64", shape: [5], data: BigInt64Array.of(0n, 0n, 0n, 0n, 2n ** 32n) }),
  },
  "U309 a table that names an expert that is not there": {
    example: "deepseek-v4-hash",
    weights: (w, prefix) =>
      w.set(`${prefix}ffn.gate.tid2eid`, { dtype: "I64", shape: [9, 2], data: new BigInt64Array(18).fill(6n) }),
  },
  "U310 a folder that is not there": { extra: ["--route-out", "nowhere/routing.json"] },
  "U311 weights that are not there": { extra: ["--weights", "none.safetensors"] },
  "U312 no config": { extra: ["--config", "examples"] },
  "U041 a config that lacks a size": { config: { num_experts: undefined, num_local_experts: 6 } },
  "U041 a config that lacks a condition": { config: { norm_topk_prob: undefined } },
  "U042 a config with a list": { config: { num_experts: [6, 6] } },
  "U043 another routing": { config: { norm_topk_prob: false, hidden_act: "gelu" } },
  "U043 another model": { config: { model_type: "qwen2_moe" } },
  "U043 a condition of several": {
    example: "deepseek-v2",
    config: { topk_method: "greedy" },
  },
};

/** The message of a case, without the folder of its files. */
async function message({ example = "qwen3-moe", config, weights, input, extra = [] }: Case): Promise<string> {
  const made = await files(example);
  const w = fileTensors(made.published, "F32", made.prefix);
  weights?.(w, made.prefix);
  const x = new Map(made.input);
  input?.(x);
  const given: Files = {
    weights: w,
    input: x,
    ...(config === "none" ? {} : { config: { ...made.config, ...config } }),
  };
  const { ran, folder } = await exec(example, given, extra);
  expect(ran).toMatchObject({ status: 2, out: "" });
  expect(existsSync(join(folder, "y.safetensors"))).toBe(false);
  return ran.err.replaceAll(folder, "…").replaceAll(process.cwd(), "…").trimEnd();
}

describe("what does not fit is told in full", () => {
  const golden = join(import.meta.dirname, "published/messages.txt");
  const separator = (name: string): string => `\n======== ${name}\n`;
  const update = process.env.UPDATE_FIXTURES === "1";
  const expected = update ? "" : readFileSync(golden, "utf8");
  const told = new Map<string, string>();
  test.each(Object.entries(cases))("%s", async (name, each) => {
    const text = await message(each);
    expect(text).toContain(`error[${name.slice(0, 4)}]`);
    told.set(name, text);
    if (!update) expect(text).toBe(expected.split(separator(name))[1]?.split("\n======== ")[0]?.trimEnd());
  });
  afterAll(() => {
    if (update) writeFileSync(golden, [...told].map(([name, text]) => `${separator(name)}${text}\n`).join(""));
  });
});

test(`a folder of shards with an index holds many layers, and --prefix chooses one (seed ${seed})`, async () => {
  const { compilation, tensors, published, config, input } = await files("qwen3-moe");
  const folder = join(temporaryFolder(), "model");
  mkdirSync(folder);
  const index: Record<string, string> = {};
  const shards: Tensors[] = [new Map(), new Map(), new Map()];
  for (const layer of [3, 4]) {
    const named = [...fileTensors(published, "BF16", `model.layers.${layer}.`)];
    for (const [i, [name, tensor]] of named.entries()) {
      // The other layer has other weights.
      const data = layer === 3 ? tensor.data : new Uint16Array(tensor.data.byteLength / 2);
      shards[i % 3]?.set(name, { ...tensor, data });
      index[name] = `model-0000${(i % 3) + 1}-of-00003.safetensors`;
    }
  }
  for (const [i, shard] of shards.entries())
    await writeSafetensors(join(folder, `model-0000${i + 1}-of-00003.safetensors`), shard);
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: index }));
  const two = await exec("qwen3-moe", { config, weights: folder, input });
  expect(two.ran.status).toBe(2);
  expect(two.ran.err).toContain("found:    model.layers.3., model.layers.4.");
  const extra = ["--storage", "f32", "--json", "--prefix"];
  for (const prefix of ["model.layers.3", "model.layers.3."]) {
    const { ran, folder: out } = await exec("qwen3-moe", { config, weights: folder, input }, [...extra, prefix]);
    expect(ran).toMatchObject({ status: 0, err: "" });
    expect(jsonOf(ran)).toMatchObject({ prefix: "model.layers.3.", storage: "f32" });
    expect((await agreement(compilation, tensors, out)).disagreements).toEqual([]);
  }
  const { folder: zero } = await exec("qwen3-moe", { config, weights: folder, input }, [...extra, "model.layers.4"]);
  const file = await openSafetensors(join(zero, "y.safetensors"));
  expect(new Set(await file.readF32("y"))).toEqual(new Set([0]));
  await file.close();
});

test("--param goes before the config, also where the config leaves something out", async () => {
  const { config, published, prefix, input } = await files("qwen3-moe");
  const weights = fileTensors(published, "F32", prefix);
  const lacking = { ...config, num_experts: null, num_experts_per_tok: 99 };
  const extra = ["--json", "--param", "E=6", "--param", "K=2"];
  const { ran } = await exec("qwen3-moe", { config: lacking, weights, input }, extra);
  expect(ran).toMatchObject({ status: 0, err: "" });
  expect(jsonOf(ran)).toMatchObject({ params: { H: 24, I: 16, E: 6, K: 2 } });
});

test("what the layer does not use is accepted with --allow-unused, and noted", async () => {
  const { config, published, prefix, input } = await files("qwen3-moe");
  const weights = fileTensors(published, "F32", prefix);
  const beside = `${prefix}mlp.gate.e_score_correction_bias`;
  weights.set(beside, zeros("F32", [6]));
  const { ran } = await exec("qwen3-moe", { config, weights, input }, ["--allow-unused"]);
  expect(ran).toMatchObject({ status: 0, err: `note: 1 tensor of the weights file is not used: ${beside}\n` });
});

test("the empty prefix chooses what stands without one", async () => {
  const { compilation, tensors, config, published, prefix, input } = await files("mixtral");
  const weights = fileTensors(published, "F32");
  for (const [name, t] of fileTensors(published, "F32", prefix))
    weights.set(name, { ...t, data: new Uint8Array(t.data.byteLength) });
  const { ran, folder } = await exec("mixtral", { config, weights, input }, ["--prefix", "", "--json"]);
  expect(jsonOf(ran)).toMatchObject({ prefix: "" });
  expect((await agreement(compilation, tensors, folder)).disagreements).toEqual([]);
});

test.each([
  ["no file", undefined, /U312.*none\.json cannot be read[\s\S]*ENOENT/],
  ["no JSON", "{", /U312[\s\S]*expected: the config\.json of a model[\s\S]*JSON/],
  ["a list", "[1]", /U312[\s\S]*found: +JSON of another kind/],
])("a config that cannot be read: %s", async (_, text, message) => {
  const { published, prefix, input } = await files("qwen3-moe");
  const path = join(temporaryFolder(), "none.json");
  if (text !== undefined) writeFileSync(path, text);
  const { ran } = await exec("qwen3-moe", { weights: fileTensors(published, "F32", prefix), input }, [
    "--config",
    path,
  ]);
  expect(ran).toMatchObject({ status: 2, out: "" });
  expect(ran.err).toMatch(message);
});

test("other commands read the config as well", async () => {
  const folder = temporaryFolder();
  const config = join(folder, "config.json");
  writeFileSync(config, JSON.stringify(models["qwen3-moe"]?.config));
  const argv = [
    "compile",
    "examples/qwen3-moe.ts",
    "--config",
    config,
    "--target",
    "wgsl",
    "--out",
    join(folder, "out"),
  ];
  const ran = await unmoor([...argv, "--json"]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  expect(jsonOf(ran)).toMatchObject({ params: models["qwen3-moe"]?.params });
});

test("a config that differs gives another layer, also from the cache", async () => {
  const folder = temporaryFolder();
  const source = sourceFile(
    `import { layer, map, type Tensor } from "unmoor";
export const scaled = layer({ H: 4, by: 1 }, { config: { by: "factor * 2" } }, (p, x: Tensor<["T", "H"]>) => map(x, (v) => v * p.by));
`,
  );
  const bytes: string[] = [];
  for (const factor of [3, 3, 5]) {
    const config = join(folder, "config.json");
    writeFileSync(config, JSON.stringify({ factor }));
    const x = join(folder, "x.safetensors");
    await writeSafetensors(x, { x: { dtype: "F32", shape: [1, 4], data: Float32Array.of(1, 2, 3, 4) } });
    const w = join(folder, "w.safetensors");
    await writeSafetensors(w, {});
    const out = join(folder, "y.safetensors");
    const argv = ["exec", source, "--config", config, "--weights", w, "--input", x, "--out", out, "--isa", "avx2"];
    const ran = await unmoor(argv, { cache: join(dirname(source), "cache") });
    expect(ran).toMatchObject({ status: 0, err: "" });
    const file = await openSafetensors(out);
    bytes.push([...(await file.readF32("y"))].join());
    await file.close();
  }
  expect(bytes).toEqual(["6,12,18,24", "6,12,18,24", "10,20,30,40"]);
});
