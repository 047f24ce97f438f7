import type { Dim } from "../../ir/core/dim.ts";
import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { ngramIdsOf } from "../../ir/ops/ngram-ids.ts";
import { type KernelBuilder, kernelBuilder, load } from "../tile/builder.ts";
import { add, eq, floorDiv, int, lt, mod, mul, or, sub } from "../tile/fold.ts";
import type { Schedule } from "./context.ts";
import { kernelName, operandBuffer, originOf, resultOf } from "./elementwise.ts";

/** One block per token: its window, then Horner's rule for each table, with 32-bit numbers only. */
export const scheduleNgramIds: Schedule = (operation, context) => {
  const space = context.target.scratch;
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "ids of hashed n-grams"));
  const tokens = b.read(operandBuffer(operation, 0, context));
  const previous = b.read(operandBuffer(operation, 1, context));
  const y = b.write(context.buffer(resultOf(operation)));
  const { eos, ...sizes } = ngramIdsOf(operation.attributes);
  const [heads, rows, vocab] = [sizes.heads, sizes.rows, sizes.vocab].map((d) => context.size(d)) as [
    number,
    number,
    number,
  ];
  const back = context.size(previous.dims[0] as Dim);
  const token = b.grid("token", tokens.dims[0] as Dim);

  // The window, the newest token first. Where looking back ends, zeros follow.
  const window = b.alloc("window", "i32", [back + 1], space);
  const found = b.alloc("found", "i32", [1], space);
  const open = b.alloc("open", "i32", [1], space);
  b.set(open, 0, 1);
  b.forLoop("j", 0, back + 1, 1, (j) => {
    b.when(
      lt(token, j),
      () => b.set(found, 0, load(previous, sub(add(token, back), j))),
      () => b.set(found, 0, load(tokens, sub(token, j))),
    );
    const ends = eos === undefined ? lt(load(found, 0), 0) : or(lt(load(found, 0), 0), eq(load(found, 0), eos));
    // The token itself may be eos.
    const first = b.letScalar("first", eq(j, 0));
    b.when(
      first,
      () => b.when(lt(load(found, 0), 0), () => b.set(open, 0, 0)),
      () => b.when(ends, () => b.set(open, 0, 0)),
    );
    b.when(
      eq(load(open, 0), 1),
      () => b.set(window, j, load(found, 0)),
      () => b.set(window, j, 0),
    );
  });

  const id = b.alloc("id", "i32", [1], space);
  b.forLoop("t", 0, heads * back, 1, (t) => {
    const size = b.letScalar("size", add(mul(t, 2), rows + 1));
    const length = b.letScalar("length", add(floorDiv(t, heads), 2));
    b.set(id, 0, 0);
    b.forLoop("step", 0, length, 1, (step) => {
      const next = b.letScalar("next", load(window, sub(sub(length, 1), step)));
      const product = timesModulo(b, load(id, 0), vocab, size, rows + 2 * heads * back);
      b.set(id, 0, mod(add(product, mod(next, size)), size));
    });
    b.set(y, [token, t], load(id, 0));
  });
  return [b.build()];
};

/**
 * a·factor mod size, for 0 ≤ a < size ≤ most: the factor in digits so short that no product of one leaves 32 bits.
 */
function timesModulo(b: KernelBuilder, a: ScalarExpr, factor: number, size: ScalarExpr, most: number): ScalarExpr {
  const base = 2 ** Math.floor(Math.log2((2 ** 31 - 1) / most));
  const digits: number[] = [];
  for (let rest = factor; rest > 0; rest = Math.floor(rest / base)) digits.unshift(rest % base);
  const value = b.letScalar("value", a);
  return digits.reduce<ScalarExpr>((sum, digit, i) => {
    const own = mod(mul(value, digit), size);
    if (i === 0) return b.letScalar("partial", own);
    return b.letScalar("partial", mod(add(mod(mul(sum, base), size), own), size));
  }, int(0));
}
