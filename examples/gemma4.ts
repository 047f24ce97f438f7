import { add, layer, linear, map, mul, rmsNorm, route, slice, type Tensor, tanh } from "unmoor";

/** A key of the text model, whose config stands alone or inside that of a multimodal model. */
const text = (key: string) => `text_config.${key} ?? ${key}`;

/** GELU in its form with tanh, of the gate. */
const geglu = (gate: number, up: number) =>
  0.5 * gate * (1 + tanh(0.7978845608028654 * (gate + 0.044715 * gate ** 3))) * up;

/**
 * Gemma-4's feed-forward part (26B-A4B): a dense branch beside the experts, each with its own norms; the router reads the residual
 * through a norm without weights, and each expert has a scale.
 * Source: huggingface/transformers, models/gemma4 (Gemma4TextRouter, Gemma4TextExperts, Gemma4TextDecoderLayer). x is the
 * residual; the layer gives what is added to it, before layer_scalar.
 */
export const gemma4Moe = layer(
  { H: 2816, I: 704, D: 2112, E: 128, K: 8, epsilon: 1e-6 },
  {
    config: {
      H: text("hidden_size"),
      I: text("moe_intermediate_size"),
      D: text("intermediate_size"),
      E: text("num_experts"),
      K: text("top_k_experts"),
      epsilon: text("rms_norm_eps"),
    },
    requires: {
      [text("hidden_activation")]: "gelu_pytorch_tanh",
      [text("enable_moe_block")]: true,
    },
    weights: {
      router: "router.proj.weight",
      routerScale: "router.scale",
      expertScale: "router.per_expert_scale",
      denseNorm: "pre_feedforward_layernorm.weight",
      expertNorm: "pre_feedforward_layernorm_2.weight",
      afterDense: "post_feedforward_layernorm_1.weight",
      afterExperts: "post_feedforward_layernorm_2.weight",
      after: "post_feedforward_layernorm.weight",
      denseGate: "mlp.gate_proj.weight",
      denseUp: "mlp.up_proj.weight",
      denseDown: "mlp.down_proj.weight",
      both: "experts.gate_up_proj",
      down: "experts.down_proj",
    },
  },
  (
    p,
    x: Tensor<["T", "H"]>,
    w: {
      router: Tensor<["E", "H"], "f32">;
      routerScale: Tensor<["H"], "f32">;
      expertScale: Tensor<["E"], "f32">;
      denseNorm: Tensor<["H"], "f32">;
      expertNorm: Tensor<["H"], "f32">;
      afterDense: Tensor<["H"], "f32">;
      afterExperts: Tensor<["H"], "f32">;
      after: Tensor<["H"], "f32">;
      denseGate: Tensor<["D", "H"]>;
      denseUp: Tensor<["D", "H"]>;
      denseDown: Tensor<["H", "D"]>;
      both: Tensor<["E", "2*I", "H"]>;
      down: Tensor<["E", "H", "I"]>;
    },
  ) => {
    const norm = (v: Tensor<["T", "H"]>, weight: Tensor<["H"]>) => rmsNorm(v, { weight, epsilon: p.epsilon });
    const seen = mul(norm(x, w.routerScale), p.H ** -0.5);
    const routing = route(linear(seen, w.router), {
      score: "softmax",
      topK: p.K,
      renormalise: "sum",
      expertScale: w.expertScale,
      experts: { ffn: p.E },
    });
    const routed = routing.mix(norm(x, w.expertNorm), (token, e) => {
      const both = linear(token, w.both[e]);
      return linear(map(slice(both, 0, p.I), slice(both, p.I, p.I), geglu), w.down[e]);
    });
    const own = norm(x, w.denseNorm);
    const dense = linear(map(linear(own, w.denseGate), linear(own, w.denseUp), geglu), w.denseDown);
    return norm(add(norm(dense, w.afterDense), norm(routed, w.afterExperts)), w.after);
  },
);
