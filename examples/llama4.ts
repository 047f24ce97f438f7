import { add, layer, linear, mul, route, silu, type Tensor } from "unmoor";

/**
 * Llama-4's MoE: the best logit, its sigmoid multiplies the expert's input; a shared expert beside.
 * Source: huggingface/transformers, models/llama4 (Llama4TextMoe). The published matrices of the routed experts are stacked and
 * transposed, [E, H, 2I] and [E, I, H]; this layer takes gate, up and down as [E, out, in].
 */
export const llama4Moe = layer(
  { H: 5120, I: 8192, E: 16, K: 1 },
  {
    weights: {
      router: "feed_forward.router.weight",
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
