import { layer, linear, mul, route, silu, type Tensor } from "unmoor";

/**
 * Phi-3.5-MoE: the best logit, then the next; each weighed by softmax over what is near it and not yet chosen (sparsemixer at
 * inference; near: within twice router_jitter_noise).
 * Source: huggingface/transformers, models/phimoe (sparsemixer).
 */
export const phi35Moe = layer(
  { H: 4096, I: 6400, E: 16, K: 2, jitter: 0.01 },
  {
    config: {
      H: "hidden_size",
      I: "intermediate_size",
      E: "num_local_experts",
      K: "num_experts_per_tok",
      jitter: "router_jitter_noise ?? 0.01",
    },
    requires: {
      model_type: "phimoe",
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
      score: "none",
      topK: p.K,
      weight: { sequential: 2 * p.jitter },
      experts: { ffn: p.E },
    });
    return routing.mix(x, (token, e) => linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e]));
  },
);
