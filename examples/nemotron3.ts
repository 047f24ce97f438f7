import { add, layer, linear, map, route, type Tensor } from "unmoor";

const relu2 = (v: number) => Math.max(v, 0) ** 2;

/**
 * Nemotron-3's MoE: DeepSeek-V3's router; experts without a gate, squared ReLU; a shared expert of the same kind.
 * Source: huggingface/transformers, models/nemotron_h; sizes of the config.json of Nemotron-3-Nano-30B-A3B. One group, which limits
 * nothing, as in that model.
 */
export const nemotron3Moe = layer(
  { H: 2688, I: 1856, S: 3712, E: 128, K: 6, scale: 2.5 },
  {
    config: {
      H: "hidden_size",
      I: "moe_intermediate_size",
      S: "moe_shared_expert_intermediate_size",
      E: "n_routed_experts",
      K: "num_experts_per_tok",
      scale: "routed_scaling_factor ?? 1",
    },
    requires: {
      model_type: "nemotron_h",
      "mlp_hidden_act ?? 'relu2'": "relu2",
      "mlp_bias ?? false": false,
      "norm_topk_prob ?? true": true,
      "n_group ?? 1": 1,
      "n_shared_experts ?? 1": 1,
      "moe_latent_size ?? 0": 0,
    },
    weights: {
      router: "mixer.gate.weight",
      bias: "mixer.gate.e_score_correction_bias",
      up: "mixer.experts.{e}.up_proj.weight",
      down: "mixer.experts.{e}.down_proj.weight",
      sharedUp: "mixer.shared_experts.up_proj.weight",
      sharedDown: "mixer.shared_experts.down_proj.weight",
    },
  },
  (
    p,
    x: Tensor<["T", "H"]>,
    w: {
      router: Tensor<["E", "H"], "f32">;
      bias: Tensor<["E"], "f32">;
      up: Tensor<["E", "I", "H"]>;
      down: Tensor<["E", "H", "I"]>;
      sharedUp: Tensor<["S", "H"]>;
      sharedDown: Tensor<["H", "S"]>;
    },
  ) => {
    const routing = route(linear(x, w.router), {
      score: "sigmoid",
      selectBias: w.bias,
      topK: p.K,
      renormalise: { epsilon: 1e-20 },
      scale: p.scale,
      experts: { ffn: p.E },
    });
    const routed = routing.mix(x, (token, e) => linear(map(linear(token, w.up[e]), relu2), w.down[e]));
    return add(routed, linear(map(linear(x, w.sharedUp), relu2), w.sharedDown));
  },
);
