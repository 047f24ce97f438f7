import { layer, linear, mul, silu, type Tensor } from "unmoor";

export const sizes = [{ int: 5, float: 3 }];

/** Sizes, inputs, weights and results with names that mean something in C, C++, WGSL or the emitted code itself. */
export const switch_ = layer(
  { int: 8, float: 4 },
  (
    _p,
    struct: Tensor<["for", "int"]>,
    auto: Tensor<["block", "int"]>,
    row: Tensor<["threads", "int"]>,
    fn: Tensor<["class", "int"]>,
    w: { while: Tensor<["float", "int"]>; gateUp: Tensor<["float", "int"]>; gate_up: Tensor<["float", "int"]> },
  ) => ({
    return: linear(struct, w.while),
    void: mul(linear(auto, w.gateUp), linear(auto, w.gate_up)),
    tiling: silu(row),
    dims: silu(fn),
  }),
);
