import { add, layer, linear, mul, route, silu, type Tensor } from "unmoor";

/** A key of the text model, whose config stands alone or inside that of a multimodal model. */
const text = (key: string) => `text_config.${key} ?? ${key}`;

/**
 * Llama-4's MoE: the best logit, its sigmoid multiplies the expert's input; a shared expert beside.
 * Source: huggingface/transformers, models/llama4 (Llama4TextMoe). The published matrices of the routed experts are stacked and
 * transposed.
 */
export const llama4Moe = layer(
  { H: 5120, I: 8192, E: 16, K: 1 },
  {
    config: {
      H: text("hidden_size"),
      I: text("intermediate_size"),
      E: text("num_local_experts"),
      K: text("num_experts_per_tok"),
    },
    requires: {
      model_type: ["llama4", "llama4_text"],
      [`${text("hidden_act")} ?? 'silu'`]: "silu",
    },
    weights: {
      router: "feed_forward.router.weight",
      gate: { tensor: "feed_forward.experts.gate_up_proj", dims: ["E", "H", "2*I"], part: 0 },
      up: { tensor: "feed_forward.experts.gate_up_proj", dims: ["E", "H", "2*I"], part: 1 },
      down: { tensor: "feed_forward.experts.down_proj", dims: ["E", "I", "H"] },
      sharedGate: "feed_forward.shared_expert.gate_proj.weight",
      sharedUp: "feed_forward.shared_expert.up_proj.weight",
      sharedDown: "feed_forward.shared_expert.down_proj.weight",
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
      sharedGate: Tensor<["I", "H"]>;
      sharedUp: Tensor<["I", "H"]>;
      sharedDown: Tensor<["H", "I"]>;
    },
  ) => {
    const routing = route(linear(x, w.router), {
      score: "none",
      topK: p.K,
      weight: "sigmoid",
      experts: { ffn: p.E },
    });
    const routed = routing.mix(x, (token, e, weight) => {
      const scaled = mul(token, weight);
      return linear(mul(silu(linear(scaled, w.gate[e])), linear(scaled, w.up[e])), w.down[e]);
    });
    return add(linear(mul(silu(linear(x, w.sharedGate)), linear(x, w.sharedUp)), w.sharedDown), routed);
  },
);
