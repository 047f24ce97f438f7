import { IrError } from "../../ir/core/diagnostic.ts";
import { apply, f32 } from "../../ir/core/scalar.ts";
import { range, view, whole } from "../tile/builder.ts";
import type { Tile } from "../tile/types.ts";
import { inverseOf, scaleOf } from "./codes.ts";
import { type Stretch, stretches, validOf } from "./columns.ts";
import type { Schedule } from "./context.ts";
import { resultOf } from "./elementwise.ts";
import { RowKernel } from "./row-work.ts";

/** The largest finite f32. */
const mostFinite = 3.4028234663852886e38;

/**
 * Activations to signed bytes with one scale for each row: the scale max|x|/127, and codes x·127/max|x| rounded to the nearest whole
 * number, halves up. A row that holds what is no number has zeros for codes and no number for its scale, as has what comes of it.
 */
export const scheduleQuantise: Schedule = (operation, context) => {
  const {
    codes,
    scales: [scale],
    sums,
  } = context.blocks(resultOf(operation));
  if (scale === undefined || sums !== undefined)
    throw new IrError("rows of bytes have one scale and no sums", "Choose another storage.");
  const kernel = new RowKernel(operation, context, "convert rows to bytes", [], codes);
  const { b, target, row, columns } = kernel;
  b.write(scale.buffer);
  const most = kernel.reduce("max", "most", (v) => apply("abs", v));
  const inverse = b.letScalar("inverse", inverseOf(most));
  // By a transfer: words of neighbouring rows share a line of a scalar cache, and other blocks write those.
  const own = b.alloc("scale", "f32", [1], target.scratch);
  b.set(own, 0, scaleOf(most));
  b.copy(view(scale.buffer, ...row, range(0, 1)), whole(own));
  const { space } = target.vector;
  const eachStretch = (fill: (rounded: Tile, stretch: Stretch) => void): void =>
    stretches(b, target, columns, (stretch) => {
      const { start, width } = stretch;
      const rounded = b.alloc("rounded", "i32", [width], space);
      fill(rounded, stretch);
      b.copy(view(codes, ...row, range(start, width)), whole(rounded), validOf(stretch));
    });
  b.when(
    apply("le", most, f32(mostFinite)),
    () =>
      eachStretch((rounded, stretch) => {
        const part = kernel.part(space, stretch);
        b.map(whole(rounded), { v: whole(part) }, ({ v }) =>
          apply("toInt", apply("floor", apply("add", apply("mul", v, inverse), f32(0.5)))),
        );
      }),
    () => eachStretch((rounded) => b.fill(whole(rounded), 0)),
  );
  return kernel.build();
};
