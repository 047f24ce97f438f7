import type { Dim } from "../../ir/core/dim.ts";
import { apply, f32, substitute } from "../../ir/core/scalar.ts";
import { constantValues } from "../../ir/ops/constant.ts";
import { ropeOf, waveOf } from "../../ir/ops/rope.ts";
import { gather, kernelBuilder, load, range, view, whole } from "../tile/builder.ts";
import { add } from "../tile/fold.ts";
import type { Schedule } from "./context.ts";
import { columnsOf, kernelName, operandBuffer, originOf, resultOf } from "./elementwise.ts";

/** Numbers written one by one, once, at load. */
export const scheduleConstant: Schedule = (operation, context) => {
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, "numbers of the layer"));
  const y = b.write(context.buffer(resultOf(operation)));
  const values = constantValues(operation.attributes);
  const tile = b.alloc("numbers", "f32", [values.length], context.target.scratch);
  values.forEach((value, i) => {
    b.set(tile, i, f32(value));
  });
  b.copy(view(y, range(0, values.length)), whole(tile));
  return [b.build()];
};

/**
 * A block per token: sine and cosine of its angles once, for both dimensions of each pair, the sine with the sign that it has there;
 * then own·cos + partner·sin for each head.
 */
export const scheduleRope: Schedule = (operation, context) => {
  const { style, start, factor } = ropeOf(operation.attributes);
  const space = context.target.scratch;
  const b = kernelBuilder(kernelName(operation, context), originOf(operation, `rotary embedding, ${style}`));
  const [x, positions, frequencies] = [0, 1, 2].map((i) => b.read(operandBuffer(operation, i, context)));
  const y = b.write(context.buffer(resultOf(operation)));
  if (!x || !positions || !frequencies) return [];
  const depth = columnsOf(resultOf(operation), context);
  const pairs = context.size(frequencies.dims[0] as Dim);
  const first = context.size(start);
  const size = 2 * pairs;
  const token = b.grid("token", y.dims[0] as Dim);

  const partners = b.alloc("partners", "i32", [size], space);
  const own = b.alloc("frequencies_of", "i32", [size], space);
  const sign = b.alloc("sign", "f32", [size], space);
  // Written in runs: half a tile, or every other element.
  for (const half of [0, 1])
    b.forLoop("i", 0, pairs, 1, (i) => {
      const at = style === "half" ? add(i, half * pairs) : add(add(i, i), half);
      const partner = style === "half" ? add(i, (1 - half) * pairs) : add(add(i, i), 1 - half);
      b.set(partners, at, partner);
      b.set(own, at, i);
      b.set(sign, at, f32(half === 0 ? -1 : 1));
    });
  const frequency = b.alloc("frequency", "f32", [size], space);
  b.copy(whole(frequency), view(frequencies, gather(own)));
  const position = b.letScalar("position", apply("toFloat", load(positions, token)));
  const wave = (kind: "sin" | "cos") => {
    const tile = b.alloc(kind, "f32", [size], space);
    const { body } = waveOf(kind, factor);
    b.map(whole(tile), { frequency: whole(frequency) }, (v) =>
      substitute(
        body,
        new Map([
          ["position", position],
          ["frequency", v.frequency],
        ]),
      ),
    );
    return tile;
  };
  const [cos, sin] = [wave("cos"), wave("sin")];
  b.map(whole(sin), { sin: whole(sin), sign: whole(sign) }, (v) => apply("mul", v.sin, v.sign));

  const heads = y.dims.length === 3 ? context.size(y.dims[1] as Dim) : 1;
  b.forLoop("head", 0, heads, 1, (head) => {
    const at = y.dims.length === 3 ? [token, head] : [token];
    const columns = range(first, size);
    const [x0, x1] = [b.alloc("own", "f32", [size], space), b.alloc("partner", "f32", [size], space)];
    b.copy(whole(x0), view(x, ...at, columns));
    b.copy(whole(x1), view(x0, gather(partners)));
    b.map(whole(x0), { own: whole(x0), cos: whole(cos), partner: whole(x1), sin: whole(sin) }, (v) =>
      apply("add", apply("mul", v.own, v.cos), apply("mul", v.partner, v.sin)),
    );
    b.copy(view(y, ...at, columns), whole(x0));
    for (const [from, width] of [
      [0, first],
      [first + size, depth - first - size],
    ] as const) {
      if (width === 0) continue;
      const rest = b.alloc("rest", "f32", [width], space);
      b.copy(whole(rest), view(x, ...at, range(from, width)));
      b.copy(view(y, ...at, range(from, width)), whole(rest));
    }
  });
  return [b.build()];
};
