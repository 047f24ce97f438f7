import { IrError } from "../../ir/core/diagnostic.ts";
import { at, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, dimExpr, eq, int, min, mul, sub } from "../tile/fold.ts";
import type { Schedule } from "./context.ts";
import { kernelName, originOf } from "./elementwise.ts";
import { describeProduct } from "./product.ts";

/**
 * Products on a matrix unit. A block takes a stretch of output columns of one weight matrix and walks the rows that belong to
 * it; tiles pass global → L1 → L0A/L0B, sums gather in L0C over the inner dimension and go to global memory in f32.
 */
export const scheduleCubeProduct: Schedule = (operation, context) => {
  const { matmul } = context.target;
  if (matmul.kind !== "cube") throw new IrError("this target has no matrix unit", "Use its own schedule.");
  const p = describeProduct(operation, context);
  const [w] = p.weights;
  if (p.epilogue || p.gather || p.packed || !w)
    throw new IrError("a matrix unit multiplies rows by one weight, without an epilogue", "Leave the product unfused.");
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, p.summary));
  b.read(p.x);
  if (p.offsets) b.read(p.offsets);
  b.read(w);
  b.write(p.y);

  const { rows, columns, depth } = matmul;
  const expert = b.grid("expert", p.experts);
  const block = b.grid("block", Math.ceil(p.columns / columns));
  const first = p.offsets ? b.letScalar("first", load(p.offsets, expert)) : int(0);
  const count = p.offsets ? b.letScalar("count", sub(load(p.offsets, add(expert, 1)), first)) : dimExpr(p.rows);
  const n = b.letScalar("n", mul(block, columns));
  const validColumns = b.letScalar("valid_columns", min(sub(p.columns, n), columns));
  const lead = p.offsets || p.heads ? [at(expert)] : [];
  const head = p.heads ? [at(expert)] : [];
  b.forLoop("row", 0, count, rows, (row) => {
    const top = b.letScalar("top", add(first, row));
    const validRows = b.letScalar("valid_rows", min(sub(count, row), rows));
    const sums = b.alloc("sums", "f32", [rows, columns], "l0c");
    b.forLoop("k", 0, p.inner, depth, (k) => {
      const validDepth = b.letScalar("valid_depth", min(sub(p.inner, k), depth));
      const x1 = b.alloc("x_l1", p.x.dtype, [rows, depth], "l1");
      const w1 = b.alloc("w_l1", w.dtype, [columns, depth], "l1");
      b.copy(whole(x1), view(p.x, range(top, rows), ...head, range(k, depth)), { valid: [validRows, validDepth] });
      b.copy(whole(w1), view(w, ...lead, range(n, columns), range(k, depth)), { valid: [validColumns, validDepth] });
      const x0 = b.alloc("x_l0", p.x.dtype, [rows, depth], "l0a");
      const w0 = b.alloc("w_l0", w.dtype, [columns, depth], "l0b");
      b.copy(whole(x0), whole(x1));
      b.copy(whole(w0), whole(w1));
      b.mma(whole(sums), whole(x0), whole(w0), { init: eq(k, 0), rows: validRows });
    });
    b.copy(view(p.y, range(top, rows), ...head, range(n, columns)), whole(sums), { valid: [validRows, validColumns] });
  });
  return [b.build()];
};
