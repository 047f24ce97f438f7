import { headLinear, layer, type Tensor, transpose } from "unmoor";

export const sizes = [
  { A: 3, K: 64, N: 33 },
  { A: 5, K: 21, N: 12 },
];

/** A product per head, and one with weights that are turned at load. */
export const heads = layer(
  { A: 4, K: 32, N: 16 },
  (_p, x: Tensor<["T", "A", "K"]>, w: { up: Tensor<["A", "N", "K"]>; back: Tensor<["A", "N", "K"]> }) => {
    const y = headLinear(x, w.up);
    return { y, z: headLinear(y, transpose(w.back, [0, 2, 1])) };
  },
);
