import { add, layer, linear, mul, route, silu, type Tensor, type WeightBinding } from "unmoor";

/** FP8 with block scales as published, or widened. */
const blocks = (name: string): WeightBinding => [
  { tensor: `${name}.weight`, format: "fp8-128", scales: `${name}.weight_scale_inv` },
  `${name}.weight`,
];

/**
 * DeepSeek-V3's MoE: sigmoid scores; chosen by score + bias in the groups whose two best add up to most; weighed by score alone.
 * Source: huggingface/transformers, models/deepseek_v3 (DeepseekV3TopkRouter). The layer masks other groups with minus infinity,
 * as the vendor's code does; transformers fills in 0, which differs where all biased scores are negative.
 * Kimi-K2 (one group), GLM-4.5 and Moonlight route in the same way.
 */
export const deepseekV3Moe = layer(
  { H: 7168, I: 2048, S: 2048, E: 256, K: 8, G: 8, M: 4, scale: 2.5 },
  {
    config: {
      H: "hidden_size",
      I: "moe_intermediate_size",
      S: "moe_intermediate_size * n_shared_experts",
      E: "n_routed_experts",
      K: "num_experts_per_tok",
      G: "n_group ?? 1",
      M: "topk_group ?? 1",
      scale: "routed_scaling_factor ?? 1",
    },
    requires: {
      "hidden_act ?? 'silu'": "silu",
      "scoring_func ?? 'sigmoid'": "sigmoid",
      "topk_method ?? 'noaux_tc'": "noaux_tc",
      norm_topk_prob: true,
    },
    weights: {
      router: "mlp.gate.weight",
      bias: "mlp.gate.e_score_correction_bias",
      gate: blocks("mlp.experts.{e}.gate_proj"),
      up: blocks("mlp.experts.{e}.up_proj"),
      down: blocks("mlp.experts.{e}.down_proj"),
      sharedGate: blocks("mlp.shared_experts.gate_proj"),
      sharedUp: blocks("mlp.shared_experts.up_proj"),
      sharedDown: blocks("mlp.shared_experts.down_proj"),
    },
  },
  (
    p,
    x: Tensor<["T", "H"]>,
    w: {
      router: Tensor<["E", "H"], "f32">;
      bias: Tensor<["E"], "f32">;
      gate: Tensor<["E", "I", "H"]>;
      up: Tensor<["E", "I", "H"]>;
      down: Tensor<["E", "H", "I"]>;
      sharedGate: Tensor<["S", "H"]>;
      sharedUp: Tensor<["S", "H"]>;
      sharedDown: Tensor<["H", "S"]>;
    },
  ) => {
    const routing = route(linear(x, w.router), {
      score: "sigmoid",
      selectBias: w.bias,
      groups: { count: p.G, keep: p.M, by: "top2" },
      topK: p.K,
      renormalise: { epsilon: 1e-20 },
      scale: p.scale,
      experts: { ffn: p.E },
    });
    return add(
      routing.mix(x, (token, e) => linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e])),
      linear(mul(silu(linear(x, w.sharedGate)), linear(x, w.sharedUp)), w.sharedDown),
    );
  },
);
