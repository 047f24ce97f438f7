import { layer, linear, mul, route, silu, type Tensor } from "unmoor";

/**
 * Qwen3-MoE: softmax over all experts, the eight best, renormalised (norm_topk_prob).
 * Source: huggingface/transformers, models/qwen3_moe (Qwen3MoeSparseMoeBlock).
 */
export const qwen3Moe = layer(
  { H: 2048, I: 768, E: 128, K: 8 },
  {
    config: {
      H: "hidden_size",
      I: "moe_intermediate_size",
      E: "num_experts",
      K: "num_experts_per_tok",
    },
    requires: {
      model_type: "qwen3_moe",
      "hidden_act ?? 'silu'": "silu",
      norm_topk_prob: true,
    },
    weights: {
      router: "mlp.gate.weight",
      gate: "mlp.experts.{e}.gate_proj.weight",
      up: "mlp.experts.{e}.up_proj.weight",
      down: "mlp.experts.{e}.down_proj.weight",
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
      renormalise: "sum",
      experts: { ffn: p.E },
    });
    return routing.mix(x, (token, e) => linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e]));
  },
);
