import { concat, layer, linear, map, reshape, type Tensor } from "unmoor";

export const sizes = [
  { H: 12, A: 4, D: 6, G: 5 },
  { H: 37, A: 3, D: 17, G: 1 },
  { H: 64, A: 2, D: 512, G: 16 },
];

/** Elements moved: heads split and joined, tensors one after the other, weights in other dimensions. */
export const shapes = layer(
  { H: 12, A: 4, D: 6, G: 5 },
  (
    _p,
    x: Tensor<["T", "A*D"]>,
    cache: Tensor<["P", "A", "D"]>,
    ids: Tensor<["T", "A", "G"], "i32">,
    w: { own: Tensor<["A*D", "A*D"]>; halves: Tensor<[2, "H", "A*D"]> },
  ) => {
    const heads = reshape(x, ["T", "A", "D"]);
    const doubled = map(heads, (v) => v * 2);
    const flat = reshape(doubled, ["T", "A*D"]);
    const y = linear(flat, w.own);
    const rows = map(reshape(flat, ["T*A", "D"]), (v) => v * 3);
    return {
      all: concat([cache, heads], 0),
      turned: reshape(concat([y, flat, y], -1), ["A", "T", "3*D"]),
      product: linear(concat([y, flat], -1), reshape(w.halves, ["H", "A*D+A*D"])),
      rows: map(reshape(reshape(rows, ["T", "A", "D"]), ["T*D", "A"]), (v) => v + 1),
      ids: reshape(concat([ids, ids], 1), ["T", "2*A*G"]),
    };
  },
);
