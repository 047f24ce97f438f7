import type { OnnxGraph, OnnxInitializer, OnnxNode, OnnxValue } from "../peers/onnx.ts";

/** The layers of the race as graphs of ONNX operators, as they are exported to the web. */

export interface MoeSizes {
  readonly H: number;
  readonly I: number;
  readonly E: number;
  readonly K: number;
}

/** Weights as [rows, columns] of examples/olmoe.ts: router [E, H], gate and up [E, I, H], down [E, H, I]. */
export interface MoeWeights {
  readonly router: Float32Array;
  readonly gate: Float32Array;
  readonly up: Float32Array;
  readonly down: Float32Array;
}

const value = (name: string, dims: readonly number[]): OnnxValue => ({ name, dims });
const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
const f32 = (name: string, dims: readonly number[], data: Float32Array): OnnxInitializer => ({
  name,
  type: "f32",
  dims,
  bytes: bytesOf(data),
});
const i64 = (name: string, values: readonly number[], dims: readonly number[] = [values.length]): OnnxInitializer => ({
  name,
  type: "i64",
  dims,
  bytes: bytesOf(BigInt64Array.from(values, BigInt)),
});
const op = (
  name: string,
  inputs: readonly string[],
  outputs: string | readonly string[],
  attributes: OnnxNode["attributes"] = {},
): OnnxNode => ({ op: name, inputs, outputs: typeof outputs === "string" ? [outputs] : outputs, attributes });

/** Matrices [count, rows, columns] as [count, columns, rows]: MatMul takes the inner dimension first. */
export function transposed(data: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(data.length);
  const size = rows * columns;
  for (let i = 0; i < data.length; i++) {
    const [matrix, row, column] = [Math.floor(i / size), Math.floor((i % size) / columns), i % columns];
    result[matrix * size + column * rows + row] = data[i] ?? 0;
  }
  return result;
}

/** y = x · w, w given as [N, K]. */
export const productGraph = (M: number, N: number, K: number, w: Float32Array): OnnxGraph => ({
  nodes: [op("MatMul", ["x", "w"], "y")],
  inputs: [value("x", [M, K])],
  outputs: [value("y", [M, N])],
  initializers: [f32("w", [K, N], transposed(w, N, K))],
});

/** silu(a · gate) * (a · up) · down, for matrices under these names. */
const expert = (a: string, [gate, up, down]: readonly [string, string, string], y: string): OnnxNode[] => [
  op("MatMul", [a, gate], `${y}_g`),
  op("Sigmoid", [`${y}_g`], `${y}_s`),
  op("Mul", [`${y}_g`, `${y}_s`], `${y}_silu`),
  op("MatMul", [a, up], `${y}_u`),
  op("Mul", [`${y}_silu`, `${y}_u`], `${y}_h`),
  op("MatMul", [`${y}_h`, down], y),
];

function parts(T: number, { H, I, E, K }: MoeSizes, weights: MoeWeights) {
  const router = [
    op("MatMul", ["x", "router"], "logits"),
    op("Softmax", ["logits"], "scores", { axis: -1 }),
    op("TopK", ["scores", "k"], ["best", "ids"], { axis: -1, largest: 1, sorted: 1 }),
  ];
  const initializers = [
    f32("router", [H, E], transposed(weights.router, E, H)),
    f32("gate", [E, H, I], transposed(weights.gate, I, H)),
    f32("up", [E, H, I], transposed(weights.up, I, H)),
    f32("down", [E, I, H], transposed(weights.down, H, I)),
    i64("k", [K]),
  ];
  // Scores of experts that were not chosen become zero.
  const shares = [
    op("ReduceMin", ["best", "last"], "least", { keepdims: 1 }),
    op("GreaterOrEqual", ["scores", "least"], "chosen"),
    op("Cast", ["chosen"], "mask", { to: 1 }),
    op("Mul", ["scores", "mask"], "shares"),
  ];
  return { router, initializers, shares, inputs: [value("x", [T, H])], outputs: [value("y", [T, H])] };
}

/** Every expert for every token, weighed by zero where it was not chosen: batched products alone. */
export function denseMoe(T: number, sizes: MoeSizes, weights: MoeWeights): OnnxGraph {
  const { router, initializers, shares, inputs, outputs } = parts(T, sizes, weights);
  const nodes = [
    ...router,
    ...shares,
    op("Unsqueeze", ["x", "first"], "tokens"),
    ...expert("tokens", ["gate", "up", "down"], "each"),
    op("Transpose", ["shares"], "by_expert", { perm: [1, 0] }),
    op("Unsqueeze", ["by_expert", "last"], "weights"),
    op("Mul", ["each", "weights"], "weighed"),
    op("ReduceSum", ["weighed", "first"], "y", { keepdims: 0 }),
  ];
  return { nodes, inputs, outputs, initializers: [...initializers, i64("first", [0]), i64("last", [-1])] };
}

/** For each slot the matrices of its expert, gathered, then batched products. */
export function gatheredMoe(T: number, sizes: MoeSizes, weights: MoeWeights): OnnxGraph {
  const { router, initializers, inputs, outputs } = parts(T, sizes, weights);
  const { H, K } = sizes;
  const slots = T * K;
  const nodes = [
    ...router,
    op("Reshape", ["ids", "flat"], "slot_ids"),
    ...["gate", "up", "down"].map((name) => op("Gather", [name, "slot_ids"], `${name}_of`, { axis: 0 })),
    op("Gather", ["x", "token_of"], "rows", { axis: 0 }),
    op("Unsqueeze", ["rows", "middle"], "tokens"),
    ...expert("tokens", ["gate_of", "up_of", "down_of"], "each"),
    op("Reshape", ["each", "by_token"], "slots"),
    op("Unsqueeze", ["best", "last"], "weights"),
    op("Mul", ["slots", "weights"], "weighed"),
    op("ReduceSum", ["weighed", "middle"], "y", { keepdims: 0 }),
  ];
  const tokenOf = Array.from({ length: slots }, (_, slot) => Math.floor(slot / K));
  const added = [
    i64("flat", [slots]),
    i64("token_of", tokenOf),
    i64("by_token", [T, K, H]),
    i64("middle", [1]),
    i64("last", [-1]),
  ];
  return { nodes, inputs, outputs, initializers: [...initializers, ...added] };
}

/** One expert after the other: its tokens are found, gathered, multiplied and added, as exporters of PyTorch models write it. */
export function expertwiseMoe(T: number, sizes: MoeSizes, weights: MoeWeights): OnnxGraph {
  const { router, initializers, shares, inputs, outputs } = parts(T, sizes, weights);
  const { E, H, I } = sizes;
  const [stacked, kept] = [
    initializers.filter((c) => ["gate", "up", "down"].includes(c.name)),
    initializers.filter((c) => !["gate", "up", "down"].includes(c.name)),
  ];
  const matrices = stacked.flatMap(({ name, type, dims, bytes }) =>
    Array.from({ length: E }, (_, e): OnnxInitializer => {
      const size = 4 * H * I;
      return { name: `${name}_${e}`, type, dims: dims.slice(1), bytes: bytes.subarray(e * size, (e + 1) * size) };
    }),
  );
  const nodes = Array.from({ length: E }, (_, e) => [
    op("Gather", ["shares", `e${e}`], `share_${e}`, { axis: 1 }),
    op("NonZero", [`share_${e}`], `found_${e}`),
    op("Transpose", [`found_${e}`], `at_${e}`, { perm: [1, 0] }),
    op("Reshape", [`found_${e}`, "flat"], `rows_${e}`),
    op("Gather", ["x", `rows_${e}`], `x_${e}`, { axis: 0 }),
    ...expert(`x_${e}`, [`gate_${e}`, `up_${e}`, `down_${e}`], `each_${e}`),
    op("Gather", [`share_${e}`, `rows_${e}`], `weight_${e}`, { axis: 0 }),
    op("Unsqueeze", [`weight_${e}`, "last"], `column_${e}`),
    op("Mul", [`each_${e}`, `column_${e}`], `weighed_${e}`),
    op("ScatterND", [e === 0 ? "zeros" : `sum_${e - 1}`, `at_${e}`, `weighed_${e}`], e === E - 1 ? "y" : `sum_${e}`, {
      reduction: "add",
    }),
  ]).flat();
  const added = [
    ...Array.from({ length: E }, (_, e) => i64(`e${e}`, [e], [])),
    f32("zeros", [T, H], new Float32Array(T * H)),
    i64("flat", [-1]),
    i64("last", [-1]),
  ];
  return { nodes: [...router, ...shares, ...nodes], inputs, outputs, initializers: [...kept, ...matrices, ...added] };
}
