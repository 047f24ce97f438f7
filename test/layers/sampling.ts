import { amax, argMax, layer, map, type Tensor } from "unmoor";

/** Vocabularies below a tile, with a rest that no tile divides, and longer than a block of sums. */
export const sizes = [{ V: 7 }, { V: 100 }, { V: 4100, temperature: 1, minP: 0.5 }];

/** The next token of each row of logits, by Gumbel noise among those of at least a share of the most probable one's probability. */
export const sampling = layer(
  { V: 7, temperature: 0.7, minP: 0.2 },
  (p, logits: Tensor<["T", "V"]>, noise: Tensor<["T", "V"]>) =>
    argMax(
      map(logits, amax(logits), noise, (z, most, gumbel) =>
        z - most < p.temperature * Math.log(p.minP) ? -Infinity : z / p.temperature + gumbel,
      ),
    ),
);
