import { layer, linear, mul, route, silu, type Tensor } from "unmoor";

/**
 * DBRX's MoE: softmax over all experts, the four best, divided by their p-norm (moe_normalize_expert_weights).
 * Source: huggingface/transformers, models/dbrx (DbrxRouter, DbrxExpertGLU). The published matrices of all experts lie flat.
 */
export const dbrxMoe = layer(
  { H: 6144, I: 10752, E: 16, K: 4, norm: 1 },
  {
    config: {
      H: "d_model",
      I: "ffn_config.ffn_hidden_size",
      E: "ffn_config.moe_num_experts",
      K: "ffn_config.moe_top_k",
      norm: "ffn_config.moe_normalize_expert_weights",
    },
    requires: {
      model_type: "dbrx",
      "ffn_config.ffn_act_fn.name ?? 'silu'": "silu",
    },
    weights: {
      router: "ffn.router.layer.weight",
      gate: { tensor: "ffn.experts.mlp.w1", dims: ["E*I", "H"] },
      up: { tensor: "ffn.experts.mlp.v1", dims: ["E*I", "H"] },
      down: { tensor: "ffn.experts.mlp.w2", dims: ["E*I", "H"] },
    },
  },
  (
    p,
    x: Tensor<["T", "H"]>,
    w: {
      router: Tensor<["E", "H"], "f32">;
      gate: Tensor<["E", "I", "H"]>;
      up: Tensor<["E", "I", "H"]>;
      down: Tensor<["E", "H", "I"]>;
    },
  ) => {
    const routing = route(linear(x, w.router), {
      score: "softmax",
      topK: p.K,
      renormalise: { norm: p.norm },
      experts: { ffn: p.E },
    });
    return routing.mix(x, (token, e) => linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e]));
  },
);
