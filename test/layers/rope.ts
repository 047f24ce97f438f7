import { layer, rope, type Tensor } from "unmoor";

export const sizes = [
  { A: 3, D: 64, R: 32 },
  { A: 1, D: 22, R: 6 },
];

const yarn = { kind: "yarn", factor: 40, original: 4096 } as const;

/** Rotary embeddings: both pairings, all or some dimensions, each scaling of the frequencies. */
export const embeddings = layer(
  { A: 3, D: 64, R: 32 },
  (p, x: Tensor<["T", "A", "D"]>, row: Tensor<["T", "D"]>, positions: Tensor<["T"], "i32">) => ({
    half: rope(x, positions, { theta: 10000 }),
    interleaved: rope(x, positions, { theta: 10000, style: "interleaved" }),
    partial: rope(x, positions, { theta: 500000, rotary: p.R }),
    end: rope(row, positions, { theta: 10000, style: "interleaved", start: p.D - p.R }),
    linear: rope(row, positions, { theta: 10000, scaling: { kind: "linear", factor: 4 } }),
    llama3: rope(row, positions, {
      theta: 500000,
      scaling: { kind: "llama3", factor: 8, low: 1, high: 4, original: 8192 },
    }),
    yarn: rope(x, positions, { theta: 150000, scaling: { ...yarn, truncate: false } }),
    deepseek: rope(x, positions, {
      theta: 10000,
      style: "interleaved",
      scaling: { ...yarn, mscale: 1, mscaleAllDim: 1 },
    }),
  }),
);
