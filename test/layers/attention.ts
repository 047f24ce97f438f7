import { attention, layer, type Tensor } from "unmoor";

export const sizes = [
  { A: 2, G: 1, D: 10, M: 21, W: 5 },
  { A: 2, G: 2, D: 72, M: 64, W: 70 },
];

/** Causal or not, several query heads for each key head, a window, sinks, and earlier keys. */
export const attentions = layer(
  { A: 4, G: 2, D: 32, M: 32, W: 4 },
  (
    p,
    q: Tensor<["T", "A", "D"]>,
    k: Tensor<["S", "G", "D"]>,
    v: Tensor<["S", "G", "M"]>,
    keys: Tensor<["P+T", "G", "D"]>,
    values: Tensor<["P+T", "G", "M"]>,
    w: { sinks: Tensor<["A"]> },
  ) => ({
    full: attention(q, k, v, { causal: false }),
    causal: attention(q, keys, values),
    window: attention(q, keys, values, { window: p.W, sinks: w.sinks }),
    capped: attention(q, k, v, { scale: 0.5, softCap: 3, sinks: w.sinks }),
  }),
);
