import { describe, expect, it } from "vitest";
import { basicOps } from "../../codegen/tile/composites.ts";
import type { Kernel } from "../../codegen/tile/types.ts";
import { Dim } from "../../ir/core/dim.ts";
import {
  apply,
  f32,
  i32,
  type ScalarExpr,
  type ScalarOp,
  type ScalarType,
  scalarOp,
  variable,
} from "../../ir/core/scalar.ts";
import { noSpan } from "../../ir/core/span.ts";
import { wgslLanguage } from "./functions.ts";
import { f32s, i32s, programOf, runOnce } from "./testing.ts";

const inf = Number.POSITIVE_INFINITY;
const floats = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  2.5,
  -2.5,
  1e-30,
  -1e-30,
  2 ** -126,
  1e30,
  -1e30,
  3.4e38,
  -3.4e38,
  88,
  88.8,
  100,
  -88,
  -104,
  -200,
  1e9,
  2147483520,
  2147483648,
  -2147483648,
  -3e9,
  0.9999999,
  1.0000001,
  3,
  7,
  1 / 3,
  inf,
  -inf,
  Number.NaN,
];
const integers = [0, 1, -1, 2, -2, 3, -3, 7, -7, 10, -10, 64, 255, 65535, -65536, 2147483647, -2147483647];

/** Every pair, as two columns. */
const pairs = (values: readonly number[]): [number[], number[]] => [
  values.flatMap((a) => values.map(() => a)),
  values.flatMap(() => [...values]),
];

const bits = new DataView(new ArrayBuffer(4));
/** Position of an f32 among the floats, so that differences count units in the last place. */
function order(x: number): number {
  bits.setFloat32(0, x);
  const b = bits.getInt32(0);
  return b < 0 ? -(b & 0x7fffffff) : b;
}

const isSubnormal = (x: number): boolean => x !== 0 && Math.abs(x) < 2 ** -126;

/** Whether a result may be flushed, or came of an argument that was. */
function agrees(found: number, expected: number, ulps: number): boolean {
  if (Number.isNaN(expected)) return Number.isNaN(found);
  if (isSubnormal(expected) && Math.abs(found) <= 2 ** -126) return true;
  return Math.abs(order(found) - order(expected)) <= Math.ceil(ulps);
}

/** Runs `value` over elements of a and b, one block per element. */
async function evaluateAll(
  value: (a: ScalarExpr, b: ScalarExpr) => ScalarExpr,
  type: ScalarType,
  a: readonly number[],
  b: readonly number[],
): Promise<number[]> {
  const dtype = type === "i32" ? "i32" : "f32";
  const dims = [Dim.of("T")];
  const expr = value(variable("a", type), variable("b", type));
  const out = expr.type === "f32" ? "f32" : "i32";
  const at = { kind: "at", at: variable("t", "i32") } as const;
  const kernel: Kernel = {
    name: "each",
    buffers: [
      { name: "x", dtype, dims, access: "read" },
      { name: "y", dtype, dims, access: "read" },
      { name: "z", dtype: out, dims, access: "write" },
    ],
    grid: [{ name: "t", extent: Dim.of("T") }],
    body: [
      {
        kind: "map",
        dst: { base: "z", index: [at] },
        inputs: [
          { name: "a", view: { base: "x", index: [at] } },
          { name: "b", view: { base: "y", index: [at] } },
        ],
        value: expr,
      },
    ],
    origin: { op: "map", summary: "one scalar operation", span: noSpan },
  };
  const tensor = dtype === "i32" ? i32s : f32s;
  const found = await runOnce(
    programOf([kernel]),
    { x: tensor([a.length], a), y: tensor([b.length], b) },
    { T: a.length },
    {},
    Number.POSITIVE_INFINITY,
  );
  return found.z ?? [];
}

const typesOf = (op: ScalarOp): ScalarType[] => {
  const { signature } = scalarOp(op);
  if (signature === "float" || signature === "toInt") return ["f32"];
  if (signature === "integer" || signature === "toFloat") return ["i32"];
  return signature === "logic" ? ["bool"] : ["f32", "i32"];
};

const zero = (type: ScalarType): ScalarExpr => (type === "i32" ? i32(0) : f32(0));

describe("each scalar operation agrees with its meaning on the device", () => {
  const cases = basicOps.flatMap((op) => typesOf(op).map((type) => ({ op, type })));
  it.each(cases)("$op over $type", async ({ op, type }) => {
    const values = type === "i32" ? integers : type === "bool" ? [0, 1] : floats;
    const [a, b] = pairs(values);
    const operand = type === "bool" ? "f32" : type;
    const fn = wgslLanguage.functions[op];
    // bool arguments and select's condition come of comparing with zero.
    const isSet = (x: ScalarExpr): ScalarExpr => apply("not", apply("eq", x, zero(operand)));
    const { arity } = scalarOp(op);
    const found = await evaluateAll(
      (x, y) => {
        if (op === "select") return apply("select", apply("lt", x, y), x, y);
        const args = type === "bool" ? [isSet(x), isSet(y)] : [x, y, zero(operand)];
        return apply(op, ...args.slice(0, arity));
      },
      operand,
      a,
      b,
    );
    const wrong: string[] = [];
    let compared = 0;
    for (const [i, x] of a.map(Math.fround).entries()) {
      const left = type === "i32" ? (a[i] ?? 0) : x;
      const right = type === "i32" ? (b[i] ?? 0) : Math.fround(b[i] ?? 0);
      if (op === "select" && (Number.isNaN(left) || Number.isNaN(right))) continue;
      const expected = op === "select" ? Math.min(left, right) : fn.meaning(type, left, right, 0);
      if (fn.indeterminate?.(left, arity > 1 ? right : 0)) continue;
      compared++;
      if (!agrees(found[i] ?? Number.NaN, expected, fn.ulps?.(left, right) ?? 0))
        wrong.push(`${op}(${left}, ${right}) = ${expected}, found ${found[i]}`);
    }
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThan(0);
  });
});

describe("the meanings", () => {
  it.each(basicOps)("of %s is the one of scalar expressions", (op) => {
    const { evaluate } = scalarOp(op);
    const fn = wgslLanguage.functions[op];
    for (const type of typesOf(op)) {
      const values = type === "bool" ? [0, 1] : type === "i32" ? [-7, -2, -1, 1, 2, 3, 64] : [-7.5, -1, 0.25, 1, 3, 64];
      for (const a of values) {
        for (const b of values) {
          if (fn.indeterminate?.(a, b)) continue;
          const exact = evaluate(a, b, 5);
          expect(fn.meaning(type, a, b, 5), `${op}(${a}, ${b})`).toBe(type === "f32" ? Math.fround(exact) : exact);
        }
      }
    }
  });
});
