import { add, cast, layer, map, mul, reshape, type Tensor } from "unmoor";

export const sizes = [{ G: 1 }, { G: 21 }, { G: 129 }];

/** Whole numbers and floats from each other, also along a run-time size, and ends of their ranges. */
export const casts = layer(
  { G: 21 },
  (_p, x: Tensor<["T", "G"], "f32">, ids: Tensor<["T", "G"], "i32">, tokens: Tensor<["T"], "i32">) => ({
    floats: mul(cast(ids, "f32"), x),
    // Products with powers of two are exact, so that no rounding decides.
    whole: cast(mul(x, 1024), "i32"),
    ends: cast(mul(x, 2 ** 33), "i32"),
    none: cast(
      map(x, (v) => v / 0 - v / 0),
      "i32",
    ),
    column: add(reshape(cast(tokens, "f32"), ["T", 1]), 1),
    row: cast(tokens, "f32"),
  }),
);
