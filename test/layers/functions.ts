import { cos, erf, floor, layer, map, mul, sin, type Tensor } from "unmoor";

export const sizes = [{ N: 1 }, { N: 37 }, { N: 129 }];

/** Functions of numbers that examples do not use: angles up to 2^20 radians, composite functions inside each other and of scalars. */
export const functions = layer(
  { N: 64 },
  (_p, x: Tensor<["T", "N"]>, w: { shift: Tensor<["N"]>; one: Tensor<[1]> }) => {
    const angles = mul(floor(mul(x, 2 ** 20 - 2)), 1);
    return {
      floors: floor(mul(x, 9)),
      sines: sin(angles),
      cosines: cos(angles),
      small: map(
        x,
        w.shift,
        w.one,
        (v, shift, one) => Math.sin(3 * v + shift) * Math.cos(Math.sin(one)) + Math.cos(v) ** 2,
      ),
      gelu: map(mul(x, 6), (v) => 0.5 * v * (1 + erf(v * Math.SQRT1_2))),
    };
  },
);
