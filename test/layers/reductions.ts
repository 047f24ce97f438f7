import { layer, map, mul, sum, type Tensor } from "unmoor";

export const sizes = [{ N: 1 }, { N: 37 }, { N: 129 }];

/** What is computed of whole rows. */
export const reductions = layer({ N: 64 }, (_p, x: Tensor<["T", "N"]>, w: { shift: Tensor<["N"]> }) => {
  const squares = sum(mul(x, x));
  return { squares, shifted: map(x, w.shift, squares, (v, shift, s) => v * s + shift) };
});
