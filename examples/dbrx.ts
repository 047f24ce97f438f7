import { layer, linear, mul, route, silu, type Tensor } from "unmoor";

/**
 * DBRX's MoE: softmax over all experts, the four best, divided by their p-norm (moe_normalize_expert_weights).
 * Source: huggingface/transformers, models/dbrx (DbrxRouter, DbrxExpertGLU). The published matrices of all experts lie flat, [E*I, H], w2 as [E*I, H] too;
 * this layer takes them as [E, out, in].
 */
export const dbrxMoe = layer(
  { H: 6144, I: 10752, E: 16, K: 4, norm: 1 },
  {
    weights: {
      router: "ffn.router.layer.weight",
      gate: "ffn.experts.mlp.w1",
      up: "ffn.experts.mlp.v1",
      down: "ffn.experts.mlp.w2",
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
      renormalise: { norm: p.norm },
      experts: { ffn: p.E },
    });
    return routing.mix(x, (token, e) => linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e]));
  },
);
