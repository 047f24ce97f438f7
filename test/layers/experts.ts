import { add, layer, linear, mul, route, silu, slice, type Tensor } from "unmoor";

export const sizes = [
  { H: 5, I: 3, E: 4, Z: 2, C: 3, O: 1, K: 3 },
  { H: 17, I: 19, E: 7, Z: 1, C: 2, O: 2, K: 4 },
];

/** Every kind of expert under one router with all parts that go together; and bodies that weigh themselves, with biases. */
export const experts = layer(
  { H: 32, I: 16, E: 8, Z: 2, C: 3, O: 1, K: 4 },
  (
    p,
    x: Tensor<["T", "H"]>,
    w: {
      router: Tensor<["E+Z+C+O", "H"], "f32">;
      bias: Tensor<["E+Z+C+O"], "f32">;
      scales: Tensor<["E+Z+C+O"], "f32">;
      own: Tensor<["E", "H"], "f32">;
      constants: Tensor<["C", "H"]>;
      both: Tensor<["E", "2*I", "H"]>;
      shift: Tensor<["E", "2*I"]>;
      down: Tensor<["E", "H", "I"]>;
    },
  ) => {
    const routing = route(linear(x, w.router), {
      score: "sqrt-softplus",
      selectBias: w.bias,
      topK: p.K,
      renormalise: { norm: 2 },
      scale: 1.5,
      expertScale: w.scales,
      experts: { ffn: p.E, identity: p.Z, constant: w.constants, zero: p.O },
    });
    const expert = (both: Tensor<["2*I"]>) =>
      mul(silu(slice(both, 1, "I", { step: 2 })), slice(both, 0, "I", { step: 2 }));
    const mixed = routing.mix(x, (token, e) => linear(expert(add(linear(token, w.both[e]), w.shift[e])), w.down[e]));
    const logits = linear(x, w.own);
    const second = route(logits, { score: (z) => 1 / (1 + z * z), topK: 1, experts: { ffn: p.E } });
    const own = second.mix(x, (token, e, weight) =>
      linear(mul(expert(linear(mul(token, weight), w.both[e])), weight), w.down[e]),
    );
    return { mixed, ids: routing.ids, weights: routing.weights, own };
  },
);
