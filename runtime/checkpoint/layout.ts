import { isPerExpert, layoutOf, type TensorSource } from "../../ir/core/bindings.ts";
import type { Argument, Layer } from "../../ir/core/layer.ts";

/** A published tensor in numbers: its shape, and where its elements go in the weight, both row-major. */
export interface NumericLayout {
  readonly shape: readonly number[];
  /** The shape in the layer's parameters: "[E, 2*I, H]". */
  readonly dims: string;
  /** Counters over the elements in order. `step`: elements of the weight from one to the next; undefined: these are the parts. */
  readonly factors: readonly { readonly size: number; readonly step: number | undefined }[];
  readonly part: number;
  /** Whether the elements lie in the weight as they do in the tensor. */
  readonly inOrder: boolean;
}

/** The layout of a source of a weight; with `{e}`, of the tensor of one expert. @throws IrError where it does not fit the weight */
export function numericLayout(layer: Layer, { value }: Argument, source: TensorSource): NumericLayout {
  const { shape, factors, part } = layoutOf(value.type.dims, source);
  const sizes = value.type.dims.slice(isPerExpert(source) ? 1 : 0).map((d) => d.evaluate(layer.params));
  const steps = sizes.map((_, i) => sizes.slice(i + 1).reduce((a, b) => a * b, 1));
  const numeric = factors.map(({ size, dim }) => {
    const n = size.evaluate(layer.params);
    return { size: n, step: dim === undefined && n > 1 ? undefined : dim === undefined ? 0 : steps[dim] };
  });
  const inOrder = numeric.every(({ size, step }, i) => {
    const after = numeric.slice(i + 1).reduce((product, f) => product * f.size, 1);
    return size === 1 || step === after;
  });
  const dims = `[${shape.join(", ")}]`;
  return { shape: shape.map((d) => d.evaluate(layer.params)), dims, factors: numeric, part, inOrder };
}

/** Elements that are copied in one run: the innermost counter, or the two innermost where the parts lie in turn. */
interface Run {
  readonly length: number;
  readonly first: number;
  readonly stride: number;
  readonly count: number;
  readonly step: number;
  readonly outer: NumericLayout["factors"];
}

function runOf({ factors, part }: NumericLayout): Run {
  const last = factors.at(-1) ?? { size: 1, step: 0 };
  if (last.step !== undefined || factors.length === 0) {
    const { size, step = 0 } = last;
    return { length: size, first: 0, stride: 1, count: size, step, outer: factors.slice(0, -1) };
  }
  const { size = 1, step = 0 } = factors.at(-2) ?? {};
  const outer = factors.slice(0, -2);
  return { length: size * last.size, first: part, stride: last.size, count: size, step, outer };
}

/** How many elements one run of `scatter` takes: it is given whole runs. */
export const runLength = (layout: NumericLayout): number => runOf(layout).length;

/**
 * Puts elements of a published tensor where the weight has them.
 * @param source consecutive elements, whole runs
 * @param from the number of the first run
 * @param offset where the tensor's part of the weight begins
 */
export function scatter<A extends Float32Array | Uint16Array | Int32Array>(
  layout: NumericLayout,
  source: A,
  from: number,
  target: A,
  offset: number,
): void {
  const { length, first, stride, count, step, outer } = runOf(layout);
  for (let run = 0; run * length < source.length; run++) {
    let place = offset;
    let ours = true;
    let rest = from + run;
    for (let i = outer.length - 1; i >= 0; i--) {
      const { size, step: outerStep } = outer[i];
      const at = rest % size;
      rest = Math.floor(rest / size);
      if (outerStep !== undefined) place += at * outerStep;
      else if (at !== layout.part) ours = false;
    }
    if (!ours) continue;
    const begin = run * length + first;
    if (stride === 1 && step === 1) target.set(source.subarray(begin, begin + count), place);
    else for (let i = 0; i < count; i++) target[place + i * step] = source[begin + i * stride];
  }
}
