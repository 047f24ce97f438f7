import { add, layer, linear, mul, route, sigmoid, silu, type Tensor } from "unmoor";

/**
 * Qwen2-MoE: softmax over all experts, not renormalised, and a shared expert behind a sigmoid gate.
 * Source: huggingface/transformers, models/qwen2_moe (Qwen2MoeSparseMoeBlock).
 */
export const qwen2Moe = layer(
  { H: 2048, I: 1408, S: 5632, E: 60, K: 4 },
  {
    config: {
      H: "hidden_size",
      I: "moe_intermediate_size",
      S: "shared_expert_intermediate_size",
      E: "num_experts",
      K: "num_experts_per_tok",
    },
    requires: {
      model_type: "qwen2_moe",
      "hidden_act ?? 'silu'": "silu",
      "norm_topk_prob ?? false": false,
    },
    weights: {
      router: "mlp.gate.weight",
      gate: "mlp.experts.{e}.gate_proj.weight",
      up: "mlp.experts.{e}.up_proj.weight",
      down: "mlp.experts.{e}.down_proj.weight",
      sharedGate: "mlp.shared_expert.gate_proj.weight",
      sharedUp: "mlp.shared_expert.up_proj.weight",
      sharedDown: "mlp.shared_expert.down_proj.weight",
      sharedSwitch: "mlp.shared_expert_gate.weight",
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
      sharedGate: Tensor<["S", "H"]>;
      sharedUp: Tensor<["S", "H"]>;
      sharedDown: Tensor<["H", "S"]>;
      sharedSwitch: Tensor<[1, "H"]>;
    },
  ) => {
    const routing = route(linear(x, w.router), { score: "softmax", topK: p.K, experts: { ffn: p.E } });
    const shared = linear(mul(silu(linear(x, w.sharedGate)), linear(x, w.sharedUp)), w.sharedDown);
    return add(
      routing.mix(x, (token, e) => linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e])),
      mul(sigmoid(linear(x, w.sharedSwitch)), shared),
    );
  },
);
