import { codeBits, formatOf, splitBlocks } from "../../ir/core/block-formats.ts";
import { f16ToF32 } from "../../ir/core/float16.ts";
import { Arena } from "../arena.ts";
import { packages } from "./install.ts";
import { type OnnxInitializer, type OnnxNode, onnxModel } from "./onnx.ts";
import type { Peer } from "./peer.ts";
import { bytesOf, gateUpOf, type Problem, requiredBytes } from "./problem.ts";
import type { Comparable } from "./shapes.ts";

/** What is used of onnxruntime-node. */
interface Ort {
  readonly Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => OrtTensor;
  readonly InferenceSession: {
    create(model: Uint8Array, options: Readonly<Record<string, unknown>>): Promise<OrtSession>;
  };
}
interface OrtTensor {
  readonly data: Float32Array;
}
interface OrtSession {
  run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}

/** Its threads look for work for some 20 ms after a run; waiting longer keeps them out of what is timed next. */
const REST_MS = 60;

/** ONNX Runtime's operators MoE (f32) and QMoE (8 and 4 bits), with the router's product before them, on its CPU provider. */
export const onnxruntime: Peer = {
  name: "ONNX Runtime",
  async load(problem, threads) {
    const { storage } = problem;
    if (storage === "bf16") return "its MoE takes f32, its QMoE 8 and 4 bits";
    const { Tensor, InferenceSession } = packages.require("onnxruntime-node") as Ort;
    const arena = new Arena();
    const { H } = problem.sizes;
    const { nodes, initializers } = moeGraph(problem, storage, arena);
    const model = onnxModel({
      inputs: [{ name: "x", dims: ["T", H] }],
      outputs: [{ name: "y", dims: ["T", H] }],
      nodes,
      initializers,
    });
    const session = await InferenceSession.create(model, {
      executionProviders: ["cpu"],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: "all",
      externalData: initializers.map(({ name, bytes }) => ({ path: name, data: bytes })),
    });
    let output: Float32Array = new Float32Array();
    return {
      title: `ONNX Runtime ${packages.version("onnxruntime-node")}, ${storage === "f32" ? "MoE" : `QMoE with ${codeBits(formatOf(storage, 0))} bits in blocks of ${formatOf(storage, 0).elements}`}`,
      wake: async () => {},
      rest: () => new Promise((done) => setTimeout(done, REST_MS)),
      async run(x, tokens) {
        const feeds = { x: new Tensor("float32", x, [tokens, H]) };
        const start = process.hrtime.bigint();
        const { y } = await session.run(feeds);
        const took = Number(process.hrtime.bigint() - start);
        output = y?.data ?? output;
        return took;
      },
      output: async () => output,
      async close() {
        await session.release();
        arena.free();
      },
    };
  },
};

/** Its parameters of activation · gate · sigmoid(alpha · gate) · (up + beta). */
const activations = {
  silu: { activation_alpha: { float: 1 }, activation_beta: { float: 0 } },
  clamped: { activation_alpha: { float: 1.702 }, activation_beta: { float: 1 }, swiglu_limit: { float: 7 } },
} as const;

/** The router's product, and the operator MoE or QMoE; `arena` holds what is made of the weights. */
export function moeGraph(
  problem: Problem,
  storage: Exclude<Comparable, "bf16">,
  arena: Arena,
): { readonly nodes: readonly OnnxNode[]; readonly initializers: readonly OnnxInitializer[] } {
  const { H, I, E, K } = problem.sizes;
  const initializers: OnnxInitializer[] = [];
  const given = (name: string, dims: readonly number[], bytes: Uint8Array | undefined): string => {
    if (!bytes) return "";
    initializers.push({ name, type: "f32", dims, bytes });
    return name;
  };
  /** A matrix of the experts [E, rows, columns]: one input, or codes and scales. */
  const matrix = (name: string, rows: number, columns: number, bytes: Uint8Array): readonly string[] => {
    if (storage === "f32") return [given(name, [E, rows, columns], bytes)];
    const { elements } = formatOf(storage, 0);
    const bits = codeBits(formatOf(storage, 0));
    const { codes, scales } = quantised(storage, bytes, arena);
    initializers.push({ name, type: "u8", dims: [E, rows, (columns * bits) / 8], bytes: codes });
    return [name, given(`${name}_scales`, [E, rows, columns / elements], scales)];
  };
  const gateUp = gateUpOf(problem, arena)?.alternate();
  if (!gateUp) throw new Error(`${problem.shape.example} has no gate and up`);
  const bias1 = given("fc1_bias", [E, 2 * I], gateUpOf(problem, arena, "Bias")?.alternate());
  const bias2 = given("fc2_bias", [E, H], bytesOf(problem, "downBias"));
  const routerBias = given("router_bias", [E], bytesOf(problem, "routerBias"));
  const router = given("router", [E, H], requiredBytes(problem, "router"));
  const experts = [
    ...matrix("fc1", 2 * I, H, gateUp),
    bias1,
    ...matrix("fc2", H, I, requiredBytes(problem, "down")),
    bias2,
  ];
  const quantisation =
    storage === "f32"
      ? {}
      : { expert_weight_bits: codeBits(formatOf(storage, 0)), block_size: formatOf(storage, 0).elements };
  // QMoE's own weights are always softmax over the chosen: others are given as its input number 14, router_weights.
  const unlike = storage !== "f32" && problem.shape.weigh === "all";
  const weighs = unlike ? [...Array.from({ length: 6 }, () => ""), "scores"] : [];
  const nodes: OnnxNode[] = [
    {
      op: "Gemm",
      inputs: ["x", router, ...(routerBias === "" ? [] : [routerBias])],
      outputs: ["logits"],
      attributes: { transB: 1 },
    },
    ...(unlike ? [{ op: "Softmax", inputs: ["logits"], outputs: ["scores"], attributes: {} }] : []),
    {
      op: storage === "f32" ? "MoE" : "QMoE",
      domain: "com.microsoft",
      inputs: ["x", "logits", ...experts, ...weighs],
      outputs: ["y"],
      attributes: {
        k: K,
        activation_type: "swiglu",
        swiglu_fusion: 1,
        normalize_routing_weights: problem.shape.weigh === "all" ? 0 : 1,
        ...activations[problem.shape.activation],
        ...quantisation,
      },
    },
  ];
  return { nodes, initializers };
}

/**
 * The very codes and scales of a block format as QMoE takes them: scales in f32, codes of 4 bits with neighbours in one byte.
 * Without zero points it subtracts 128 or 8, as the formats do.
 */
function quantised(
  storage: "q8_0" | "q4_0",
  bytes: Uint8Array,
  arena: Arena,
): { readonly codes: Uint8Array; readonly scales: Uint8Array } {
  const format = formatOf(storage, 0);
  const parts = splitBlocks(format, bytes);
  const [halves = new Uint16Array()] = parts.parts;
  const scales = arena.allocate(4 * halves.length);
  new Float32Array(scales.buffer, 0, halves.length).set(Float32Array.from(halves, f16ToF32));
  const codes = arena.allocate(parts.codes.length);
  if (format.codes === "u8") codes.set(parts.codes);
  else {
    // Element i of a block is in byte i, its partner half a block on; there two neighbours share a byte, the first in the low half.
    const half = format.elements / 2;
    const element = (block: number, i: number): number => {
      const byte = parts.codes[block * half + (i % half)] ?? 0;
      return i < half ? byte & 15 : byte >> 4;
    };
    for (let at = 0; at < codes.length; at++) {
      const block = Math.floor(at / half);
      const i = 2 * (at % half);
      codes[at] = element(block, i) | (element(block, i + 1) << 4);
    }
  }
  return { codes, scales };
}
