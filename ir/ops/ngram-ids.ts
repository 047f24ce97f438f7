import { IrError } from "../core/diagnostic.ts";
import type { Dim } from "../core/dim.ts";
import type { AttributeMap } from "../core/layer.ts";
import { onlyAttributes, sizeAttribute } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { integers, intsOf } from "./reals.ts";
import { dimAt, expectIds, expectNoRegions, expectOperands, operandAt } from "./shapes.ts";

const op = "ngram_ids";

/** Table t has `rows` + 2t + 1 rows: fewer than this, so that kernels compute with 32 bits. */
const mostRows = 2 ** 30;

export interface NgramIds {
  /** Tables for each length of n-grams. */
  readonly heads: Dim;
  readonly rows: Dim;
  /** The base of the number that an n-gram is. */
  readonly vocab: Dim;
  /** A token before which no n-gram reaches back. */
  readonly eos: number | undefined;
}

export function ngramIdsOf(attributes: AttributeMap): NgramIds {
  onlyAttributes(op, attributes, ["heads", "rows", "vocab", "eos"]);
  const { eos } = attributes;
  if (eos !== undefined && !(typeof eos === "number" && Number.isSafeInteger(eos) && eos >= 0))
    throw new IrError("eos of ngram_ids is no id of a token", "Give a whole number from 0 on, or leave it out.");
  const [heads, rows, vocab] = ["heads", "rows", "vocab"].map((name) => sizeAttribute(op, attributes, name)) as [
    Dim,
    Dim,
    Dim,
  ];
  return { heads, rows, vocab, eos: typeof eos === "number" ? eos : undefined };
}

/**
 * Ids of hashed n-grams. For n = 2 … N and k = 0 … heads − 1, table t = (n − 2)·heads + k:
 * id = (Σ_{j<n} token[i − j]·vocab^j) mod (rows + 2t + 1). Tokens before the first are the last of `previous`. Looking back ends at
 * a negative token, and at `eos` but for token i itself: that token and all before it count 0.
 * Source: LongCat-Flash's input embedding ("over-encoding"), as its serving kernels compute it.
 */
export const ngramIds: OpDefinition = {
  name: op,
  summary:
    "tokens i32[T], previous i32[N − 1] → i32[T, heads·(N − 1)]: for each token the ids of the n-grams that end there",
  infer(operands, attributes, regions) {
    expectOperands(op, operands, 2, 2, "tokens and the tokens before them");
    expectNoRegions(op, regions);
    const [tokens, previous] = [operandAt(operands, 0), operandAt(operands, 1)];
    expectIds(op, "tokens", tokens, 1, "[T]");
    expectIds(op, "previous", previous, 1, "[N - 1]");
    const { heads } = ngramIdsOf(attributes);
    return [{ dtype: "i32", dims: [dimAt(tokens, 0), heads.times(dimAt(previous, 0))] }];
  },
  checkSizes(operands, attributes) {
    const { heads, rows, vocab } = ngramIdsOf(attributes);
    const back = dimAt(operandAt(operands, 1), 0);
    const largest = rows.plus(heads.times(back).times(2)).constant;
    if (largest === undefined || vocab.constant === undefined)
      throw new IrError(
        `the sizes of n-grams are not known when the layer is compiled: previous [${back}], rows ${rows}, vocab ${vocab}`,
        "Make them parameters or whole numbers.",
      );
    if (largest > mostRows || vocab.constant > mostRows)
      throw new IrError(
        `a table of ${largest} rows for a vocabulary of ${vocab} is too large for n-gram ids`,
        `Give tables and a vocabulary of at most ${mostRows}.`,
      );
  },
  evaluate(operands, attributes, _, context) {
    const [tokens, previous] = operands.map(intsOf);
    const { eos, ...sizes } = ngramIdsOf(attributes);
    const [heads, rows, vocab] = [sizes.heads, sizes.rows, sizes.vocab].map((d) => d.evaluate(context.dims));
    const back = previous.length;
    const columns = heads * back;
    const ids = new Int32Array(tokens.length * columns);
    for (let i = 0; i < tokens.length; i++) {
      const window: number[] = [];
      for (let j = 0; j <= back; j++) {
        const token = i - j >= 0 ? tokens[i - j] : previous[back + i - j];
        if (token < 0 || (j > 0 && token === eos)) break;
        window.push(token);
      }
      for (let t = 0; t < columns; t++) {
        const length = Math.min(window.length, Math.floor(t / heads) + 2);
        let id = 0n;
        for (let j = length - 1; j >= 0; j--) id = id * BigInt(vocab) + BigInt(window[j]);
        ids[i * columns + t] = Number(id % BigInt(rows + 2 * t + 1));
      }
    }
    return [integers([tokens.length, columns], ids)];
  },
  flops: () => 0,
};
