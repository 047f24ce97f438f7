import { add, layer, linear, map, rmsNorm, route, sigmoid, type Tensor, tanh, type WeightBinding } from "unmoor";

/** A key of the text model, whose config stands alone or inside that of a multimodal model. */
const text = (key: string) => `text_config.${key} ?? ${key}`;

/** MXFP4 as published, or widened. */
const packed = (name: string): WeightBinding => [
  { tensor: `${name}.weight_packed`, format: "mxfp4", scales: `${name}.weight_scale` },
  `${name}.weight`,
];

/**
 * Kimi-K3's MoE: the experts work in a latent space of width L; routing and the shared experts see all of x. Gate and up are bounded by
 * scaled tanh (SiTU).
 * Source: the model's published configuration and serving code, in part.
 */
export const kimiK3Moe = layer(
  { H: 7168, L: 3584, I: 3072, S: 6144, E: 896, K: 16, beta: 4, linearBeta: 25, epsilon: 1e-5 },
  {
    config: {
      H: text("hidden_size"),
      L: text("routed_expert_hidden_size"),
      I: text("moe_intermediate_size"),
      S: `(${text("moe_intermediate_size")}) * (${text("num_shared_experts")})`,
      E: text("num_experts"),
      K: text("num_experts_per_token"),
      beta: text("activation_situ_beta"),
      linearBeta: text("activation_situ_linear_beta"),
      epsilon: text("rms_norm_eps"),
    },
    requires: {
      [text("hidden_act")]: "situ",
      [text("moe_router_activation_func")]: "sigmoid",
      [text("moe_renormalize")]: true,
      [text("latent_moe_use_norm")]: true,
      [`${text("num_expert_group")} ?? 1`]: 1,
      [`${text("routed_scaling_factor")} ?? 1`]: 1,
    },
    weights: {
      router: "block_sparse_moe.gate.weight",
      bias: "block_sparse_moe.gate.e_score_correction_bias",
      toLatent: "block_sparse_moe.routed_expert_down_proj.weight",
      latentNorm: "block_sparse_moe.routed_expert_norm.weight",
      fromLatent: "block_sparse_moe.routed_expert_up_proj.weight",
      gate: packed("block_sparse_moe.experts.{e}.w1"),
      up: packed("block_sparse_moe.experts.{e}.w3"),
      down: packed("block_sparse_moe.experts.{e}.w2"),
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
    const normed = rmsNorm(mixed, { weight: w.latentNorm, epsilon: p.epsilon });
    const shared = linear(map(linear(x, w.sharedGate), linear(x, w.sharedUp), situ), w.sharedDown);
    return add(linear(normed, w.fromLatent), shared);
  },
);
