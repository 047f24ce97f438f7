import { layer, linear, mul, route, silu, type Tensor } from "unmoor";

/**
 * LongCat-Flash: softmax over FFN and identity experts, chosen by score + bias, weighed by score alone.
 * Source: huggingface/transformers, models/longcat_flash (LongcatFlashTopkRouter, LongcatFlashMoE).
 */
export const longcatMoe = layer(
  { H: 6144, I: 2048, E: 512, Z: 256, K: 12, scale: 6 },
  {
    config: {
      H: "hidden_size",
      I: "expert_ffn_hidden_size",
      E: "n_routed_experts",
      Z: "zero_expert_num",
      K: "moe_topk",
      scale: "routed_scaling_factor",
    },
    requires: {
      "hidden_act ?? 'silu'": "silu",
      "zero_expert_type ?? 'identity'": "identity",
      "norm_topk_prob ?? false": false,
      "router_bias ?? false": false,
    },
    weights: {
      router: "mlp.router.classifier.weight",
      bias: "mlp.router.e_score_correction_bias",
      gate: "mlp.experts.{e}.gate_proj.weight",
      up: "mlp.experts.{e}.up_proj.weight",
      down: "mlp.experts.{e}.down_proj.weight",
    },
  },
  (
    p,
    x: Tensor<["T", "H"]>,
    w: {
      router: Tensor<["E+Z", "H"], "f32">;
      bias: Tensor<["E+Z"], "f32">;
      gate: Tensor<["E", "I", "H"]>;
      up: Tensor<["E", "I", "H"]>;
      down: Tensor<["E", "H", "I"]>;
    },
  ) => {
    const routing = route(linear(x, w.router), {
      score: "softmax",
      selectBias: w.bias,
      topK: p.K,
      scale: p.scale,
      experts: { ffn: p.E, identity: p.Z },
    });
    return routing.mix(x, (token, e) => linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e]));
  },
);
