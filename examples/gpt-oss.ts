import { add, layer, linear, map, route, sigmoid, slice, type Tensor } from "unmoor";

/**
 * gpt-oss's MoE: the best logits, softmax over those chosen; experts with biases, gate and up in alternate columns.
 * Source: huggingface/transformers, models/gpt_oss (GptOssTopKRouter, GptOssExperts). The published expert matrices are MXFP4
 * blocks; widened copies have them transposed.
 */
export const gptOssMoe = layer(
  { H: 2880, I: 2880, E: 32, K: 4, alpha: 1.702, limit: 7 },
  {
    config: {
      H: "hidden_size",
      I: "intermediate_size",
      E: "num_local_experts",
      K: "num_experts_per_tok",
      alpha: "swiglu_alpha ?? 1.702",
      limit: "swiglu_limit ?? 7",
    },
    requires: {
      model_type: "gpt_oss",
      "hidden_act ?? 'silu'": "silu",
    },
    weights: {
      router: "mlp.router.weight",
      routerBias: "mlp.router.bias",
      gateUp: [
        { tensor: "mlp.experts.gate_up_proj_blocks", format: "mxfp4", scales: "mlp.experts.gate_up_proj_scales" },
        { tensor: "mlp.experts.gate_up_proj", dims: ["E", "H", "2*I"] },
      ],
      gateUpBias: "mlp.experts.gate_up_proj_bias",
      down: [
        { tensor: "mlp.experts.down_proj_blocks", format: "mxfp4", scales: "mlp.experts.down_proj_scales" },
        { tensor: "mlp.experts.down_proj", dims: ["E", "I", "H"] },
      ],
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
      const hidden = map(slice(both, 0, p.I, { step: 2 }), slice(both, 1, p.I, { step: 2 }), (gate, up) => {
        const g = Math.min(gate, p.limit);
        return (Math.min(Math.max(up, -p.limit), p.limit) + 1) * g * sigmoid(p.alpha * g);
      });
      return add(linear(hidden, w.down[e]), w.downBias[e]);
    });
  },
);
