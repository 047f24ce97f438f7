import {
  attention,
  concat,
  expand,
  headLinear,
  linear,
  mul,
  type RopeScaling,
  reshape,
  rmsNorm,
  rope,
  slice,
  type Tensor,
  transpose,
} from "unmoor";

/**
 * Multi-head latent attention: keys and values of all heads are made of one latent per token, and only that is cached, beside one
 * rotated key that all heads share.
 * Source: DeepSeek-AI 2024 (DeepSeek-V2), section 2.1; huggingface/transformers, models/deepseek_v3 and models/longcat_flash.
 *
 * H hidden, A heads, Q and L the widths of the latents of queries and of keys and values; of each head N dimensions without and R
 * with a position, V of a value. T tokens after P earlier ones.
 */
export interface MlaSizes {
  readonly A: number;
  readonly N: number;
  readonly R: number;
  readonly V: number;
  readonly L: number;
}

export interface MlaWeights {
  readonly queryDown: Tensor<["Q", "H"]>;
  readonly queryNorm: Tensor<["Q"]>;
  readonly queryUp: Tensor<["A*N+A*R", "Q"]>;
  /** Of the latent, then of the shared key. */
  readonly latentDown: Tensor<["L+R", "H"]>;
  readonly latentNorm: Tensor<["L"]>;
  /** For each head the key without a position, then the value. */
  readonly latentUp: Tensor<["A*N+A*V", "L"]>;
  readonly out: Tensor<["H", "A*V"]>;
}

/** Weights of two attentions, one after the other along the first dimension. */
export interface MlaPair {
  readonly queryDown: Tensor<[2, "Q", "H"]>;
  readonly queryNorm: Tensor<[2, "Q"], "f32">;
  readonly queryUp: Tensor<[2, "A*N+A*R", "Q"]>;
  readonly latentDown: Tensor<[2, "L+R", "H"]>;
  readonly latentNorm: Tensor<[2, "L"], "f32">;
  readonly latentUp: Tensor<[2, "A*N+A*V", "L"]>;
  readonly out: Tensor<[2, "H", "A*V"]>;
}

export const mlaOf = (w: MlaPair, i: number): MlaWeights => ({
  queryDown: w.queryDown[i],
  queryNorm: w.queryNorm[i],
  queryUp: w.queryUp[i],
  latentDown: w.latentDown[i],
  latentNorm: w.latentNorm[i],
  latentUp: w.latentUp[i],
  out: w.out[i],
});

export interface MlaOptions {
  /** Of the rotary embedding of neighbouring dimensions. */
  readonly theta: number;
  /** Of the norms of both latents. */
  readonly epsilon: number;
  /** Multiply the queries, and the latent of keys and values, after their norms: √(H/Q) and √(H/L) in LongCat-Flash, else 1. */
  readonly queryScale: number;
  readonly latentScale: number;
  /** Frequencies for longer contexts. Default: as they are. */
  readonly scaling?: RopeScaling;
  /** Of the scores. Default 1/√(N+R); DeepSeek multiplies it by what YaRN scales attention by, squared. */
  readonly scale?: number;
}

/** Neighbouring dimensions are turned together. */
const embedding = ({ theta, scaling = undefined }: MlaOptions) => ({ theta, scaling, style: "interleaved" }) as const;

const scaleOf = (p: MlaSizes, { scale = 1 / Math.sqrt(p.N + p.R) }: MlaOptions): number => scale;

/** Queries [T, A, N+R], the last R dimensions rotated. */
const queriesOf = (
  p: MlaSizes,
  x: Tensor<["T", "H"]>,
  positions: Tensor<["T"], "i32">,
  w: MlaWeights,
  o: MlaOptions,
) => {
  const latent = rmsNorm(linear(x, w.queryDown), { weight: w.queryNorm, epsilon: o.epsilon });
  const q = reshape(mul(linear(latent, w.queryUp), o.queryScale), ["T", "A", "N+R"]);
  return rope(q, positions, { ...embedding(o), start: p.N });
};

/** What is cached of each token: its latent, and the rotated key of all heads. */
const latentsOf = (
  p: MlaSizes,
  x: Tensor<["T", "H"]>,
  positions: Tensor<["T"], "i32">,
  w: MlaWeights,
  o: MlaOptions,
) => {
  const down = linear(x, w.latentDown);
  const latent = rmsNorm(slice(down, 0, "L"), { weight: w.latentNorm, epsilon: o.epsilon });
  const key = rope(slice(down, p.L, "R"), positions, embedding(o));
  return concat([mul(latent, o.latentScale), key], 1);
};

/** Keys and values of every head are made of the latents: for many tokens at once. */
export const mla = (
  p: MlaSizes,
  x: Tensor<["T", "H"]>,
  positions: Tensor<["T"], "i32">,
  cache: Tensor<["P", "L+R"]>,
  w: MlaWeights,
  o: MlaOptions,
) => {
  const latents = latentsOf(p, x, positions, w, o);
  const all = concat([cache, latents], 0);
  const heads = reshape(linear(slice(all, 0, "L"), w.latentUp), ["P+T", "A", "N+V"]);
  const shared = expand(reshape(slice(all, p.L, "R"), ["P+T", 1, "R"]), 1, "A");
  const keys = concat([slice(heads, 0, "N"), shared], 2);
  const mixed = attention(queriesOf(p, x, positions, w, o), keys, slice(heads, p.N, "V"), { scale: scaleOf(p, o) });
  return { y: linear(reshape(mixed, ["T", "A*V"]), w.out), latents };
};

/**
 * The same, in the space of the latents: queries go there by the matrices that make keys, and what is mixed there becomes values
 * at the end. No key or value is made of a cached token, which is what counts where there are few new ones.
 */
export const absorbedMla = (
  p: MlaSizes,
  x: Tensor<["T", "H"]>,
  positions: Tensor<["T"], "i32">,
  cache: Tensor<["P", "L+R"]>,
  w: MlaWeights,
  o: MlaOptions,
) => {
  const latents = latentsOf(p, x, positions, w, o);
  const all = concat([cache, latents], 0);
  const up = reshape(w.latentUp, ["A", "N+V", "L"]);
  const toLatent = transpose(slice(up, 0, "N", { axis: 1 }), [0, 2, 1]);
  const queries = queriesOf(p, x, positions, w, o);
  const moved = concat([headLinear(slice(queries, 0, "N"), toLatent), slice(queries, p.N, "R")], 2);
  const mixed = attention(moved, reshape(all, ["P+T", 1, "L+R"]), reshape(slice(all, 0, "L"), ["P+T", 1, "L"]), {
    scale: scaleOf(p, o),
  });
  const values = headLinear(mixed, slice(up, p.N, "V", { axis: 1 }));
  return { y: linear(reshape(values, ["T", "A*V"]), w.out), latents };
};
