import { describe, expect, test } from "vitest";
import { erf } from "../../ir/core/erf.ts";
import { apply, f32, type ScalarExpr, scalarOp, variable } from "../../ir/core/scalar.ts";
import { noSpan } from "../../ir/core/span.ts";
import { kernelBuilder, load, range, view, whole } from "./builder.ts";
import { composites } from "./composites.ts";
import { decompose } from "./decompose.ts";
import { runKernel } from "./interpreter.ts";
import { checkKernel } from "./kernel-spec.ts";
import { seeded } from "./testing.ts";
import { printKernel } from "./text.ts";
import type { Kernel } from "./types.ts";

const seed = 11;
const columns = 64;
const names = Object.keys(composites) as (keyof typeof composites)[];

/** y = value(x), by tiles of 64, in registers. */
function kernel(value: (x: ScalarExpr) => ScalarExpr): Kernel {
  const k = kernelBuilder("k", { op: "map", summary: "a function", span: noSpan });
  const x = k.buffer("x", "f32", ["T", columns], "read");
  const y = k.buffer("y", "f32", ["T", columns], "write");
  const t = k.grid("t", "T");
  const tile = k.alloc("tile", "f32", [columns], "register");
  k.copy(whole(tile), view(x, t, range(0, columns)));
  k.map(view(y, t, range(0, columns)), { v: whole(tile) }, ({ v }) => value(v));
  return k.build();
}

/** The kernel without composite functions, in arithmetic that rounds to f32 at each step. */
function run(made: Kernel, x: Float32Array): Float32Array {
  const y = new Float32Array(x.length);
  runKernel(
    checkKernel(decompose(made, "scratch")),
    new Map([
      ["x", x],
      ["y", y],
    ]),
    { T: x.length / columns },
  );
  return y;
}

describe.each(names)("%s", (name) => {
  test.each([0.01, 1, 4, 30, 1e4, 2 ** 20])(
    `made of basic functions stays within its bound up to %d (seed ${seed})`,
    (most) => {
      const random = seeded(seed);
      const x = Float32Array.from({ length: 64 * columns }, (_, i) =>
        i < 3 ? [0, most, -most][i] : (2 * random() - 1) * most,
      );
      const y = run(
        kernel((v) => apply(name, v)),
        x,
      );
      const { evaluate, bound } = scalarOp(name);
      y.forEach((found, i) => {
        const exact = evaluate(x[i], 0, 0);
        if (!Number.isFinite(Math.fround(exact))) {
          expect(found).toBe(Math.fround(exact));
          return;
        }
        const allowed = bound?.(exact, [x[i]], [0]) ?? 0;
        expect(Math.abs(found - exact), `${name}(${x[i]}) = ${exact}, found ${found}`).toBeLessThanOrEqual(allowed);
      });
    },
  );

  test.runIf(Math.abs(scalarOp(name).evaluate(2 ** 60, 0, 0)) <= 1)("stays from -1 to 1 for every argument", () => {
    const x = Float32Array.from({ length: columns }, (_, i) => (i % 2 === 0 ? -1 : 1) * 2 ** (2 * i));
    for (const found of run(
      kernel((v) => apply(name, v)),
      x,
    ))
      expect(Math.abs(found)).toBeLessThanOrEqual(1 + 2 ** -22);
  });
});

test("near multiples of π a sine is as exact as its argument", () => {
  const x = Float32Array.from({ length: columns }, (_, i) => (i - 20) * 1000 * Math.PI);
  const y = run(
    kernel((v) => apply("sin", v)),
    x,
  );
  x.forEach((v, i) => {
    expect(Math.abs(y[i] - Math.sin(v)), `sin(${v})`).toBeLessThan(2 ** -29);
  });
});

test("functions inside each other, in scalars, conditions and single elements", () => {
  const k = kernelBuilder("k", { op: "map", summary: "functions everywhere", span: noSpan });
  const x = k.buffer("x", "f32", [columns], "read");
  const y = k.buffer("y", "f32", [columns], "write");
  const one = k.letScalar("one", apply("sin", apply("add", load(x, 0), apply("cos", load(x, 1)))));
  k.fill(view(y, range(0, columns)), apply("erf", one));
  k.when(
    apply("lt", apply("cos", load(x, 0)), f32(2)),
    () => k.set(y, 1, apply("cos", one)),
    () => k.set(y, 1, 7),
  );
  k.map(view(y, 2), { a: view(x, 2), b: view(x, 3) }, ({ a, b }) =>
    apply("mul", apply("sin", a), apply("sin", apply("sin", b))),
  );
  const made = k.build();
  const input = Float32Array.from({ length: columns }, (_, i) => 0.3 + i / 7);
  const output = new Float32Array(columns);
  const basic = checkKernel(decompose(made, "scratch"));
  expect(printKernel(basic)).not.toMatch(/\b(sin|cos|erf)\(/);
  runKernel(
    basic,
    new Map([
      ["x", input],
      ["y", output],
    ]),
    {},
  );
  const s = Math.sin(input[0] + Math.cos(input[1]));
  const expected = [erf(s), Math.cos(s), Math.sin(input[2]) * Math.sin(Math.sin(input[3])), erf(s)];
  expected.forEach((e, i) => {
    expect(output[i]).toBeCloseTo(e, 6);
  });
});

test("a function of one argument is computed once", () => {
  const twice = kernel((v) => apply("mul", apply("sin", v), apply("add", apply("sin", v), f32(1))));
  const once = kernel((v) => apply("sin", v));
  const maps = (k: Kernel): number => decompose(k, "scratch").body.filter((s) => s.kind === "map").length;
  expect(maps(twice)).toBe(maps(once) + 1);
});

test("a kernel without composite functions stays as it is", () => {
  const made = kernel((v) => apply("exp", v));
  expect(decompose(made, "scratch")).toBe(made);
});

test("a map over a part of global memory is refused", () => {
  const k = kernelBuilder("k", { op: "map", summary: "a part", span: noSpan });
  const x = k.buffer("x", "f32", ["T"], "read");
  const y = k.buffer("y", "f32", ["T"], "write");
  k.map(view(y, range(0, 8)), { v: view(x, range(0, 8)) }, ({ v }) => apply("sin", v), {
    valid: [variable("T", "i32")],
  });
  expect(() => decompose(k.build(), "scratch")).toThrow("a map over a part of global memory");
});
