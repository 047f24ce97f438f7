import { add, layer, linear, mul, route, silu, type Tensor } from "unmoor";

/**
 * ERNIE-4.5's MoE: chosen by softmax + bias, weighed by softmax, divided by the sum but at least by a smallest number.
 * Source: huggingface/transformers, models/ernie4_5_moe (Ernie4_5_MoeTopKRouter). S is the width of the shared experts together.
 */
export const ernie45Moe = layer(
  { H: 2560, I: 1536, S: 3072, E: 64, K: 6, least: 1e-12 },
  {
    config: {
      H: "hidden_size",
      I: "moe_intermediate_size",
      S: "moe_intermediate_size * moe_num_shared_experts",
      E: "moe_num_experts",
      K: "moe_k",
      least: "moe_norm_min ?? 1e-12",
    },
    requires: {
      model_type: "ernie4_5_moe",
      "hidden_act ?? 'silu'": "silu",
      "moe_gate_act ?? 'softmax'": "softmax",
      "use_bias ?? false": false,
      "moe_use_aux_free ?? true": true,
    },
    weights: {
      router: "mlp.gate.weight",
      bias: { tensor: "mlp.moe_statics.e_score_correction_bias", dims: [1, "E"] },
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
      score: "softmax",
      selectBias: w.bias,
      topK: p.K,
      renormalise: { atLeast: p.least },
      experts: { ffn: p.E },
    });
    return add(
      routing.mix(x, (token, e) => linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e])),
      linear(mul(silu(linear(x, w.sharedGate)), linear(x, w.sharedUp)), w.sharedDown),
    );
  },
);
