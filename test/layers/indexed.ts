import { add, gather, layer, linear, map, mul, reshape, scatter, type Tensor } from "unmoor";

export const sizes = [
  { V: 11, D: 7, A: 3 },
  { V: 130, D: 64, A: 2 },
];

/** Rows by their ids, and rows replaced, several by one id. */
export const indexed = layer(
  { V: 11, D: 7, A: 3 },
  (
    _p,
    ids: Tensor<["T"], "i32">,
    pairs: Tensor<["T", 2], "i32">,
    slots: Tensor<["T"], "i32">,
    x: Tensor<["T", "A", "D"]>,
    cache: Tensor<["P", "A", "D"]>,
    w: {
      table: Tensor<["V", "D"]>;
      scales: Tensor<["V"], "f32">;
      out: Tensor<["A", "D"]>;
      rows: Tensor<["V", "A", "D"]>;
    },
  ) => {
    const embedded = gather(w.table, ids);
    const hidden = linear(embedded, w.out);
    // Ids of no row, below and beyond.
    const astray = map(pairs, (id) => id * 3 - 4);
    return {
      embedded,
      nearest: gather(w.rows, astray),
      skipped: scatter(
        cache,
        map(slots, (id) => id * 2 - 2),
        x,
      ),
      scaled: mul(hidden, reshape(gather(w.scales, ids), ["T", 1])),
      pairs: gather(w.rows, pairs),
      cached: gather(scatter(cache, slots, add(x, 1)), slots),
      table: scatter(w.rows, ids, x),
    };
  },
);
