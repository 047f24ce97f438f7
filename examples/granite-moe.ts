import { layer, linear, mul, route, silu, slice, type Tensor } from "unmoor";

/**
 * GraniteMoE: the best logits, softmax over those chosen; gate and up in one matrix, one after the other.
 * Source: huggingface/transformers, models/granitemoe (GraniteMoeTopKGating, GraniteMoeMoE).
 */
export const graniteMoe = layer(
  { H: 1024, I: 512, E: 32, K: 8 },
  {
    config: {
      H: "hidden_size",
      I: "intermediate_size",
      E: "num_local_experts",
      K: "num_experts_per_tok",
    },
    requires: {
      model_type: "granitemoe",
      "hidden_act ?? 'silu'": "silu",
    },
    weights: {
      router: "block_sparse_moe.router.layer.weight",
      both: "block_sparse_moe.input_linear.weight",
      down: "block_sparse_moe.output_linear.weight",
    },
  },
  (
    p,
    x: Tensor<["T", "H"]>,
    w: {
      router: Tensor<["E", "H"], "f32">;
      both: Tensor<["E", "2*I", "H"]>;
      down: Tensor<["E", "H", "I"]>;
    },
  ) => {
    const routing = route(linear(x, w.router), { score: "none", topK: p.K, weight: "softmax", experts: { ffn: p.E } });
    return routing.mix(x, (token, e) => {
      const both = linear(token, w.both[e]);
      return linear(mul(silu(slice(both, 0, p.I)), slice(both, p.I, p.I)), w.down[e]);
    });
  },
);
