import {
  amax,
  amin,
  argMax,
  cumsum,
  layer,
  layerNorm,
  map,
  mean,
  mul,
  reshape,
  rmsNorm,
  softmax,
  sum,
  type Tensor,
} from "unmoor";

/** Rows of one element, of a whole tile, with a rest that no tile divides, and longer than a block of sums. */
export const sizes = [{ N: 1, A: 16 }, { N: 37 }, { N: 4100, A: 1 }];

/** What works along rows: of one token, and of each of its heads. */
export const rows = layer(
  { N: 64, A: 3 },
  (
    _p,
    x: Tensor<["T", "A*N"]>,
    ids: Tensor<["T", "A*N"], "i32">,
    w: { weight: Tensor<["N"]>; bias: Tensor<["N"]>; all: Tensor<["A*N"]> },
  ) => {
    const heads = reshape(x, ["T", "A", "N"]);
    const statistics = map(sum(x), mean(x), amax(x), (s, m, largest) => s * m + largest);
    return {
      statistics,
      smallest: amin(mul(heads, w.weight)),
      rms: rmsNorm(x, { epsilon: 1e-6 }),
      offset: rmsNorm(heads, { weight: w.weight, epsilon: 1e-5, unitOffset: true }),
      normed: layerNorm(heads, { weight: w.weight, bias: w.bias, epsilon: 1e-5 }),
      plain: layerNorm(x, { weight: w.all, epsilon: 0.5 }),
      shares: softmax(mul(heads, 5)),
      sums: cumsum(x),
      places: cumsum(map(ids, (id) => (id > 0 ? 1 : -2))),
      // Long rows have several largest elements; of scaled ones rounding may choose.
      best: argMax(x),
      bestOfHeads: argMax(mul(heads, w.weight)),
    };
  },
);
