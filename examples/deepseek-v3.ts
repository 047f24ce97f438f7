import { add, layer, linear, mul, route, silu, type Tensor } from "unmoor";

/**
 * DeepSeek-V3's MoE: sigmoid scores; chosen by score + bias in the groups whose two best add up to most; weighed by score alone.
 * Source: huggingface/transformers, models/deepseek_v3 (DeepseekV3TopkRouter). The layer masks other groups with minus infinity,
 * as the vendor's code does; transformers fills in 0, which differs where all biased scores are negative.
 * Kimi-K2 (one group), GLM-4.5 and Moonlight route in the same way.
 */
export const deepseekV3Moe = layer(
  { H: 7168, I: 2048, S: 2048, E: 256, K: 8, G: 8, M: 4, scale: 2.5 },
  {
    weights: {
      router: "mlp.gate.weight",
      bias: "mlp.gate.e_score_correction_bias",
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
      score: "sigmoid",
      selectBias: w.bias,
      groups: { count: p.G, keep: p.M, by: "top2" },
      topK: p.K,
      renormalise: { epsilon: 1e-20 },
      scale: p.scale,
      experts: { ffn: p.E },
    });
    return add(
      routing.mix(x, (token, e) => linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e])),
      linear(mul(silu(linear(x, w.sharedGate)), linear(x, w.sharedUp)), w.sharedDown),
    );
  },
);
