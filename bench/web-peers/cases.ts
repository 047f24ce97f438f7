import { join } from "node:path";
import { type Backend, LackError } from "../../backends/backend.ts";
import { elementsOf } from "../../backends/wgsl/elements.ts";
import { type Compilation, compileLayer } from "../../codegen/compile.ts";
import type { LaunchPlan } from "../../codegen/emit/wgsl/index.ts";
import { routingsOf } from "../../codegen/program.ts";
import { programWeights } from "../../codegen/program-weights.ts";
import type { Target } from "../../codegen/target.ts";
import type { Layer } from "../../ir/core/layer.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import { parseLayer } from "../../ir/text/index.ts";
import { readLayer } from "../../runtime/source.ts";
import { targetFor, tuningFolder } from "../../runtime/tune/target.ts";
import { installFolder } from "../../runtime/version.ts";
import type { Arena } from "../arena.ts";
import { drawBatches, drawWeights } from "../drawn.ts";
import { compareSample } from "../measure.ts";
import { isExternal, type OnnxGraph, onnxModel } from "../peers/onnx.ts";
import { moeGraph } from "../peers/onnxruntime.ts";
import type { Problem } from "../peers/problem.ts";
import type { Shape } from "../peers/shapes.ts";
import { grouped, workOf } from "../work.ts";
import type { Entry, Finished } from "./entry.ts";
import { denseMoe, expertwiseMoe, gatheredMoe, type MoeSizes, productGraph, transposed } from "./graphs.ts";

/** A layer, weights and tokens, and all that compute it. */
export interface Case {
  readonly title: string;
  readonly tokens: number;
  /** Unmoor first. */
  readonly entries: readonly Entry[];
  /** Holds what one gave against the oracle, along the choices of experts in `ours`. */
  verify(outputs: Finished["outputs"], ours: ReadonlyMap<string, Tensor>): Verdict;
  /** Floating-point operations of the routing that happened. */
  flops(ours: ReadonlyMap<string, Tensor>): number;
}

export interface Verdict {
  readonly disagreements: readonly string[];
  readonly maxErrorOverBound: number;
}

/** The contests, in the order in which they run. */
export const contests = [
  "product-512",
  "product-1024",
  "moe-1",
  "moe-16",
  "moe-128",
  "qmoe-1",
  "qmoe-16",
  "qmoe-128",
] as const;
export type Contest = (typeof contests)[number];

const SEED = 1;
const SAMPLED_TOKENS = 8;
/** OLMoE's shape at a size that a software adapter computes in seconds. */
const sizes: MoeSizes = { H: 512, I: 256, E: 32, K: 4 };
/** Gathered matrices of more tokens would not fit into a buffer that every device has. */
const MOST_GATHERED = 16;

/**
 * @param tuning one of the backend's schedules; default: what tuning found for the layer here
 * @throws LackError where there is none of that name
 */
export function makeCase(contest: Contest, backend: Backend, arena: Arena, tuning?: string): Promise<Case> {
  const [kind = "", count = ""] = contest.split("-");
  const tokens = Number(count);
  const setting = { backend, arena, tuning };
  if (kind === "product") return product(tokens, setting);
  return kind === "moe" ? moe(tokens, setting) : quantisedMoe(tokens, setting);
}

interface Setting {
  readonly backend: Backend;
  readonly arena: Arena;
  readonly tuning: string | undefined;
}

/** The schedule of a layer: by its name, or what tuning recorded. */
async function described(layer: Layer, storage: "f32" | "q4_0", { backend, tuning }: Setting): Promise<Target> {
  const isa = await backend.bestIsa();
  if (tuning === undefined) return targetFor({ backend, isa, records: tuningFolder() }, layer, storage);
  const all = backend.tunings?.(isa) ?? [];
  const found = all.find((target) => target.tuning === tuning);
  if (found) return found;
  throw new LackError(`there is no schedule ${tuning}`, `name one of: ${all.map((t) => t.tuning).join("; ")}`);
}

async function product(N: number, setting: Setting): Promise<Case> {
  const layer = parseLayer(
    `layer @product {N = ${N}} (input fixed %x: f32[T, N], weight auto %w: f32[N, N]) {
      %y = linear(%x, %w) : f32[T, N]
      return y = %y
    }`,
    "web.bench",
  );
  const made = await prepare(layer, "f32", N, setting);
  const { x } = made;
  const w = floats(made.weights, "w");
  return {
    title: `f32 product ${N}³`,
    tokens: N,
    entries: [
      made.own,
      onnx("onnxruntime-web: MatMul", productGraph(N, N, N, w), x),
      { kind: "tfjs", name: "tfjs-webgpu: matMul", x, w: { dims: [N, N], data: transposed(w, N, N) } },
    ],
    ...made,
  };
}

const titled = (what: string, tokens: number): string => {
  const { H, I, E, K } = sizes;
  return `${what}: H ${H}, I ${I}, ${E} experts, top-${K}, ${tokens} token${tokens === 1 ? "" : "s"}`;
};

const example = (file: string): Promise<Layer> =>
  readLayer({ file: join(installFolder(), "examples", file), params: { ...sizes }, cache: undefined });

async function moe(tokens: number, setting: Setting): Promise<Case> {
  const made = await prepare(await example("olmoe.ts"), "f32", tokens, setting);
  const of = (name: string): Float32Array => floats(made.weights, name);
  const matrices = { router: of("router"), gate: of("gate"), up: of("up"), down: of("down") };
  const graphs = [
    ["all experts, batched", denseMoe] as const,
    ...(tokens <= MOST_GATHERED ? [["gathered matrices, batched", gatheredMoe] as const] : []),
    ["one expert after the other", expertwiseMoe] as const,
  ];
  const others = graphs.map(([name, graph]) =>
    onnx(`onnxruntime-web: ${name}`, graph(tokens, sizes, matrices), made.x),
  );
  return { title: titled("MoE layer in f32", tokens), tokens, entries: [made.own, ...others], ...made };
}

/** Its QMoE weighs by the softmax over the chosen experts alone, as Mixtral does and OLMoE does not. */
const quantisedShape: Shape = {
  name: "mixtral",
  example: "mixtral.ts",
  params: { ...sizes },
  weigh: "chosen",
  activation: "silu",
};

async function quantisedMoe(tokens: number, setting: Setting): Promise<Case> {
  const made = await prepare(await example(quantisedShape.example), "q4_0", tokens, setting);
  const problem: Problem = { shape: quantisedShape, storage: "q4_0", sizes: { ...sizes }, weights: made.weights };
  const { H } = sizes;
  const graph: OnnxGraph = {
    inputs: [{ name: "x", dims: [tokens, H] }],
    outputs: [{ name: "y", dims: [tokens, H] }],
    ...moeGraph(problem, "q4_0", setting.arena),
  };
  const entries = [made.own, onnx("onnxruntime-web: QMoE", graph, made.x)];
  return { title: titled("MoE layer in 4 bits", tokens), tokens, entries, ...made };
}

const floats = (weights: ReadonlyMap<string, Tensor>, name: string): Float32Array => {
  const data = weights.get(name)?.data;
  if (data instanceof Float32Array) return data;
  throw new Error(`the layer has no weight ${name} in f32`);
};

const onnx = (name: string, graph: OnnxGraph, x: { dims: readonly number[]; data: Float32Array }): Entry => ({
  kind: "onnxruntime",
  name,
  model: onnxModel(graph),
  files: Object.fromEntries(graph.initializers.filter(isExternal).map((each) => [each.name, each.bytes])),
  x,
});

/** Compiles a layer, with what tuning found for it here, and draws its weights and tokens. */
async function prepare(layer: Layer, storage: "f32" | "q4_0", tokens: number, setting: Setting) {
  const { backend, arena } = setting;
  const target = await described(layer, storage, setting);
  const compilation = compileLayer(layer, target, storage);
  const { program } = compilation;
  const weights = drawWeights(compilation, arena, SEED);
  const [batch] = drawBatches(compilation, tokens, SEED + 1);
  if (!(batch?.data instanceof Float32Array)) throw new Error(`${layer.name} has no input in f32`);
  const x = { dims: batch.dims, data: batch.data };
  const symbols = Object.fromEntries(program.symbols.map((symbol) => [symbol, tokens]));
  const files = await backend.emit(program, target);
  const plan: LaunchPlan = JSON.parse(files.get("plan.json") ?? "");
  const own: Entry = {
    kind: "unmoor",
    name: target.tuning === undefined ? "Unmoor" : `Unmoor, tuned (${target.tuning})`,
    loaded: { plan, modules: Object.fromEntries([...files].filter(([path]) => path.endsWith(".wgsl"))) },
    weights: elementsOf(program, programWeights(program, weights), "weight"),
    inputs: { x: x.data },
    symbols,
  };
  return {
    own,
    x,
    weights,
    verify: (outputs: Finished["outputs"], ours: ReadonlyMap<string, Tensor>) =>
      verify(compilation, weights, batch, symbols, outputs, ours),
    flops: (ours: ReadonlyMap<string, Tensor>) => {
      const choices = routingsOf(program).map(({ ids }) => Int32Array.from(ours.get(ids)?.data ?? []));
      return workOf(grouped(compilation), symbols, choices).flops;
    },
  };
}

function verify(
  compilation: Compilation,
  weights: ReadonlyMap<string, Tensor>,
  x: Tensor,
  symbols: Readonly<Record<string, number>>,
  outputs: Finished["outputs"],
  ours: ReadonlyMap<string, Tensor>,
): Verdict {
  const [result] = compilation.program.results;
  if (!result) throw new Error("the layer has no result");
  const all = new Map(ours);
  // A peer has one output, y, and does not tell what it chose.
  const y = outputs[result.buffer] ?? outputs.y;
  if (y) all.set(result.buffer, y);
  return compareSample(compilation, weights, new Map([["x", x]]), symbols, all, SAMPLED_TOKENS);
}
