import { add, layer, linear, map, route, sigmoid, slice, type Tensor } from "unmoor";

/**
 * gpt-oss's MoE: the best logits, softmax over those chosen; experts with biases, gate and up in alternate columns.
 * Source: huggingface/transformers, models/gpt_oss (GptOssTopKRouter, GptOssExperts). The published expert matrices are MXFP4
 * blocks; this layer takes them widened and transposed to [E, out, in].
 */
export const gptOssMoe = layer(
  { H: 2880, I: 2880, E: 32, K: 4, alpha: 1.702, limit: 7 },
  {
    weights: {
      router: "mlp.router.weight",
      routerBias: "mlp.router.bias",
      gateUp: "mlp.experts.gate_up_proj",
      gateUpBias: "mlp.experts.gate_up_proj_bias",
      down: "mlp.experts.down_proj",
      downBias: "mlp.experts.down_proj_bias",
    },
  },
  (
    p,
    x: Tensor<["T", "H"]>,
    w: {
      router: Tensor<["E", "H"], "f32">;
      routerBias: Tensor<["E"], "f32">;
      gateUp: Tensor<["E", "2*I", "H"]>;
      gateUpBias: Tensor<["E", "2*I"], "f32">;
      down: Tensor<["E", "H", "I"]>;
      downBias: Tensor<["E", "H"], "f32">;
    },
  ) => {
    const routing = route(add(linear(x, w.router), w.routerBias), {
      score: "none",
      topK: p.K,
      weight: "softmax",
      experts: { ffn: p.E },
    });
    return routing.mix(x, (token, e) => {
      const both = add(linear(token, w.gateUp[e]), w.gateUpBias[e]);
      const hidden = map(slice(both, 0, p.I, 2), slice(both, 1, p.I, 2), (gate, up) => {
        const g = Math.min(gate, p.limit);
        return (Math.min(Math.max(up, -p.limit), p.limit) + 1) * g * sigmoid(p.alpha * g);
      });
      return add(linear(hidden, w.down[e]), w.downBias[e]);
    });
  },
);
