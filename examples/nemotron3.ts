import { add, layer, linear, map, route, type Tensor } from "unmoor";

/**
 * Nemotron-3's MoE: DeepSeek-V3's router; experts without a gate, squared ReLU; a shared expert of the same kind.
 * Source: huggingface/transformers, models/nemotron_h. Sizes of the 30B model from memory; here with one group, which limits nothing.
 */
const relu2 = (v: number) => Math.max(v, 0) ** 2;

export const nemotron3Moe = layer(
  { H: 2688, I: 1856, S: 3712, E: 128, K: 6, scale: 2.5 },
  {
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
