import { layer, type Tensor } from "unmoor";
import { absorbedMla, type MlaWeights, mla } from "../../models/mla.ts";

export const sizes = [{ H: 21, A: 3, Q: 19, L: 17, N: 18, R: 6, V: 21 }];

/** Both forms of latent attention, after P earlier tokens. */
export const latentAttention = layer(
  { H: 32, A: 4, Q: 16, L: 24, N: 16, R: 8, V: 16 },
  (p, x: Tensor<["T", "H"]>, positions: Tensor<["T"], "i32">, cache: Tensor<["P", "L+R"]>, w: MlaWeights) => {
    const options = {
      theta: 10000,
      epsilon: 1e-6,
      queryScale: Math.sqrt(p.H / p.Q),
      latentScale: Math.sqrt(p.H / p.L),
    };
    const plain = mla(p, x, positions, cache, w, options);
    const absorbed = absorbedMla(p, x, positions, cache, w, options);
    return { plain: plain.y, absorbed: absorbed.y, latents: plain.latents };
  },
);
