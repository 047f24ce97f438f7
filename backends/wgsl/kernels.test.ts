import { describe, expect, it } from "vitest";
import { emitKernel } from "../../codegen/emit/wgsl/index.ts";
import { at, gather, kernelBuilder, load, range, view, whole } from "../../codegen/tile/builder.ts";
import { add, eq, floorDiv, lt, min, mod, mul, not, sub } from "../../codegen/tile/fold.ts";
import type { Kernel } from "../../codegen/tile/types.ts";
import { Dim } from "../../ir/core/dim.ts";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "../../ir/core/float16.ts";
import { apply, bool, f32, i32, variable } from "../../ir/core/scalar.ts";
import { noSpan } from "../../ir/core/span.ts";
import { elementArrays } from "../../ir/core/tensor.ts";
import type { ElementType } from "../../ir/core/types.ts";
import { chooseAdapter, findAdapter } from "./adapter/index.ts";
import { wgslLanguage } from "./functions.ts";
import { wgslTarget } from "./target.ts";
import { f32s, i32s, programOf, random, runOnce } from "./testing.ts";

const seed = 7;
/** Where the interpreter takes too long, or gives no meaning. */
const uncompared = Number.POSITIVE_INFINITY;
const origin: Kernel["origin"] = { op: "test", summary: "a kernel of the tests", span: noSpan };
const T = variable("T", "i32");
const buffer = (name: string, dtype: ElementType, ...dims: (number | string)[]) => ({
  name,
  dtype,
  dims: dims.map((d) => Dim.of(d)),
});
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const near = (found: readonly number[] | undefined, expected: readonly number[], error = 1e-5): void => {
  expect(found?.length).toBe(expected.length);
  for (const [i, x] of expected.entries()) {
    const difference = Math.abs((found?.[i] ?? Number.NaN) - x);
    expect(difference, `element ${i}: expected ${x}, found ${found?.[i]}`).toBeLessThanOrEqual(
      error * (1 + Math.abs(x)),
    );
  }
};

describe("copy", () => {
  /** Copies x [T, n] by blocks of `columns`, through a tile of the space. */
  const blocked = (n: number, columns: number, space: string): Kernel => {
    const k = kernelBuilder("move", origin);
    const x = k.read(buffer("x", "f32", "T", n));
    const y = k.write(buffer("y", "f32", "T", n));
    const t = k.grid("t", "T");
    const c = k.grid("c", Math.ceil(n / columns));
    const tile = k.alloc("row", "f32", [columns], space);
    const options = n % columns === 0 ? {} : { valid: [min(columns, sub(n, mul(c, columns)))] };
    k.copy(whole(tile), view(x, t, range(mul(c, columns), columns)), options);
    k.copy(view(y, t, range(mul(c, columns), columns)), whole(tile), options);
    return k.build();
  };
  for (const space of ["register", "scratch"]) {
    for (const columns of [4, 32]) {
      for (const n of [columns - 1, columns, columns + 1, 3 * columns]) {
        for (const tokens of [0, 1, 63, 64, 65]) {
          it(`T = ${tokens}, ${n} columns by blocks of ${columns}, ${space} (seed ${seed})`, async () => {
            const data = random(seed, tokens * n);
            const { y } = await runOnce(
              programOf([blocked(n, columns, space)]),
              { x: f32s([tokens, n], data) },
              { T: tokens },
            );
            expect(y).toEqual([...data]);
          });
        }
      }
    }
  }

  it("puts zero beyond the valid count in a tile, and leaves global memory alone there", async () => {
    const k = kernelBuilder("partial", origin);
    const x = k.read(buffer("x", "f32", 5));
    const y = k.write(buffer("y", "f32", 8));
    const z = k.write(buffer("z", "f32", 8));
    const tile = k.alloc("tile", "f32", [8], "register");
    k.fill(whole(tile), 9);
    k.copy(whole(tile), view(x, range(0, 8)), { valid: [5] });
    k.copy(whole(y), whole(tile));
    k.fill(whole(z), 3);
    k.copy(whole(z), whole(tile), { valid: [2] });
    const { y: found, z: kept } = await runOnce(programOf([k.build()]), { x: f32s([5], [1, 2, 3, 4, 5]) });
    expect(found).toEqual([1, 2, 3, 4, 5, 0, 0, 0]);
    expect(kept).toEqual([1, 2, 3, 3, 3, 3, 3, 3]);
  });

  it("gathers rows at positions in a register tile and in a scratch tile", async () => {
    const build = (space: string, columns: number): Kernel => {
      const k = kernelBuilder("rows", origin);
      const x = k.read(buffer("x", "f32", 10, columns));
      const p = k.read(buffer("p", "i32", 3));
      const y = k.write(buffer("y", "f32", 3, columns));
      const positions = k.alloc("positions", "i32", [3], space);
      k.copy(whole(positions), whole(p));
      k.copy(whole(y), view(x, gather(positions), range(0, columns)));
      return k.build();
    };
    for (const space of ["register", "scratch"]) {
      for (const columns of [4, 5, 40]) {
        const x = upTo(10 * columns);
        const { y } = await runOnce(programOf([build(space, columns)]), {
          x: f32s([10, columns], x),
          p: i32s([3], [9, 0, 4]),
        });
        expect(y, `${space}, ${columns} columns`).toEqual(
          [9, 0, 4].flatMap((r) => x.slice(r * columns, (r + 1) * columns)),
        );
      }
    }
  });
});

it("reads anew what was written in between, in the text and in a loop", async () => {
  const k = kernelBuilder("changing", origin);
  const x = k.read(buffer("x", "f32", 8, 2));
  const y = k.write(buffer("y", "f32", 5, 2));
  const position = k.alloc("position", "i32", [1], "register");
  const step = k.alloc("step", "i32", [8], "scratch");
  k.fill(whole(step), 1);
  k.set(position, 0, 3);
  const copyTo = (row: Parameters<typeof range>[0]): void =>
    k.copy(view(y, range(row, 1), range(0, 2)), view(x, gather(position), range(0, 2)));
  copyTo(0);
  k.set(position, 0, 5);
  copyTo(1);
  k.forLoop("i", 2, 5, 1, (i) => {
    copyTo(i);
    k.set(position, 0, sub(load(position, 0), load(step, i)));
    k.set(step, add(i, 1), 2);
  });
  const { y: found } = await runOnce(programOf([k.build()]), { x: f32s([8, 2], upTo(16)) });
  expect(found).toEqual([6, 7, 10, 11, 10, 11, 8, 9, 4, 5]);
});

describe("map", () => {
  it("repeats inputs of lower rank and of extent 1", async () => {
    const k = kernelBuilder("broadcast", origin);
    const [x, bias, scale] = [
      k.read(buffer("x", "f32", "T", 6)),
      k.read(buffer("bias", "f32", 6)),
      k.read(buffer("scale", "f32", "T", 1)),
    ];
    const y = k.write(buffer("y", "f32", "T", 6));
    const t = k.grid("t", "T");
    const row = range(0, 6);
    k.map(
      view(y, range(t, 1), row),
      { x: view(x, range(t, 1), row), b: whole(bias), s: view(scale, range(t, 1), range(0, 1)) },
      (v) => apply("add", apply("mul", v.x, v.s), v.b),
    );
    const data = random(seed, 30);
    const inputs = { x: f32s([5, 6], data), bias: f32s([6], [0, 1, 2, 3, 4, 5]), scale: f32s([5, 1], [1, 2, 3, 4, 5]) };
    const { y: found } = await runOnce(programOf([k.build()]), inputs, { T: 5 });
    near(
      found,
      [...data].map((v, i) => v * (Math.floor(i / 6) + 1) + (i % 6)),
    );
  });

  it("keeps to the valid counts, computed at run time", async () => {
    const k = kernelBuilder("tail", origin);
    const x = k.read(buffer("x", "i32", "T"));
    const y = k.write(buffer("y", "i32", "T"));
    const blocks = k.grid("b", "T");
    const start = mul(blocks, 4);
    k.when(lt(start, T), () =>
      k.map(view(y, range(start, 4)), { v: view(x, range(start, 4)) }, ({ v }) => apply("floorDiv", v, i32(-3)), {
        valid: [min(4, sub(T, start))],
      }),
    );
    const data = upTo(11).map((i) => i - 5);
    const { y: found } = await runOnce(programOf([k.build()]), { x: i32s([11], data) }, { T: 11 });
    expect(found).toEqual(data.map((v) => Math.floor(v / -3) | 0));
  });

  it("writes constants that WGSL has no literal for", async () => {
    const k = kernelBuilder("constants", origin);
    const y = k.write(buffer("y", "f32", 3));
    k.set(y, 0, f32(Number.POSITIVE_INFINITY));
    k.set(y, 1, f32(Number.NEGATIVE_INFINITY));
    k.set(y, 2, f32(Number.NaN));
    const { y: found } = await runOnce(programOf([k.build()]), {});
    expect(found).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]);
  });
});

describe("elements narrower than a word", () => {
  /** Bits of any pattern. For f16 and bf16 without infinities and NaN, which no weight holds. */
  const bits = (dtype: ElementType, n: number) =>
    elementArrays[dtype].from(
      upTo(n).map((i) => {
        const pattern = (i * 40503 + 9973) % 65536;
        return dtype === "u8" || dtype === "i8" ? pattern >> 5 : (pattern & 0x3fff) | ((i % 2) << 15);
      }),
    );
  it.each(["u8", "i8", "f16", "bf16"] as const)("%s are read wherever they lie, rows of 5", async (dtype) => {
    const k = kernelBuilder("widen", origin);
    const x = k.read(buffer("x", dtype, "T", 5));
    const to = dtype === "u8" || dtype === "i8" ? "i32" : "f32";
    const y = k.write(buffer("y", to, "T", 5));
    const t = k.grid("t", "T");
    k.copy(view(y, t, range(0, 5)), view(x, t, range(0, 5)));
    const given = { dtype, dims: [7, 5], data: bits(dtype, 35) };
    const { y: found } = await runOnce(programOf([k.build()]), { x: given }, { T: 7 });
    expect(found?.length).toBe(35);
    if (dtype === "u8" || dtype === "i8") expect(found).toEqual([...given.data]);
  });

  it("bytes are written by the invocation that has their words, and read again", async () => {
    const write = kernelBuilder("narrow", origin);
    const x = write.read(buffer("x", "i32", "T", 8));
    const codes = write.write(buffer("codes", "i8", "T", 8));
    const t = write.grid("t", "T");
    write.copy(view(codes, t, range(0, 8)), view(x, t, range(0, 8)));
    const read = kernelBuilder("widen", origin);
    const from = read.read(buffer("codes", "i8", "T", 8));
    const y = read.write(buffer("y", "i32", "T", 8));
    const row = read.grid("t", "T");
    read.copy(view(y, row, range(0, 8)), view(from, row, range(0, 8)));
    const data = upTo(72).map((i) => ((i * 37) % 256) - 128);
    const program = programOf([write.build(), read.build()], { codes: "temporary" });
    const { y: found } = await runOnce(program, { x: i32s([9, 8], data) }, { T: 9 });
    expect(found).toEqual(data);
  });

  it.each([
    [undefined, []],
    ["low", []],
    ["high", []],
    [undefined, ["packed_4x8_integer_dot_product"]],
    ["low", ["packed_4x8_integer_dot_product"]],
    ["high", ["packed_4x8_integer_dot_product"]],
  ] as const)("are multiplied as whole numbers, halves of bytes: %s, with %j", async (half, features) => {
    const k = kernelBuilder("product", origin);
    const x = k.read(buffer("x", "i8", "T", 8));
    const w = k.read(buffer("w", "u8", 3, 8));
    const y = k.write(buffer("y", "i32", "T", 3));
    const t = k.grid("t", "T");
    const sums = k.alloc("sums", "i32", [1, 3], "register");
    k.fill(whole(sums), 11);
    for (const from of [0, 4])
      k.mma(
        whole(sums),
        view(x, range(t, 1), range(from, 4)),
        view(w, range(0, 3), range(from, 4)),
        half ? { half } : {},
      );
    k.copy(view(y, range(t, 1), range(0, 3)), whole(sums));
    const given = { dtype: "i8", dims: [5, 8], data: Int8Array.from(bits("i8", 40)) } as const;
    const weight = { dtype: "u8", dims: [3, 8], data: Uint8Array.from(bits("u8", 24)) } as const;
    const target = { ...wgslTarget, features };
    const { y: found } = await runOnce(programOf([k.build()]), { x: given, w: weight }, { T: 5 }, {}, 0, target);
    const code = (v: number) => (half === undefined ? v : half === "low" ? v & 15 : v >> 4);
    const expected = upTo(15).map((at) => {
      const [i, j] = [Math.floor(at / 3), at % 3];
      return upTo(8).reduce((s, e) => s + (given.data[8 * i + e] ?? 0) * code(weight.data[8 * j + e] ?? 0), 11);
    });
    expect(found).toEqual(expected);
  });
});

describe("vectors of halves", () => {
  const kernel = (dtype: "f16" | "bf16"): Kernel => {
    const k = kernelBuilder("product", origin);
    const x = k.read(buffer("x", "f32", "T", 8));
    const w = k.read(buffer("w", dtype, 3, 8));
    const y = k.write(buffer("y", "f32", "T", 3));
    const t = k.grid("t", "T");
    const sums = k.alloc("sums", "f32", [1, 3], "register");
    k.fill(whole(sums), 0);
    for (const from of [0, 4])
      k.mma(whole(sums), view(x, range(t, 1), range(from, 4)), view(w, range(0, 3), range(from, 4)));
    k.copy(view(y, range(t, 1), range(0, 3)), whole(sums));
    return k.build();
  };
  const cases = [
    ["f16", []],
    ["bf16", []],
    ["f16", ["shader-f16"]],
  ] as const;
  it.each(cases)("of %s are factors, with %j", async (dtype, features) => {
    const program = programOf([kernel(dtype)]);
    const target = { ...wgslTarget, features };
    const { text } = emitKernel(kernel(dtype), ["T"], { ...wgslLanguage, features });
    expect(text).toContain(features.length > 0 ? "array<vec4<f16>>" : "array<vec2<u32>>");
    const [convert, widen] = dtype === "f16" ? [f32ToF16, f16ToF32] : [f32ToBf16, bf16ToF32];
    const [x, w] = [random(seed, 40), Uint16Array.from(random(seed + 1, 24), convert)];
    const run = () =>
      runOnce(program, { x: f32s([5, 8], x), w: { dtype, dims: [3, 8], data: w } }, { T: 5 }, {}, 1e-5, target);
    const { adapter } = await findAdapter(chooseAdapter(undefined));
    if (!features.every((feature) => adapter.features.has(feature))) return expect(run()).rejects.toThrow(features[0]);
    const dot = (i: number, j: number) =>
      upTo(8).reduce((s, c) => s + (x[i * 8 + c] ?? 0) * widen(w[j * 8 + c] ?? 0), 0);
    near(
      (await run()).y,
      upTo(5).flatMap((i) => upTo(3).map((j) => dot(i, j))),
    );
  });
});

describe("mma", () => {
  interface Shape {
    readonly m: number;
    readonly n: number;
    readonly k: number;
    readonly step: number;
    readonly space: string;
  }
  /** y [m, n] = x [m, K] · w [n, K]ᵀ, by steps of k read in place. */
  const product = ({ m, n, k: depth, step, space }: Shape, rows?: number): Kernel => {
    const k = kernelBuilder("product", origin);
    const x = k.read(buffer("x", "f32", "T", depth));
    const w = k.read(buffer("w", "f32", n, depth));
    const y = k.write(buffer("y", "f32", "T", n));
    const block = k.grid("block", 1);
    const sums = k.alloc("sums", "f32", [m, n], space);
    k.fill(whole(sums), 5);
    k.forLoop("k", 0, depth, step, (i) =>
      k.mma(whole(sums), view(x, range(mul(block, m), m), range(i, step)), view(w, range(0, n), range(i, step)), {
        init: eq(i, 0),
        ...(rows === undefined ? {} : { rows: sub(T, m - rows) }),
      }),
    );
    k.copy(view(y, range(mul(block, m), m), range(0, n)), whole(sums));
    return k.build();
  };
  const shapes: Shape[] = [
    { m: 4, n: 4, k: 16, step: 4, space: "register" },
    { m: 1, n: 4, k: 64, step: 4, space: "register" },
    { m: 4, n: 4, k: 15, step: 5, space: "register" },
    { m: 3, n: 5, k: 7, step: 7, space: "register" },
    { m: 2, n: 2, k: 6, step: 1, space: "register" },
    { m: 12, n: 12, k: 40, step: 20, space: "scratch" },
    { m: 2, n: 3, k: 70, step: 70, space: "scratch" },
    { m: 4, n: 4, k: 16, step: 16, space: "register" },
  ];
  for (const shape of shapes) {
    it(`[${shape.m}, ${shape.k}] by [${shape.n}, ${shape.k}] in steps of ${shape.step}, ${shape.space} (seed ${seed})`, async () => {
      const { m, n, k } = shape;
      const [x, w] = [random(seed, m * k), random(seed + 1, n * k)];
      const { y } = await runOnce(programOf([product(shape)]), { x: f32s([m, k], x), w: f32s([n, k], w) }, { T: m });
      const dot = (i: number, j: number) => upTo(k).reduce((s, c) => s + (x[i * k + c] ?? 0) * (w[j * k + c] ?? 0), 0);
      near(
        y,
        upTo(m).flatMap((i) => upTo(n).map((j) => dot(i, j))),
      );
    });
  }

  it("leaves rows at and beyond `rows` alone, and takes factors from tiles and gathered rows", async () => {
    const k = kernelBuilder("some_rows", origin);
    const x = k.read(buffer("x", "f32", 6, 8));
    const w = k.read(buffer("w", "f32", 4, 8));
    const count = k.read(buffer("count", "i32", 1));
    const y = k.write(buffer("y", "f32", 4, 4));
    const positions = k.alloc("positions", "i32", [4], "register");
    for (const i of upTo(4)) k.set(positions, i, 5 - i);
    const rows = k.letScalar("rows", load(count, 0));
    const sums = k.alloc("sums", "f32", [4, 4], "register");
    const b = k.alloc("b", "f32", [4, 4], "register");
    k.fill(whole(sums), 7);
    k.forLoop("k", 0, 8, 4, (i) => {
      k.copy(whole(b), view(w, range(0, 4), range(i, 4)));
      k.mma(whole(sums), view(x, gather(positions), range(i, 4)), whole(b), { init: lt(i, 4), rows });
    });
    k.copy(whole(y), whole(sums));
    const program = programOf([k.build()]);
    const [xs, ws] = [random(seed, 48), random(seed + 1, 32)];
    for (const rows of [0, 1, 3, 4]) {
      const found = await runOnce(program, { x: f32s([6, 8], xs), w: f32s([4, 8], ws), count: i32s([1], [rows]) });
      const dot = (i: number, j: number) =>
        upTo(8).reduce((s, c) => s + (xs[(5 - i) * 8 + c] ?? 0) * (ws[j * 8 + c] ?? 0), 0);
      near(
        found.y,
        upTo(4).flatMap((i) => upTo(4).map((j) => (i < rows ? dot(i, j) : 7))),
      );
    }
  });

  it("reads factors that start off a multiple of four", async () => {
    const k = kernelBuilder("shifted", origin);
    const x = k.read(buffer("x", "f32", 2, 12));
    const w = k.read(buffer("w", "f32", 2, 8));
    const y = k.write(buffer("y", "f32", 2, 2));
    const sums = k.alloc("sums", "f32", [2, 2], "register");
    k.forLoop("k", 0, 8, 4, (i) =>
      k.mma(whole(sums), view(x, range(0, 2), range(add(i, 2), 4)), view(w, range(0, 2), range(i, 4)), {
        init: eq(i, 0),
      }),
    );
    k.copy(whole(y), whole(sums));
    const [xs, ws] = [random(seed, 24), random(seed + 1, 16)];
    const { y: found } = await runOnce(programOf([k.build()]), { x: f32s([2, 12], xs), w: f32s([2, 8], ws) });
    const dot = (i: number, j: number) =>
      upTo(8).reduce((s, c) => s + (xs[i * 12 + c + 2] ?? 0) * (ws[j * 8 + c] ?? 0), 0);
    near(found, [dot(0, 0), dot(0, 1), dot(1, 0), dot(1, 1)]);
  });

  it("takes a second factor that has k first", async () => {
    const k = kernelBuilder("turned", origin);
    const x = k.read(buffer("x", "f32", 3, 6));
    const w = k.read(buffer("w", "f32", 6, 20));
    const y = k.write(buffer("y", "f32", 3, 20));
    const sums = k.alloc("sums", "f32", [3, 20], "scratch");
    k.fill(whole(sums), 1);
    k.mma(whole(sums), whole(x), whole(w), { transposed: true });
    k.copy(whole(y), whole(sums));
    const [xs, ws] = [random(seed, 18), random(seed + 1, 120)];
    const { y: found } = await runOnce(programOf([k.build()]), { x: f32s([3, 6], xs), w: f32s([6, 20], ws) });
    const dot = (i: number, j: number) => upTo(6).reduce((s, c) => s + (xs[i * 6 + c] ?? 0) * (ws[c * 20 + j] ?? 0), 1);
    near(
      found,
      upTo(3).flatMap((i) => upTo(20).map((j) => dot(i, j))),
    );
  });

  it("starts at zero where init is the constant true", async () => {
    const k = kernelBuilder("fresh", origin);
    const x = k.read(buffer("x", "f32", 2, 4));
    const y = k.write(buffer("y", "f32", 2, 2));
    const sums = k.alloc("sums", "f32", [2, 2], "register");
    k.fill(whole(sums), 7);
    k.mma(whole(sums), whole(x), whole(x), { init: bool(true) });
    k.copy(whole(y), whole(sums));
    const { y: found } = await runOnce(programOf([k.build()]), { x: f32s([2, 4], [1, 2, 3, 4, 0, 1, 0, 1]) });
    expect(found).toEqual([30, 6, 6, 2]);
  });
});

describe("reduce and top_k", () => {
  const reduction = (op: "sum" | "max", n: number, space: string): Kernel => {
    const k = kernelBuilder("reduction", origin);
    const x = k.read(buffer("x", "f32", "T", n));
    const y = k.write(buffer("y", "f32", "T"));
    const t = k.grid("t", "T");
    const row = k.alloc("row", "f32", [n], space);
    const total = k.alloc("result", "f32", [1], "register");
    k.copy(whole(row), view(x, t, range(0, n)));
    k.reduce(op, view(total, at(0)), whole(row));
    k.copy(view(y, range(t, 1)), whole(total));
    return k.build();
  };
  for (const op of ["sum", "max"] as const) {
    for (const [n, space] of [
      [1, "register"],
      [7, "register"],
      [7, "scratch"],
      [300, "scratch"],
    ] as const) {
      it(`${op} of ${n} in ${space} (seed ${seed})`, async () => {
        const data = [...random(seed, 3 * n)].map((v) => v - 2);
        const { y } = await runOnce(programOf([reduction(op, n, space)]), { x: f32s([3, n], data) }, { T: 3 });
        const rows = upTo(3).map((t) => data.slice(t * n, (t + 1) * n));
        near(
          y,
          rows.map((r) => (op === "sum" ? r.reduce((a, b) => a + b, 0) : Math.max(...r))),
        );
      });
    }
  }

  const topK = (n: number, chosen: number, space: string): Kernel => {
    const k = kernelBuilder("choose", origin);
    const x = k.read(buffer("x", "f32", "T", n));
    const y = k.write(buffer("y", "i32", "T", chosen));
    const t = k.grid("t", "T");
    const keys = k.alloc("keys", "f32", [n], space);
    const ids = k.alloc("ids", "i32", [chosen], "register");
    k.copy(whole(keys), view(x, t, range(0, n)));
    k.topK(whole(ids), whole(keys));
    k.copy(view(y, t, range(0, chosen)), whole(ids));
    return k.build();
  };
  const inf = Number.POSITIVE_INFINITY;
  const rows = [
    [1, 3, 2, 3, 1, 3],
    [0, -0, 0, -0, 0, -0],
    [-inf, -inf, -inf, 5, -inf, inf],
    [-1, -2, -3, -4, -5, -6],
    [-6, -5, -4, -3, -2, -1],
    [-inf, -inf, -inf, -inf, -inf, -inf],
  ];
  for (const space of ["register", "scratch"]) {
    for (const chosen of [1, 4, 6]) {
      it(`the ${chosen} largest of 6, lowest index first on ties, in ${space}`, async () => {
        const { y } = await runOnce(programOf([topK(6, chosen, space)]), { x: f32s([6, 6], rows.flat()) }, { T: 6 });
        const expected = rows.flatMap((row) =>
          upTo(6)
            .sort((a, b) => ((row[a] ?? 0) === (row[b] ?? 0) ? a - b : (row[b] ?? 0) - (row[a] ?? 0)))
            .slice(0, chosen),
        );
        expect(y).toEqual(expected);
      });
    }
  }

  it("gives distinct ids in range also where keys are NaN", async () => {
    const { y = [] } = await runOnce(
      programOf([topK(6, 6, "scratch")]),
      { x: f32s([1, 6], [Number.NaN, 1, Number.NaN, -inf, 2, Number.NaN]) },
      { T: 1 },
    );
    expect(y).toEqual([4, 1, 3, 0, 2, 5]);
  });
});

describe("control", () => {
  it("for, if, let and set: counts and running sums", async () => {
    const k = kernelBuilder("count", origin);
    const ids = k.read(buffer("ids", "i32", "T"));
    const offsets = k.write(buffer("offsets", "i32", 6));
    const counts = k.alloc("counts", "i32", [5], "scratch");
    k.fill(whole(counts), 0);
    k.forLoop("i", 0, T, 1, (i) => {
      const id = k.letScalar("id", load(ids, i));
      k.when(
        lt(id, 5),
        () => k.set(counts, id, add(load(counts, id), 1)),
        () => k.when(not(eq(id, 6)), () => k.set(counts, 0, add(load(counts, 0), 100))),
      );
    });
    k.set(offsets, 0, 0);
    const running = k.alloc("running", "i32", [1], "register");
    k.set(running, 0, 0);
    k.forLoop("e", 0, 5, 1, (e) => {
      k.set(running, 0, add(load(running, 0), load(counts, e)));
      k.set(offsets, add(e, 1), load(running, 0));
    });
    const program = programOf([k.build()]);
    const { offsets: found } = await runOnce(program, { ids: i32s([8], [0, 4, 4, 2, 0, 6, 7, 1]) }, { T: 8 });
    expect(found).toEqual([0, 102, 103, 104, 104, 106]);
    const { offsets: none } = await runOnce(program, { ids: i32s([0], []) }, { T: 0 });
    expect(none).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it("a grid of more blocks than 65,535 workgroups hold", async () => {
    const k = kernelBuilder("wide", origin);
    const y = k.write(buffer("y", "i32", "T", 3));
    const t = k.grid("t", "T");
    const c = k.grid("c", 3);
    k.set(y, [t, c], add(mul(mod(t, 1000), 3), c));
    const tokens = Math.ceil((65_535 * 64 + 1000) / 3);
    const { y: found = [] } = await runOnce(programOf([k.build()]), {}, { T: tokens }, {}, uncompared);
    expect(found.length).toBe(tokens * 3);
    expect(found.findIndex((v, i) => v !== (Math.floor(i / 3) % 1000) * 3 + (i % 3))).toBe(-1);
  });

  it("T = 0 gives empty results and runs what does not depend on T", async () => {
    const k = kernelBuilder("empty", origin);
    const x = k.read(buffer("x", "f32", "T", 4));
    const y = k.write(buffer("y", "f32", "T", 4));
    const t = k.grid("t", "T");
    k.copy(view(y, t, range(0, 4)), view(x, t, range(0, 4)));
    const other = kernelBuilder("other", origin);
    const z = other.write(buffer("z", "i32", 2));
    other.fill(whole(z), 3);
    const found = await runOnce(programOf([k.build(), other.build()]), { x: f32s([0, 4], []) }, { T: 0 });
    expect(found).toEqual({ y: [], z: [3, 3] });
  });

  it("names that WGSL reserves", async () => {
    const k = kernelBuilder("filter", origin);
    const x = k.read(buffer("loop", "f32", "T"));
    const y = k.write(buffer("exp", "f32", "T"));
    const t = k.grid("fn", "T");
    const tile = k.alloc("var", "f32", [1], "register");
    const scale = k.letScalar("select", apply("toFloat", add(t, 1)));
    k.copy(whole(tile), view(x, range(t, 1)));
    k.map(view(y, range(t, 1)), { texture: whole(tile) }, (v) => apply("mul", scale, v.texture));
    const found = await runOnce(programOf([k.build()]), { loop: f32s([3], [1, 2, 3]) }, { T: 3 });
    expect(found.exp).toEqual([1, 4, 9]);
  });

  it("kernels in order, over temporaries", async () => {
    const double = (from: string, to: string): Kernel => {
      const k = kernelBuilder(`${from}_to_${to}`, origin);
      const x = k.read(buffer(from, "f32", "T"));
      const y = k.write(buffer(to, "f32", "T"));
      const t = k.grid("t", "T");
      k.map(view(y, range(t, 1)), { v: view(x, range(t, 1)) }, ({ v }) => apply("mul", v, f32(2)));
      return k.build();
    };
    const program = programOf([double("x", "a"), double("a", "b"), double("b", "y")], {
      a: "temporary",
      b: "temporary",
    });
    const found = await runOnce(program, { x: f32s([3], [1, 2, 3]) }, { T: 3 });
    expect(found).toEqual({ y: [8, 16, 24] });
  });

  it("positions by floorDiv and mod of a slot", async () => {
    const k = kernelBuilder("slots", origin);
    const x = k.read(buffer("x", "f32", "T", 2));
    const y = k.write(buffer("y", "f32", "2*T"));
    const s = k.grid("s", "2*T");
    k.set(y, s, load(x, floorDiv(s, 2), mod(s, 2)));
    const { y: found } = await runOnce(programOf([k.build()]), { x: f32s([3, 2], [1, 2, 3, 4, 5, 6]) }, { T: 3 });
    expect(found).toEqual([1, 2, 3, 4, 5, 6]);
  });
});
