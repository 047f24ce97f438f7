import { add, div, gather, layer, linear, ngramIds, reshape, slice, type Tensor } from "unmoor";

export const sizes = [
  { H: 24, W: 6, V: 163840, M: 9 },
  { H: 37, W: 17, V: 11, M: 130 },
];

/** (E[token] + Σ_t P_t·T_t[id_t]) / (1 + tables): each table is found by its own column of n-gram ids. */
function embed(
  own: Tensor<["T", "H"]>,
  ids: Tensor<["T", string | number], "i32">,
  tables: readonly { readonly table: Tensor<[string, "W"]>; readonly projection: Tensor<["H", "W"]> }[],
): Tensor<["T", "H"], "f32"> {
  let sum: Tensor<["T", "H"]> = own;
  let column = 0;
  for (const { table, projection } of tables) {
    const found = gather(table, reshape(slice(ids, column, 1), ["T"]));
    sum = add(sum, linear(found, projection));
    column += 1;
  }
  return div(sum, 1 + tables.length);
}

/** LongCat-Flash's input embedding, with n-grams of two and three tokens and one table for each. */
export const ngrams = layer(
  { H: 24, W: 6, V: 163840, M: 9, eos: 2 },
  (
    p,
    tokens: Tensor<["T"], "i32">,
    previous: Tensor<[2], "i32">,
    x: Tensor<["T", "H"]>,
    w: {
      table0: Tensor<["M+1", "W"]>;
      table1: Tensor<["M+3", "W"]>;
      projection0: Tensor<["H", "W"]>;
      projection1: Tensor<["H", "W"]>;
    },
  ) => {
    const ids = ngramIds(tokens, previous, { heads: 1, rows: p.M, vocab: p.V, eos: p.eos });
    const embedding = embed(x, ids, [
      { table: w.table0, projection: w.projection0 },
      { table: w.table1, projection: w.projection1 },
    ]);
    return { ids, embedding, wide: ngramIds(tokens, previous, { heads: 3, rows: 16_480_000, vocab: 163_840 }) };
  },
);
