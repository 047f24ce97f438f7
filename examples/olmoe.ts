import { layer, linear, mul, route, silu, type Tensor } from "unmoor";

/**
 * OLMoE's MoE: softmax over all experts, the eight best, not renormalised.
 * Source: huggingface/transformers, models/olmoe (OlmoeSparseMoeBlock).
 */
export const olmoe = layer(
  { H: 2048, I: 1024, E: 64, K: 8 },
  {
    config: {
      H: "hidden_size",
      I: "intermediate_size",
      E: "num_experts",
      K: "num_experts_per_tok",
    },
    requires: {
      model_type: "olmoe",
      "hidden_act ?? 'silu'": "silu",
      "norm_topk_prob ?? false": false,
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
    const routing = route(linear(x, w.router), { score: "softmax", topK: p.K, experts: { ffn: p.E } });
    return routing.mix(x, (token, e) => linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e]));
  },
);
