import { IrError } from "../../ir/core/diagnostic.ts";
import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { dtypeBytes } from "../../ir/core/types.ts";
import { at, type KernelBuilder, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add, dimExpr, eq, int, min, mul, sub } from "../tile/fold.ts";
import type { Schedule } from "./context.ts";
import { cubeTiling } from "./cube-tiling.ts";
import { kernelName, originOf } from "./elementwise.ts";
import { describeProduct } from "./product.ts";

/**
 * Products on a matrix unit. A block takes a panel of output columns of one weight matrix and walks the rows that belong to it;
 * factors pass global → L1 in long stretches of the inner dimension and L1 → L0A/L0B in short ones, sums gather in L0C over all of
 * it and go to global memory in f32. Blocks are dealt to the cores across the experts: experts outside, panels inside.
 */
export const scheduleCubeProduct: Schedule = (operation, context) => {
  const { target } = context;
  const { matmul } = target;
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

  const { panel, rows, columns, l1Depth, l0Depth } = cubeTiling(target, matmul, {
    matrices: p.experts,
    columns: p.columns,
    depth: p.inner,
    bytes: dtypeBytes[w.dtype],
  });
  const expert = b.grid("expert", p.experts);
  const block = b.grid("panel", Math.ceil(p.columns / panel));
  const first = p.offsets ? b.letScalar("first", load(p.offsets, expert)) : int(0);
  const count = p.offsets ? b.letScalar("count", sub(load(p.offsets, add(expert, 1)), first)) : dimExpr(p.rows);
  const start = b.letScalar("start", mul(block, panel));
  const end = b.letScalar("end", min(add(start, panel), p.columns));
  const lead = p.offsets || p.heads ? [at(expert)] : [];
  const head = p.heads ? [at(expert)] : [];
  const tile = (n: ScalarExpr): void => {
    const validColumns = b.letScalar("valid_columns", min(sub(end, n), columns));
    b.forLoop("row", 0, count, rows, (row) => {
      const top = b.letScalar("top", add(first, row));
      const validRows = b.letScalar("valid_rows", min(sub(count, row), rows));
      const sums = b.alloc("sums", "f32", [rows, columns], "l0c");
      stretches(b, "k", p.inner, l1Depth, (k, long) => {
        const x1 = b.alloc("x_l1", p.x.dtype, [rows, long], "l1");
        const w1 = b.alloc("w_l1", w.dtype, [columns, long], "l1");
        b.copy(whole(x1), view(p.x, range(top, rows), ...head, range(k, long)), { valid: [validRows, long] });
        b.copy(whole(w1), view(w, ...lead, range(n, columns), range(k, long)), { valid: [validColumns, long] });
        stretches(b, "step", long, l0Depth, (step, short) => {
          const x0 = b.alloc("x_l0", p.x.dtype, [rows, short], "l0a");
          const w0 = b.alloc("w_l0", w.dtype, [columns, short], "l0b");
          b.copy(whole(x0), view(x1, range(0, rows), range(step, short)));
          b.copy(whole(w0), view(w1, range(0, columns), range(step, short)));
          b.mma(whole(sums), whole(x0), whole(w0), { init: eq(add(k, step), 0), rows: validRows });
        });
      });
      b.copy(view(p.y, range(top, rows), ...head, range(n, columns)), whole(sums), {
        valid: [validRows, validColumns],
      });
    });
  };
  if (panel === columns) tile(start);
  else b.forLoop("n", start, end, columns, tile);
  return [b.build()];
};

/** 0 … total in stretches of one width, and a last one of what is left. */
function stretches(
  b: KernelBuilder,
  name: string,
  total: number,
  width: number,
  body: (start: ScalarExpr, width: number) => void,
): void {
  const full = Math.floor(total / width) * width;
  b.forLoop(name, 0, full, width, (start) => body(start, width));
  if (full < total) body(int(full), total - full);
}
