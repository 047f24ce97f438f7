/**
 * Every example as its model is published: a config.json in small sizes, and the checkpoint of one layer, written out by hand
 * from the layer's weights. Nothing here reads the examples' bindings.
 */

/** A tensor of the test: its elements, row-major. */
export interface Values {
  readonly shape: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

export type Weights = Readonly<Record<string, Values>>;

interface Model {
  readonly config: Readonly<Record<string, unknown>>;
  /** What the config means for the layer. */
  readonly params: Readonly<Record<string, number>>;
  readonly prefix: string;
  /** The published tensors, without the prefix, of the layer's weights. */
  publish(w: Weights): Weights;
}

const make = (shape: readonly number[], element: (...at: number[]) => number): Values => {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  const at = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = element(...at);
    for (let d = shape.length - 1; d >= 0 && ++at[d] === shape[d]; d--) at[d] = 0;
  }
  return { shape, data };
};

/** One element of a tensor. */
const at = ({ shape, data }: Values, ...index: number[]): number =>
  Number(data[index.reduce((offset, i, d) => offset * shape[d] + i, 0)]);

/** Tensors of experts, by a name with {e}. */
const split = (name: string, t: Values): Weights => {
  const [experts = 0, ...shape] = t.shape;
  const size = t.data.length / experts;
  return Object.fromEntries(
    Array.from({ length: experts }, (_, e) => [
      name.replace("{e}", String(e)),
      { shape, data: t.data.slice(e * size, (e + 1) * size) },
    ]),
  );
};

const swiglu = (prefix: string, w: Weights, gate = "gate_proj", up = "up_proj", down = "down_proj"): Weights => ({
  ...split(`${prefix}.{e}.${gate}.weight`, w.gate),
  ...split(`${prefix}.{e}.${up}.weight`, w.up),
  ...split(`${prefix}.{e}.${down}.weight`, w.down),
});

const shared = (prefix: string, w: Weights, gate = "gate_proj", up = "up_proj", down = "down_proj"): Weights => ({
  [`${prefix}.${gate}.weight`]: w.sharedGate,
  [`${prefix}.${up}.weight`]: w.sharedUp,
  [`${prefix}.${down}.weight`]: w.sharedDown,
});

const deepseekV4 = {
  model_type: "deepseek_v4",
  hidden_size: 24,
  moe_intermediate_size: 16,
  n_routed_experts: 6,
  n_shared_experts: 1,
  num_experts_per_tok: 2,
  scoring_func: "sqrtsoftplus",
  norm_topk_prob: true,
  routed_scaling_factor: 1.5,
  swiglu_limit: 10.0,
  vocab_size: 9,
};

export const models: Readonly<Record<string, Model>> = {
  mixtral: {
    config: {
      architectures: ["MixtralForCausalLM"],
      model_type: "mixtral",
      hidden_size: 24,
      intermediate_size: 16,
      num_local_experts: 5,
      num_experts_per_tok: 2,
      hidden_act: "silu",
      sliding_window: null,
    },
    params: { H: 24, I: 16, E: 5, K: 2 },
    prefix: "model.layers.7.",
    publish: (w) => ({
      "block_sparse_moe.gate.weight": w.router,
      ...swiglu("block_sparse_moe.experts", w, "w1", "w3", "w2"),
    }),
  },
  "phi35-moe": {
    config: {
      model_type: "phimoe",
      hidden_size: 24,
      intermediate_size: 16,
      num_local_experts: 5,
      num_experts_per_tok: 2,
      hidden_act: "silu",
      router_jitter_noise: 0.25,
    },
    params: { H: 24, I: 16, E: 5, K: 2, jitter: 0.25 },
    prefix: "model.layers.0.",
    publish: (w) => ({
      "block_sparse_moe.gate.weight": w.router,
      ...swiglu("block_sparse_moe.experts", w, "w1", "w3", "w2"),
    }),
  },
  olmoe: {
    config: {
      model_type: "olmoe",
      hidden_size: 24,
      intermediate_size: 16,
      num_experts: 6,
      num_experts_per_tok: 3,
      hidden_act: "silu",
      norm_topk_prob: false,
    },
    params: { H: 24, I: 16, E: 6, K: 3 },
    prefix: "model.layers.15.",
    publish: (w) => ({ "mlp.gate.weight": w.router, ...swiglu("mlp.experts", w) }),
  },
  "qwen3-moe": {
    config: {
      model_type: "qwen3_moe",
      hidden_size: 24,
      intermediate_size: 80,
      moe_intermediate_size: 16,
      num_experts: 6,
      num_experts_per_tok: 3,
      hidden_act: "silu",
      norm_topk_prob: true,
    },
    params: { H: 24, I: 16, E: 6, K: 3 },
    prefix: "model.layers.3.",
    publish: (w) => ({ "mlp.gate.weight": w.router, ...swiglu("mlp.experts", w) }),
  },
  "qwen2-moe": {
    config: {
      model_type: "qwen2_moe",
      hidden_size: 24,
      intermediate_size: 80,
      moe_intermediate_size: 16,
      shared_expert_intermediate_size: 40,
      num_experts: 6,
      num_experts_per_tok: 3,
      hidden_act: "silu",
      norm_topk_prob: false,
    },
    params: { H: 24, I: 16, S: 40, E: 6, K: 3 },
    prefix: "model.layers.3.",
    publish: (w) => ({
      "mlp.gate.weight": w.router,
      ...swiglu("mlp.experts", w),
      ...shared("mlp.shared_expert", w),
      "mlp.shared_expert_gate.weight": w.sharedSwitch,
    }),
  },
  "granite-moe": {
    config: {
      model_type: "granitemoe",
      hidden_size: 24,
      intermediate_size: 16,
      num_local_experts: 5,
      num_experts_per_tok: 2,
      hidden_act: "silu",
      residual_multiplier: 0.22,
    },
    params: { H: 24, I: 16, E: 5, K: 2 },
    prefix: "model.layers.2.",
    publish: (w) => ({
      "block_sparse_moe.router.layer.weight": w.router,
      "block_sparse_moe.input_linear.weight": w.both,
      "block_sparse_moe.output_linear.weight": w.down,
    }),
  },
  dbrx: {
    config: {
      model_type: "dbrx",
      d_model: 24,
      ffn_config: {
        ffn_act_fn: { name: "silu" },
        ffn_hidden_size: 16,
        moe_num_experts: 5,
        moe_top_k: 2,
        moe_normalize_expert_weights: 1,
      },
    },
    params: { H: 24, I: 16, E: 5, K: 2, norm: 1 },
    prefix: "transformer.blocks.11.",
    publish: (w) => ({
      "ffn.router.layer.weight": w.router,
      "ffn.experts.mlp.w1": { shape: [80, 24], data: w.gate.data },
      "ffn.experts.mlp.v1": { shape: [80, 24], data: w.up.data },
      "ffn.experts.mlp.w2": make([80, 24], (row, h) => at(w.down, Math.floor(row / 16), h, row % 16)),
    }),
  },
  "gpt-oss": {
    config: {
      model_type: "gpt_oss",
      hidden_size: 24,
      intermediate_size: 16,
      num_local_experts: 5,
      num_experts_per_tok: 2,
      experts_per_token: 2,
      hidden_act: "silu",
      swiglu_limit: 7.0,
    },
    params: { H: 24, I: 16, E: 5, K: 2, alpha: 1.702, limit: 7 },
    prefix: "model.layers.0.",
    publish: (w) => ({
      "mlp.router.weight": w.router,
      "mlp.router.bias": w.routerBias,
      "mlp.experts.gate_up_proj": make([5, 24, 32], (e, h, n) => at(w.gateUp, e, n, h)),
      "mlp.experts.gate_up_proj_bias": w.gateUpBias,
      "mlp.experts.down_proj": make([5, 16, 24], (e, i, h) => at(w.down, e, h, i)),
      "mlp.experts.down_proj_bias": w.downBias,
    }),
  },
  llama4: {
    config: {
      model_type: "llama4",
      text_config: {
        model_type: "llama4_text",
        hidden_size: 24,
        intermediate_size: 16,
        intermediate_size_mlp: 96,
        num_local_experts: 5,
        num_experts_per_tok: 1,
        hidden_act: "silu",
      },
      vision_config: { hidden_size: 99, hidden_act: "gelu" },
    },
    params: { H: 24, I: 16, E: 5, K: 1 },
    prefix: "language_model.model.layers.1.",
    publish: (w) => ({
      "feed_forward.router.weight": w.router,
      "feed_forward.experts.gate_up_proj": make([5, 24, 32], (e, h, n) =>
        n < 16 ? at(w.gate, e, n, h) : at(w.up, e, n - 16, h),
      ),
      "feed_forward.experts.down_proj": make([5, 16, 24], (e, i, h) => at(w.down, e, h, i)),
      ...shared("feed_forward.shared_expert", w),
    }),
  },
  gemma4: {
    config: {
      model_type: "gemma4",
      text_config: {
        model_type: "gemma4_text",
        hidden_size: 24,
        intermediate_size: 40,
        moe_intermediate_size: 16,
        num_experts: 6,
        top_k_experts: 2,
        enable_moe_block: true,
        hidden_activation: "gelu_pytorch_tanh",
        rms_norm_eps: 1e-6,
      },
    },
    params: { H: 24, I: 16, D: 40, E: 6, K: 2, epsilon: 1e-6 },
    prefix: "model.language_model.layers.4.",
    publish: (w) => ({
      "router.proj.weight": w.router,
      "router.scale": w.routerScale,
      "router.per_expert_scale": w.expertScale,
      "pre_feedforward_layernorm.weight": w.denseNorm,
      "pre_feedforward_layernorm_2.weight": w.expertNorm,
      "post_feedforward_layernorm_1.weight": w.afterDense,
      "post_feedforward_layernorm_2.weight": w.afterExperts,
      "post_feedforward_layernorm.weight": w.after,
      "mlp.gate_proj.weight": w.denseGate,
      "mlp.up_proj.weight": w.denseUp,
      "mlp.down_proj.weight": w.denseDown,
      "experts.gate_up_proj": w.both,
      "experts.down_proj": w.down,
    }),
  },
  "deepseek-v2": {
    config: {
      model_type: "deepseek_v2",
      hidden_size: 24,
      moe_intermediate_size: 16,
      n_shared_experts: 2,
      n_routed_experts: 6,
      num_experts_per_tok: 2,
      n_group: 3,
      topk_group: 2,
      topk_method: "group_limited_greedy",
      scoring_func: "softmax",
      norm_topk_prob: false,
      routed_scaling_factor: 16.0,
      hidden_act: "silu",
    },
    params: { H: 24, I: 16, S: 32, E: 6, K: 2, G: 3, M: 2, scale: 16 },
    prefix: "model.layers.1.",
    publish: (w) => ({
      "mlp.gate.weight": w.router,
      ...swiglu("mlp.experts", w),
      ...shared("mlp.shared_experts", w),
    }),
  },
  "deepseek-v3": {
    config: {
      model_type: "deepseek_v3",
      hidden_size: 24,
      moe_intermediate_size: 16,
      n_shared_experts: 1,
      n_routed_experts: 8,
      num_experts_per_tok: 2,
      n_group: 4,
      topk_group: 2,
      topk_method: "noaux_tc",
      scoring_func: "sigmoid",
      norm_topk_prob: true,
      routed_scaling_factor: 2.5,
      hidden_act: "silu",
    },
    params: { H: 24, I: 16, S: 16, E: 8, K: 2, G: 4, M: 2, scale: 2.5 },
    prefix: "model.layers.3.",
    publish: (w) => ({
      "mlp.gate.weight": w.router,
      "mlp.gate.e_score_correction_bias": w.bias,
      ...swiglu("mlp.experts", w),
      ...shared("mlp.shared_experts", w),
    }),
  },
  "deepseek-v4": {
    config: deepseekV4,
    params: { H: 24, I: 16, E: 6, K: 2, scale: 1.5, limit: 10 },
    prefix: "layers.5.",
    publish: (w) => ({
      "ffn.gate.weight": w.router,
      "ffn.gate.bias": w.bias,
      ...swiglu("ffn.experts", w, "w1", "w3", "w2"),
      ...shared("ffn.shared_experts", w, "w1", "w3", "w2"),
    }),
  },
  "deepseek-v4-hash": {
    config: deepseekV4,
    params: { H: 24, I: 16, E: 6, K: 2, V: 9, scale: 1.5, limit: 10 },
    prefix: "layers.0.",
    publish: (w) => ({
      "ffn.gate.weight": w.router,
      "ffn.gate.tid2eid": w.table,
      ...swiglu("ffn.experts", w, "w1", "w3", "w2"),
      ...shared("ffn.shared_experts", w, "w1", "w3", "w2"),
    }),
  },
  "longcat-block": {
    config: {
      model_type: "longcat_flash",
      hidden_size: 24,
      num_attention_heads: 2,
      q_lora_rank: 20,
      kv_lora_rank: 12,
      qk_nope_head_dim: 8,
      qk_rope_head_dim: 4,
      v_head_dim: 6,
      ffn_hidden_size: 28,
      expert_ffn_hidden_size: 16,
      n_routed_experts: 5,
      zero_expert_num: 3,
      zero_expert_type: "identity",
      moe_topk: 3,
      routed_scaling_factor: 6.0,
      router_bias: false,
      attention_bias: false,
      rms_norm_eps: 1e-5,
      rope_theta: 10000000.0,
    },
    params: { H: 24, A: 2, Q: 20, L: 12, N: 8, R: 4, V: 6, F: 28, I: 16, E: 5, Z: 3, K: 3, scale: 6, theta: 1e7 },
    prefix: "model.layers.3.",
    publish: (w) => ({
      ...split("input_layernorm.{e}.weight", w.inputNorm),
      ...split("post_attention_layernorm.{e}.weight", w.postNorm),
      ...split("self_attn.{e}.q_a_proj.weight", w.queryDown),
      ...split("self_attn.{e}.q_a_layernorm.weight", w.queryNorm),
      ...split("self_attn.{e}.q_b_proj.weight", w.queryUp),
      ...split("self_attn.{e}.kv_a_proj_with_mqa.weight", w.latentDown),
      ...split("self_attn.{e}.kv_a_layernorm.weight", w.latentNorm),
      ...split("self_attn.{e}.kv_b_proj.weight", w.latentUp),
      ...split("self_attn.{e}.o_proj.weight", w.out),
      ...split("mlps.{e}.gate_proj.weight", w.denseGate),
      ...split("mlps.{e}.up_proj.weight", w.denseUp),
      ...split("mlps.{e}.down_proj.weight", w.denseDown),
      "mlp.router.classifier.weight": w.router,
      "mlp.router.e_score_correction_bias": w.bias,
      ...swiglu("mlp.experts", w),
    }),
  },
  "longcat-moe": {
    config: {
      model_type: "longcat_flash",
      hidden_size: 24,
      ffn_hidden_size: 48,
      expert_ffn_hidden_size: 16,
      n_routed_experts: 5,
      zero_expert_num: 3,
      zero_expert_type: "identity",
      moe_topk: 3,
      routed_scaling_factor: 6.0,
      norm_topk_prob: false,
      router_bias: false,
    },
    params: { H: 24, I: 16, E: 5, Z: 3, K: 3, scale: 6 },
    prefix: "model.layers.27.",
    publish: (w) => ({
      "mlp.router.classifier.weight": w.router,
      "mlp.router.e_score_correction_bias": w.bias,
      ...swiglu("mlp.experts", w),
    }),
  },
  ernie45: {
    config: {
      model_type: "ernie4_5_moe",
      hidden_size: 24,
      moe_intermediate_size: 16,
      moe_num_experts: 6,
      moe_num_shared_experts: 2,
      moe_k: 2,
      moe_norm_min: 1e-12,
      hidden_act: "silu",
      use_bias: false,
    },
    params: { H: 24, I: 16, S: 32, E: 6, K: 2, least: 1e-12 },
    prefix: "model.layers.1.",
    publish: (w) => ({
      "mlp.gate.weight": w.router,
      "mlp.moe_statics.e_score_correction_bias": { shape: [1, 6], data: w.bias.data },
      ...swiglu("mlp.experts", w),
      ...shared("mlp.shared_experts", w),
    }),
  },
  nemotron3: {
    config: {
      model_type: "nemotron_h",
      hidden_size: 24,
      moe_intermediate_size: 16,
      moe_shared_expert_intermediate_size: 40,
      moe_latent_size: null,
      n_routed_experts: 6,
      n_shared_experts: 1,
      num_experts_per_tok: 2,
      n_group: 1,
      topk_group: 1,
      norm_topk_prob: true,
      routed_scaling_factor: 2.5,
      mlp_hidden_act: "relu2",
      mlp_bias: false,
    },
    params: { H: 24, I: 16, S: 40, E: 6, K: 2, scale: 2.5 },
    prefix: "backbone.layers.1.",
    publish: (w) => ({
      "mixer.gate.weight": w.router,
      "mixer.gate.e_score_correction_bias": w.bias,
      ...split("mixer.experts.{e}.up_proj.weight", w.up),
      ...split("mixer.experts.{e}.down_proj.weight", w.down),
      "mixer.shared_experts.up_proj.weight": w.sharedUp,
      "mixer.shared_experts.down_proj.weight": w.sharedDown,
    }),
  },
  "kimi-k3": {
    config: {
      model_type: "kimi_k3",
      text_config: {
        model_type: "kimi_linear",
        hidden_size: 24,
        routed_expert_hidden_size: 12,
        moe_intermediate_size: 16,
        num_experts: 6,
        num_experts_per_token: 2,
        num_shared_experts: 2,
        num_expert_group: 1,
        topk_group: 1,
        hidden_act: "situ",
        activation_situ_beta: 4.0,
        activation_situ_linear_beta: 25.0,
        latent_moe_use_norm: true,
        moe_renormalize: true,
        moe_router_activation_func: "sigmoid",
        rms_norm_eps: 1e-5,
        routed_scaling_factor: 1.0,
      },
    },
    params: { H: 24, L: 12, I: 16, S: 32, E: 6, K: 2, beta: 4, linearBeta: 25, epsilon: 1e-5 },
    prefix: "language_model.model.layers.11.",
    publish: (w) => ({
      "block_sparse_moe.gate.weight": w.router,
      "block_sparse_moe.gate.e_score_correction_bias": w.bias,
      "block_sparse_moe.routed_expert_down_proj.weight": w.toLatent,
      "block_sparse_moe.routed_expert_norm.weight": w.latentNorm,
      "block_sparse_moe.routed_expert_up_proj.weight": w.fromLatent,
      ...swiglu("block_sparse_moe.experts", w, "w1", "w3", "w2"),
      ...shared("block_sparse_moe.shared_experts", w),
    }),
  },
};

/** Sizes of published models, as their config.json have them: those that the examples have by default. */
export const published: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  dbrx: {
    d_model: 6144,
    ffn_config: { ffn_hidden_size: 10752, moe_num_experts: 16, moe_top_k: 4, moe_normalize_expert_weights: 1 },
  },
  "deepseek-v3": {
    hidden_size: 7168,
    moe_intermediate_size: 2048,
    n_routed_experts: 256,
    num_experts_per_tok: 8,
    n_group: 8,
    topk_group: 4,
  },
  "deepseek-v4": { hidden_size: 4096, moe_intermediate_size: 2048, n_routed_experts: 256, num_experts_per_tok: 6 },
  ernie45: { hidden_size: 2560, moe_intermediate_size: 1536, moe_num_experts: 64, moe_k: 6, moe_gate_act: null },
  gemma4: {
    text_config: {
      hidden_size: 2816,
      intermediate_size: 2112,
      moe_intermediate_size: 704,
      num_experts: 128,
      top_k_experts: 8,
      enable_moe_block: true,
      hidden_activation: "gelu_pytorch_tanh",
      rms_norm_eps: 1e-6,
    },
  },
  "gpt-oss": { hidden_size: 2880, intermediate_size: 2880, num_local_experts: 32, num_experts_per_tok: 4 },
  "granite-moe": { hidden_size: 1024, intermediate_size: 512, num_local_experts: 32, num_experts_per_tok: 8 },
  "kimi-k3": {
    text_config: {
      hidden_size: 7168,
      routed_expert_hidden_size: 3584,
      moe_intermediate_size: 3072,
      num_experts: 896,
      num_experts_per_token: 16,
      num_shared_experts: 2,
      hidden_act: "situ",
      activation_situ_beta: 4.0,
      activation_situ_linear_beta: 25.0,
      latent_moe_use_norm: true,
      moe_renormalize: true,
      moe_router_activation_func: "sigmoid",
      rms_norm_eps: 0.00001,
    },
  },
  llama4: {
    text_config: { hidden_size: 5120, intermediate_size: 8192, num_local_experts: 16, num_experts_per_tok: 1 },
  },
  "longcat-moe": {
    hidden_size: 6144,
    expert_ffn_hidden_size: 2048,
    n_routed_experts: 512,
    zero_expert_num: 256,
    moe_topk: 12,
  },
  olmoe: { hidden_size: 2048, intermediate_size: 1024, num_experts: 64, num_experts_per_tok: 8 },
  "phi35-moe": { hidden_size: 4096, intermediate_size: 6400, num_local_experts: 16, router_jitter_noise: 0.01 },
  "qwen2-moe": {
    hidden_size: 2048,
    moe_intermediate_size: 1408,
    shared_expert_intermediate_size: 5632,
    num_experts: 60,
    num_experts_per_tok: 4,
  },
  "qwen3-moe": { hidden_size: 2048, moe_intermediate_size: 768, num_experts: 128, num_experts_per_tok: 8 },
};
