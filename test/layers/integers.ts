import { add, cast, layer, map, min, mul, reshape, type Tensor } from "unmoor";

export const sizes = [{ G: 1 }, { G: 37 }];

/** Whole numbers: positions, masks, quotients and remainders, also along a run-time size. */
export const integers = layer(
  { G: 37, block: 7 },
  (p, x: Tensor<["T", "G"]>, ids: Tensor<["T", "G"], "i32">, tokens: Tensor<["T"], "i32">) => {
    const column = reshape(tokens, ["T", 1]);
    const large = add(mul(ids, 1_000_003), column);
    const mask = map(large, column, (a, b) => (a <= b && !(b === 3) ? 1 : -Math.abs(b)));
    return {
      large,
      quotients: map(large, (a) => Math.floor(a / p.block)),
      remainders: map(large, (a) => a - p.block * Math.floor(a / p.block)),
      mask,
      fewest: min(tokens, 5),
      halves: map(tokens, (a) => Math.floor((a - 1) / 2)),
      masked: mul(x, cast(mask, "f32")),
    };
  },
);
