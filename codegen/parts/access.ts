import type { ScalarExpr } from "../../ir/core/scalar.ts";
import { after, bounds, coordinates, type Extents, type Linear, linear, type Names, within } from "../tile/linear.ts";
import { expressionsOf, subexpressions, viewsOf } from "../tile/shape.ts";
import type { Kernel, Statement, ViewIndex } from "../tile/types.ts";

/**
 * Which positions along a dimension of a buffer a block touches: `unit` of them from unit · coordinate on; or the same in every
 * block, from `low` to `high`; or any.
 */
export type Access =
  | { readonly kind: "block"; readonly coordinate: string; readonly unit: number }
  | { readonly kind: "fixed"; readonly low: number; readonly high: number }
  | { readonly kind: "any" }
  /** One, by a scalar of the kernel's outermost list, such as an id that was read. */
  | { readonly kind: "chosen"; readonly by: string };

const any: Access = { kind: "any" };

/** How a kernel touches the first two dimensions of each of its buffers. */
export function accessesOf(kernel: Kernel): ReadonlyMap<string, readonly Access[]> {
  const extents: Extents = new Map(kernel.grid.map(({ name, extent }) => [name, extent.constant]));
  const buffers = new Set(kernel.buffers.map((b) => b.name));
  const found = new Map<string, readonly Access[]>();
  const touch = (base: string, index: readonly (Position | undefined)[]): void => {
    if (!buffers.has(base)) return;
    const own = index.slice(0, 2).map((i) => (i ? accessOf(i, extents) : any));
    const before = found.get(base);
    found.set(base, before ? own.map((a, d) => join(before[d] ?? any, a)) : own);
  };
  const walk = (list: readonly Statement[], outer: Names, isOutermost: boolean): void => {
    let names = outer;
    const at = (expr: ScalarExpr, extent = 1): Position => ({
      at: linear(expr, names, extents),
      extent,
      ...(isOutermost && expr.kind === "var" ? { by: expr.name } : {}),
    });
    const part = (i: ViewIndex) =>
      i.kind === "at" ? at(i.at) : i.kind === "range" ? at(i.start, i.extent) : undefined;
    for (const s of list) {
      for (const { view } of viewsOf(s)) touch(view.base, view.index.map(part));
      for (const expr of expressionsOf(s))
        for (const e of subexpressions(expr))
          if (e.kind === "element")
            touch(
              e.base,
              e.index.map((i) => at(i)),
            );
      if (s.kind === "set")
        touch(
          s.base,
          s.index.map((i) => at(i)),
        );
      if (s.kind === "for") walk(s.body, within(s, names, extents), false);
      if (s.kind === "if") {
        walk(s.then, names, false);
        walk(s.otherwise, names, false);
      }
      names = after(s, names, extents);
    }
  };
  walk(kernel.body, coordinates(kernel), true);
  return found;
}

interface Position {
  readonly at: Linear;
  readonly extent: number;
  /** The scalar that it is. */
  readonly by?: string;
}

function accessOf({ at: from, extent, by }: Position, extents: Extents): Access {
  const to = { ...from, high: from.high + extent - 1 };
  for (const [coordinate, unit] of from.coefficients) {
    const others = new Map([...from.coefficients].filter(([name]) => name !== coordinate));
    const { low, high } = bounds({ ...to, coefficients: others }, extents);
    const isCounted = extents.get(coordinate) !== undefined;
    if (isCounted && unit > 0 && low >= 0 && high < unit) return { kind: "block", coordinate, unit };
  }
  const { low, high } = bounds(to, extents);
  if (low >= 0 && Number.isFinite(high)) return { kind: "fixed", low, high };
  return by === undefined ? any : { kind: "chosen", by };
}

function join(a: Access, b: Access): Access {
  if (a.kind === "block" && b.kind === "block") return a.coordinate === b.coordinate && a.unit === b.unit ? a : any;
  if (a.kind === "fixed" && b.kind === "fixed")
    return { kind: "fixed", low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) };
  if (a.kind === "chosen" && b.kind === "chosen" && a.by === b.by) return a;
  return any;
}
