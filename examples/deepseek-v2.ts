import { add, layer, linear, mul, route, silu, type Tensor } from "unmoor";

/**
 * DeepSeek-V2's MoE: softmax over all experts; of the groups the three with the best expert; scaled, not renormalised.
 * Source: huggingface/transformers, models/deepseek_v2 (group_limited_greedy). Sizes of the 236B model, S for its two shared
 * experts together; the layer masks other groups with minus infinity, where transformers fills in 0.
 */
export const deepseekV2Moe = layer(
  { H: 5120, I: 1536, S: 3072, E: 160, K: 6, G: 8, M: 3, scale: 16 },
  {
    config: {
      H: "hidden_size",
      I: "moe_intermediate_size",
      S: "moe_intermediate_size * n_shared_experts",
      E: "n_routed_experts",
      K: "num_experts_per_tok",
      G: "n_group ?? 1",
      M: "topk_group ?? 1",
      scale: "routed_scaling_factor",
    },
    requires: {
      "hidden_act ?? 'silu'": "silu",
      "scoring_func ?? 'softmax'": "softmax",
      "norm_topk_prob ?? false": false,
      "(topk_method ?? 'greedy') == 'group_limited_greedy' or (n_group ?? 1) == 1": true,
    },
    weights: {
      router: "mlp.gate.weight",
      gate: "mlp.experts.{e}.gate_proj.weight",
      up: "mlp.experts.{e}.up_proj.weight",
      down: "mlp.experts.{e}.down_proj.weight",
      sharedGate: "mlp.shared_experts.gate_proj.weight",
      sharedUp: "mlp.shared_experts.up_proj.weight",
      sharedDown: "mlp.shared_experts.down_proj.weight",
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
    },
  ) => {
    const routing = route(linear(x, w.router), {
      score: "softmax",
      groups: { count: p.G, keep: p.M, by: "max" },
      topK: p.K,
      scale: p.scale,
      experts: { ffn: p.E },
    });
    return add(
      routing.mix(x, (token, e) => linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e])),
      linear(mul(silu(linear(x, w.sharedGate)), linear(x, w.sharedUp)), w.sharedDown),
    );
  },
);
