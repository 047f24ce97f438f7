import { IrError } from "../core/diagnostic.ts";
import { type ScalarExpr, type ScalarFunction, type ScalarOp, scalarOp } from "../core/scalar.ts";

/** A scalar function over arrays: values and error bounds of `count` elements. Absent errors are zero. */
export type ScalarKernel = (
  inputs: readonly Float64Array[],
  errors: readonly (Float64Array | undefined)[],
  count: number,
) => { readonly values: Float64Array; readonly bound: Float64Array };

/** Elements worked on at once: small enough that all intermediate results stay in the cache. */
const chunk = 1024;

/** A result beyond this is infinite on a machine. */
const largestF32 = 3.4028234663852886e38;

/**
 * Arguments that are infinite on a machine where they exceed f32, and make the result useless even if it would fit again.
 * A divisor's bound sees to this itself; comparisons, min and max work with infinity as with the number.
 */
const overflowCarriers: Partial<Record<ScalarOp, readonly number[]>> = {
  add: [0, 1],
  sub: [0, 1],
  mul: [0, 1],
  fma: [0, 1, 2],
  div: [0],
  log: [0],
  sqrt: [0],
  toInt: [0],
};

interface Node {
  readonly values: Float64Array;
  readonly errors: Float64Array;
  run(length: number): void;
}

const compiled = new WeakMap<ScalarFunction, ScalarKernel>();

/** Compiles a function once into closures over arrays. */
export function scalarKernel(fn: ScalarFunction): ScalarKernel {
  const known = compiled.get(fn);
  if (known !== undefined) return known;
  const inputs = fn.params.map(() => ({ values: new Float64Array(chunk), errors: new Float64Array(chunk) }));
  const nodes = new Map<ScalarExpr, Node>();
  const order: Node[] = [];
  const visit = (expr: ScalarExpr): Node => {
    const made = nodes.get(expr);
    if (made !== undefined) return made;
    const node = makeNode(expr, fn, inputs, visit);
    nodes.set(expr, node);
    order.push(node);
    return node;
  };
  const root = visit(fn.body);
  const kernel: ScalarKernel = (data, errors, count) => {
    const values = new Float64Array(count);
    const bound = new Float64Array(count);
    for (let start = 0; start < count; start += chunk) {
      const length = Math.min(chunk, count - start);
      inputs.forEach((input, i) => {
        const source = data[i];
        if (source === undefined) throw new IrError(`operand ${i + 1} is missing`, "Give one operand per parameter.");
        input.values.set(source.subarray(start, start + length));
        const error = errors[i];
        if (error === undefined) input.errors.fill(0);
        else input.errors.set(error.subarray(start, start + length));
      });
      for (const node of order) node.run(length);
      values.set(root.values.subarray(0, length), start);
      bound.set(root.errors.subarray(0, length), start);
      for (let i = start; i < start + length; i++)
        if (Math.abs(values[i]) + bound[i] > largestF32) bound[i] = Number.POSITIVE_INFINITY;
    }
    return { values, bound };
  };
  compiled.set(fn, kernel);
  return kernel;
}

function makeNode(
  expr: ScalarExpr,
  fn: ScalarFunction,
  inputs: readonly { readonly values: Float64Array; readonly errors: Float64Array }[],
  visit: (expr: ScalarExpr) => Node,
): Node {
  switch (expr.kind) {
    case "const": {
      const values = new Float64Array(chunk).fill(expr.value);
      // A machine holds the constant as the nearest f32.
      const error =
        expr.type === "f32" && Number.isFinite(expr.value) ? Math.abs(expr.value - Math.fround(expr.value)) : 0;
      return { values, errors: new Float64Array(chunk).fill(error), run: () => {} };
    }
    case "var": {
      const input = inputs[fn.params.indexOf(expr.name)];
      if (input === undefined) throw new IrError(`${expr.name} is not a parameter`, "Use the function's parameters.");
      return { ...input, run: () => {} };
    }
    case "element":
      throw new IrError("an element of a buffer has no meaning here", "Use the function's parameters.");
    case "apply": {
      const args = expr.args.map(visit);
      const values = new Float64Array(chunk);
      const errors = new Float64Array(chunk);
      return { values, errors, run: applyLoop(expr, args, values, errors) };
    }
  }
}

function applyLoop(
  expr: ScalarExpr & { readonly kind: "apply" },
  args: readonly Node[],
  values: Float64Array,
  errors: Float64Array,
): (length: number) => void {
  const definition = scalarOp(expr.op);
  const [a, b, c] = args;
  const zeros = new Float64Array(chunk);
  const av = a?.values ?? zeros;
  const bv = b?.values ?? zeros;
  const cv = c?.values ?? zeros;
  const ae = a?.errors ?? zeros;
  const be = b?.errors ?? zeros;
  const ce = c?.errors ?? zeros;
  const carriers = overflowCarriers[expr.op] ?? [];
  const argument = [0, 0, 0];
  const error = [0, 0, 0];
  return (length) => {
    for (let i = 0; i < length; i++) {
      const r = definition.evaluate(av[i], bv[i], cv[i]);
      values[i] = r;
      error[0] = ae[i];
      error[1] = be[i];
      error[2] = ce[i];
      if (expr.type === "i32" && expr.op !== "toInt" && expr.op !== "select") {
        // Integer arithmetic is exact; what an inexact integer may become is not followed further.
        errors[i] = error[0] + error[1] === 0 ? 0 : Number.POSITIVE_INFINITY;
        continue;
      }
      argument[0] = av[i];
      argument[1] = bv[i];
      argument[2] = cv[i];
      const e = definition.bound?.(r, argument, error) ?? 0;
      const lost = Math.abs(r) <= largestF32 && carriers.some((j) => Math.abs(argument[j]) + error[j] > largestF32);
      errors[i] = lost || Number.isNaN(e) ? Number.POSITIVE_INFINITY : e;
    }
  };
}

/** Number of scalar operations of an expression: the flops of one element. */
export function scalarFlops(expr: ScalarExpr): number {
  return expr.kind === "apply" ? expr.args.reduce((sum, a) => sum + scalarFlops(a), 1) : 0;
}
