import { IrError } from "../core/diagnostic.ts";
import { formatType } from "../core/types.ts";
import { onlyAttributes } from "./attributes.ts";
import type { OpDefinition } from "./definition.ts";
import { assemble, commonDType } from "./elements.ts";
import { count, intsOf } from "./reals.ts";
import { dimAt, expectIds, expectNoRegions, expectOperands, expectSame, operandAt } from "./shapes.ts";

const op = "scatter";

/** Rows replaced by their ids. Of equal ids the last wins; ids of no row are skipped. */
export const scatter: OpDefinition = {
  name: op,
  summary: "x [V, ...], ids i32[R], rows [R, ...] → x, with row ids[r] replaced by rows[r]",
  infer(operands, attributes, regions) {
    onlyAttributes(op, attributes, []);
    expectOperands(op, operands, 3, 3, "a tensor, ids of its rows, and rows");
    expectNoRegions(op, regions);
    const [x, ids, rows] = [0, 1, 2].map((i) => operandAt(operands, i)) as [
      (typeof operands)[0],
      (typeof operands)[0],
      (typeof operands)[0],
    ];
    if (x.dims.length < 2)
      throw new IrError(`scatter replaces rows of a tensor [V, ...], found ${formatType(x)}`, "Give a tensor of rows.");
    expectIds(op, "ids", ids, 1, "[R]");
    expectSame(op, "ids and rows", dimAt(ids, 0), dimAt(rows, 0));
    if (rows.dims.length !== x.dims.length || x.dims.some((d, i) => i > 0 && !d.equals(dimAt(rows, i))))
      throw new IrError(
        `rows of ${formatType(x)} cannot be replaced by ${formatType(rows)}`,
        "Give rows of the same dimensions.",
      );
    return [{ dtype: commonDType(op, [x.dtype, rows.dtype]), dims: x.dims }];
  },
  evaluate(operands) {
    const [x, ids, rows] = operands;
    const [own, ...inner] = x.dims;
    const width = count(inner);
    const last = new Int32Array(own).fill(-1);
    intsOf(ids).forEach((id, r) => {
      if (id >= 0 && id < own) last[id] = r;
    });
    const replaced = assemble(commonDType(op, [x.dtype, rows.dtype]), x.dims, [x, rows], (put) => {
      last.forEach((r, row) => {
        put(r < 0 ? 0 : 1, (r < 0 ? row : r) * width, row * width, width);
      });
    });
    return [replaced];
  },
  flops: () => 0,
};
