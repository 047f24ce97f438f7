import { add, layer, linear, map, mul, route, silu, type Tensor, type WeightBinding } from "unmoor";

/** As published, or widened. */
const coded = (name: string, format: "mxfp4" | "fp8-128"): WeightBinding => [
  { tensor: `${name}.weight`, format, scales: `${name}.scale` },
  `${name}.weight`,
];

const clamped = (limit: number) => (gate: number, up: number) =>
  silu(Math.min(gate, limit)) * Math.min(Math.max(up, -limit), limit);

/**
 * DeepSeek-V4's MoE: scores are the root of softplus; later layers choose by score + bias, the first three (deepseekV4HashMoe) by
 * a frozen table over token ids. Clamped SwiGLU, weighed before the projection down.
 * Source: ggml-org/llama.cpp, build_moe_ffn, and a draft of huggingface/transformers, models/deepseek_v4. V is the vocabulary;
 * epsilon differs between implementations; the shared expert is clamped, as in the vendor's current revision.
 */
export const deepseekV4Moe = layer(
  { H: 4096, I: 2048, E: 256, K: 6, scale: 1.5, limit: 10 },
  {
    config: {
      H: "hidden_size",
      I: "moe_intermediate_size",
      E: "n_routed_experts",
      K: "num_experts_per_tok",
      scale: "routed_scaling_factor",
      limit: "swiglu_limit ?? 10",
    },
    requires: {
      model_type: "deepseek_v4",
      "hidden_act ?? 'silu'": "silu",
      "scoring_func ?? 'sqrtsoftplus'": "sqrtsoftplus",
      "norm_topk_prob ?? true": true,
      "n_shared_experts ?? 1": 1,
    },
    weights: {
      router: "ffn.gate.weight",
      bias: "ffn.gate.bias",
      gate: coded("ffn.experts.{e}.w1", "mxfp4"),
      up: coded("ffn.experts.{e}.w3", "mxfp4"),
      down: coded("ffn.experts.{e}.w2", "mxfp4"),
      sharedGate: coded("ffn.shared_experts.w1", "fp8-128"),
      sharedUp: coded("ffn.shared_experts.w3", "fp8-128"),
      sharedDown: coded("ffn.shared_experts.w2", "fp8-128"),
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
      sharedGate: Tensor<["I", "H"]>;
      sharedUp: Tensor<["I", "H"]>;
      sharedDown: Tensor<["H", "I"]>;
    },
  ) => {
    const act = clamped(p.limit);
    const routing = route(linear(x, w.router), {
      score: "sqrt-softplus",
      selectBias: w.bias,
      topK: p.K,
      renormalise: { epsilon: 1e-20 },
      scale: p.scale,
      experts: { ffn: p.E },
    });
    const routed = routing.mix(x, (token, e, weight) =>
      linear(mul(map(linear(token, w.gate[e]), linear(token, w.up[e]), act), weight), w.down[e]),
    );
    return add(routed, linear(map(linear(x, w.sharedGate), linear(x, w.sharedUp), act), w.sharedDown));
  },
);
