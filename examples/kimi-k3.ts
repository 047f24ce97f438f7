import { add, layer, linear, map, mul, route, sigmoid, sum, type Tensor, tanh } from "unmoor";

/**
 * Kimi-K3's MoE: the experts work in a latent space of width L; routing and the shared experts see all of x. Gate and up are bounded by
 * scaled tanh (SiTU).
 * Source: the model's published configuration and serving code, in part; the weights are MXFP4, this layer takes them widened.
 */
export const kimiK3Moe = layer(
  { H: 7168, L: 3584, I: 3072, S: 6144, E: 896, K: 16, beta: 4, linearBeta: 25, epsilon: 1e-6 },
  {
    weights: {
      router: "block_sparse_moe.gate.weight",
      bias: "block_sparse_moe.gate.e_score_correction_bias",
      toLatent: "block_sparse_moe.routed_expert_down_proj.weight",
      latentNorm: "block_sparse_moe.routed_expert_norm.weight",
      fromLatent: "block_sparse_moe.routed_expert_up_proj.weight",
      gate: "block_sparse_moe.experts.{e}.gate_proj.weight",
      up: "block_sparse_moe.experts.{e}.up_proj.weight",
      down: "block_sparse_moe.experts.{e}.down_proj.weight",
      sharedGate: "block_sparse_moe.shared_experts.gate_proj.weight",
      sharedUp: "block_sparse_moe.shared_experts.up_proj.weight",
      sharedDown: "block_sparse_moe.shared_experts.down_proj.weight",
    },
  },
  (
    p,
    x: Tensor<["T", "H"]>,
    w: {
      router: Tensor<["E", "H"], "f32">;
      bias: Tensor<["E"], "f32">;
      toLatent: Tensor<["L", "H"]>;
      latentNorm: Tensor<["L"], "f32">;
      fromLatent: Tensor<["H", "L"]>;
      gate: Tensor<["E", "I", "L"]>;
      up: Tensor<["E", "I", "L"]>;
      down: Tensor<["E", "L", "I"]>;
      sharedGate: Tensor<["S", "H"]>;
      sharedUp: Tensor<["S", "H"]>;
      sharedDown: Tensor<["H", "S"]>;
    },
  ) => {
    const situ = (gate: number, up: number) =>
      p.beta * tanh(gate / p.beta) * sigmoid(gate) * p.linearBeta * tanh(up / p.linearBeta);
    const routing = route(linear(x, w.router), {
      score: "sigmoid",
      selectBias: w.bias,
      topK: p.K,
      renormalise: { epsilon: 1e-20 },
      experts: { ffn: p.E },
    });
    const mixed = routing.mix(linear(x, w.toLatent), (token, e) =>
      linear(map(linear(token, w.gate[e]), linear(token, w.up[e]), situ), w.down[e]),
    );
    const normed = mul(
      map(mixed, sum(mul(mixed, mixed)), (v, s) => v / Math.sqrt(s / p.L + p.epsilon)),
      w.latentNorm,
    );
    const shared = linear(map(linear(x, w.sharedGate), linear(x, w.sharedUp), situ), w.sharedDown);
    return add(linear(normed, w.fromLatent), shared);
  },
);
