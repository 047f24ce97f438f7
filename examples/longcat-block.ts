import { add, layer, linear, mul, rmsNorm, route, silu, type Tensor } from "unmoor";
import { type MlaPair, mla, mlaOf } from "../models/mla.ts";

/**
 * LongCat-Flash's decoder layer: two latent attentions, two dense FFNs, and experts on a shortcut, whose input is that of the first
 * FFN and whose result joins at the end. Weights of both halves are stacked. Results: the layer's, and what each attention caches.
 * Source: huggingface/transformers, models/longcat_flash (LongcatFlashDecoderLayer, LongcatFlashMLA).
 */
export const longcatBlock = layer(
  {
    H: 6144,
    A: 64,
    Q: 1536,
    L: 512,
    N: 128,
    R: 64,
    V: 128,
    F: 12288,
    I: 2048,
    E: 512,
    Z: 256,
    K: 12,
    scale: 6,
    theta: 1e7,
  },
  {
    config: {
      H: "hidden_size",
      A: "num_attention_heads",
      Q: "q_lora_rank",
      L: "kv_lora_rank",
      N: "qk_nope_head_dim",
      R: "qk_rope_head_dim",
      V: "v_head_dim",
      F: "ffn_hidden_size",
      I: "expert_ffn_hidden_size",
      E: "n_routed_experts",
      Z: "zero_expert_num",
      K: "moe_topk",
      scale: "routed_scaling_factor",
      theta: "rope_theta ?? rope_parameters.rope_theta ?? 1e7",
    },
    requires: {
      "hidden_act ?? 'silu'": "silu",
      "zero_expert_type ?? 'identity'": "identity",
      "norm_topk_prob ?? false": false,
      "router_bias ?? false": false,
      "attention_bias ?? false": false,
      "rms_norm_eps ?? 1e-5": 1e-5,
      "rope_parameters.rope_type ?? rope_scaling.rope_type ?? 'default'": "default",
    },
    weights: {
      inputNorm: "input_layernorm.{e}.weight",
      postNorm: "post_attention_layernorm.{e}.weight",
      queryDown: "self_attn.{e}.q_a_proj.weight",
      queryNorm: "self_attn.{e}.q_a_layernorm.weight",
      queryUp: "self_attn.{e}.q_b_proj.weight",
      latentDown: "self_attn.{e}.kv_a_proj_with_mqa.weight",
      latentNorm: "self_attn.{e}.kv_a_layernorm.weight",
      latentUp: "self_attn.{e}.kv_b_proj.weight",
      out: "self_attn.{e}.o_proj.weight",
      denseGate: "mlps.{e}.gate_proj.weight",
      denseUp: "mlps.{e}.up_proj.weight",
      denseDown: "mlps.{e}.down_proj.weight",
      router: "mlp.router.classifier.weight",
      bias: "mlp.router.e_score_correction_bias",
      gate: "mlp.experts.{e}.gate_proj.weight",
      up: "mlp.experts.{e}.up_proj.weight",
      down: "mlp.experts.{e}.down_proj.weight",
    },
  },
  (
    p,
    x: Tensor<["T", "H"]>,
    positions: Tensor<["T"], "i32">,
    firstCache: Tensor<["P", "L+R"]>,
    secondCache: Tensor<["P", "L+R"]>,
    attentions: MlaPair,
    w: {
      inputNorm: Tensor<[2, "H"], "f32">;
      postNorm: Tensor<[2, "H"], "f32">;
      denseGate: Tensor<[2, "F", "H"]>;
      denseUp: Tensor<[2, "F", "H"]>;
      denseDown: Tensor<[2, "H", "F"]>;
      router: Tensor<["E+Z", "H"], "f32">;
      bias: Tensor<["E+Z"], "f32">;
      gate: Tensor<["E", "I", "H"]>;
      up: Tensor<["E", "I", "H"]>;
      down: Tensor<["E", "H", "I"]>;
    },
  ) => {
    const norm = (v: Tensor<["T", "H"]>, weights: Tensor<[2, "H"], "f32">, i: number) =>
      rmsNorm(v, { weight: weights[i], epsilon: 1e-5 });
    const ffn = (v: Tensor<["T", "H"]>, i: number) =>
      linear(mul(silu(linear(v, w.denseGate[i])), linear(v, w.denseUp[i])), w.denseDown[i]);
    const scales = { queryScale: Math.sqrt(p.H / p.Q), latentScale: Math.sqrt(p.H / p.L) };
    const attend = (v: Tensor<["T", "H"]>, i: number, cache: Tensor<["P", "L+R"]>) => {
      const options = { theta: p.theta, epsilon: 1e-6, ...scales };
      return mla(p, norm(v, w.inputNorm, i), positions, cache, mlaOf(attentions, i), options);
    };

    const first = attend(x, 0, firstCache);
    const a = add(x, first.y);
    const h = norm(a, w.postNorm, 0);
    const experts = { ffn: p.E, identity: p.Z };
    const parts = { score: "softmax", selectBias: w.bias, topK: p.K, scale: p.scale, experts } as const;
    const shortcut = route(linear(h, w.router), parts).mix(h, (token, e) =>
      linear(mul(silu(linear(token, w.gate[e])), linear(token, w.up[e])), w.down[e]),
    );
    const b = add(a, ffn(h, 0));
    const second = attend(b, 1, secondCache);
    const c = add(b, second.y);
    const y = add(add(c, ffn(norm(c, w.postNorm, 1), 1)), shortcut);
    return { y, first: first.latents, second: second.latents };
  },
);
