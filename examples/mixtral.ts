import { layer, linear, mul, route, silu, type Tensor } from "unmoor";

/**
 * Mixtral's MoE: softmax over all experts, the two best, renormalised.
 * Source: huggingface/transformers, models/mixtral (MixtralSparseMoeBlock).
 */
export const mixtralMoe = layer(
  { H: 4096, I: 14336, E: 8, K: 2 },
  {
    config: {
      H: "hidden_size",
      I: "intermediate_size",
      E: "num_local_experts",
      K: "num_experts_per_tok",
    },
    requires: {
      model_type: "mixtral",
      "hidden_act ?? 'silu'": "silu",
    },
    weights: {
      router: "block_sparse_moe.gate.weight",
      gate: "block_sparse_moe.experts.{e}.w1.weight",
      up: "block_sparse_moe.experts.{e}.w3.weight",
      down: "block_sparse_moe.experts.{e}.w2.weight",
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
      renormalise: "sum",
      experts: { ffn: p.E },
    });
    return routing.mix(x, (token, e) => linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e]));
  },
);
