import { concat, layer, linear, reshape, slice, type Tensor, transpose } from "unmoor";

export const sizes = [
  { A: 3, D: 7, G: 5 },
  { A: 2, D: 129, G: 16 },
];

/** Parts of any dimension, of run-time sizes as well, and dimensions in another order. */
export const slices = layer(
  { A: 3, D: 7, G: 5 },
  (
    p,
    x: Tensor<["T", "A", "D"]>,
    cache: Tensor<["P", "A", "D"]>,
    ids: Tensor<["T", "G"], "i32">,
    w: { turned: Tensor<["D", "A", "D"]> },
  ) => {
    const all = concat([cache, x], 0);
    const last = reshape(slice(all, "P", "T", { axis: 0 }), ["T*A", "D"]);
    const y = linear(last, reshape(transpose(w.turned, [1, 2, 0]), ["A*D", "D"]));
    return {
      head: slice(all, 1, p.A - 1, { axis: 1 }),
      columns: slice(x, 3, p.D - 3),
      others: slice(x, 1, 3, { step: 2 }),
      byHead: transpose(x, [1, 0, 2]),
      turned: transpose(x, [2, 0, 1]),
      part: slice(y, p.D, p.D),
      some: slice(ids, 2, 3),
    };
  },
);
