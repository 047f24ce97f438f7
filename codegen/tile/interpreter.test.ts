import { describe, expect, test } from "vitest";
import { bf16ToF32, f32ToBf16 } from "../../ir/core/float16.ts";
import { runKernel, runProgram, type TypedArray } from "./interpreter.ts";
import { parseKernel, parseProgram } from "./parser.ts";
import { randomKernel } from "./testing.ts";

type Buffers = Record<string, TypedArray>;

/** A kernel over `buffers`, with one block unless `grid` says otherwise. */
const kernel = (buffers: string, body: string, grid = "") =>
  parseKernel(`kernel @k origin("test", "") (${buffers}) grid(${grid}) { ${body} }`);

function run(buffers: string, body: string, data: Buffers, dims = {}, grid = ""): Buffers {
  runKernel(kernel(buffers, body, grid), new Map(Object.entries(data)), dims);
  return data;
}

const floats = (n: number, first = 1): Float32Array => Float32Array.from({ length: n }, (_, i) => first + i);

describe("scalars and control", () => {
  test("for counts from, by step, to below to, and evaluates its bound once", () => {
    const { y } = run(
      "readwrite y: i32[8]",
      "fill y[0:+8] = 0 set y[0] = 7 for i = 1 to y[0] step 3 { set y[0] = 8 set y[i] = i }",
      {
        y: new Int32Array(8),
      },
    );
    expect([...y]).toEqual([8, 1, 0, 0, 4, 0, 0, 0]);
  });

  test("if takes one side", () => {
    const { y } = run(
      "write y: i32[4]",
      "if (b == 2) { set y[b] = 1 } else { set y[b] = -1 }",
      { y: new Int32Array(4) },
      {},
      "b = 4",
    );
    expect([...y]).toEqual([-1, -1, 1, -1]);
  });

  test("// and % round towards minus infinity", () => {
    const { y } = run("write y: i32[2]", "let a = -7 set y[0] = (a // 2) set y[1] = (a % 4)", { y: new Int32Array(2) });
    expect([...y]).toEqual([-4, 1]);
  });

  test("f32 is rounded at each step", () => {
    const { y } = run("write y: f32[1], read x: f32[1]", "set y[0] = ((x[0] + 1e-8) - 1.0)", {
      y: floats(1),
      x: floats(1),
    });
    expect(y[0]).toBe(0);
  });

  test("symbols are scalars; grid extents may be zero", () => {
    const data = { y: new Int32Array(3) };
    run("write y: i32[T]", "set y[t] = (T - t)", data, { T: 3 }, "t = T");
    expect([...data.y]).toEqual([3, 2, 1]);
    run("write y: i32[3], read x: i32[T]", "set y[t] = 9", { ...data, x: new Int32Array(0) }, { T: 0 }, "t = T");
    expect([...data.y]).toEqual([3, 2, 1]);
  });
});

describe("copy", () => {
  test("converts to nearest even", () => {
    const x = Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, -2.5, 1e-40);
    const { y } = run("write y: bf16[4], read x: f32[4]", "copy y[0:+4] = x[0:+4]", { y: new Uint16Array(4), x });
    expect([...y].map(bf16ToF32)).toEqual([1, 1 + 2 ** -6, -2.5, bf16ToF32(f32ToBf16(1e-40))]);
  });

  test("narrows when a bf16 tile is written, widens when it is read", () => {
    const { y } = run(
      "write y: f32[1], read x: f32[1]",
      "alloc t: bf16[1] in ub copy t[0:+1] = x[0:+1] copy y[0:+1] = t[0:+1]",
      {
        y: floats(1),
        x: Float32Array.of(1 + 2 ** -9),
      },
    );
    expect(y[0]).toBe(1);
  });

  test("at drops a dimension, gather picks rows", () => {
    const body = `alloc p: i32[3] in scratch set p[0] = 2 set p[1] = 0 set p[2] = 2
      alloc t: f32[3, 2] in scratch copy t[0:+3, 0:+2] = x[gather(p, 3), 1, 1:+2] copy y[0:+3, 0:+2] = t[0:+3, 0:+2]`;
    const { y } = run("write y: f32[3, 2], read x: f32[3, 2, 3]", body, { y: floats(6), x: floats(18, 0) });
    expect([...y]).toEqual([16, 17, 4, 5, 16, 17]);
  });

  test("gather in the destination scatters", () => {
    const body = "alloc p: i32[2] in scratch set p[0] = 3 set p[1] = 1 copy y[gather(p, 2)] = x[0:+2]";
    const { y } = run("write y: f32[4], read x: f32[2]", body, { y: new Float32Array(4), x: floats(2) });
    expect([...y]).toEqual([0, 2, 0, 1]);
  });

  test("a tail reads zero beyond valid, and leaves memory beyond it alone", () => {
    const body = `alloc t: f32[2, 4] in scratch copy t[0:+2, 0:+4] = x[0:+2, 2:+4] valid (n, 3)
      copy y[0:+2, 0:+4] = t[0:+2, 0:+4] copy z[2:+2, 0:+4] = t[0:+2, 0:+4] valid (1, 9)`;
    const data = { x: floats(10), y: floats(8), z: floats(12, 100) };
    run("read x: f32[2, 5], write y: f32[2, 4], write z: f32[3, 4]", `let n = (1 + 0) ${body}`, data);
    expect([...data.y]).toEqual([3, 4, 5, 0, 0, 0, 0, 0]);
    expect([...data.z]).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 3, 4, 5, 0]);
  });

  test("no valid element touches nothing, wherever the view begins", () => {
    const { y } = run(
      "read x: f32[2*T], write y: f32[4]",
      "let n = (T - 9) copy y[(T * 100):+4] = x[n:+4] valid (n)",
      { x: floats(4), y: floats(4, 7) },
      { T: 2 },
    );
    expect([...y]).toEqual([7, 8, 9, 10]);
  });

  test("parts of one tile that do not meet, in both directions", () => {
    const body =
      "alloc t: f32[2, 2] in scratch copy t[0, 0:+2] = x[0:+2] copy t[1, 0:+2] = t[0, 0:+2] map t[0, 0:+2] = (a = t[1, 0:+2]) => (a * 2.0) copy y[0:+2, 0:+2] = t[0:+2, 0:+2]";
    const { y } = run("read x: f32[2], write y: f32[2, 2]", body, { x: floats(2), y: floats(4) });
    expect([...y]).toEqual([2, 4, 1, 2]);
  });

  test("integers widen", () => {
    const { y } = run("write y: i32[2], read x: i8[2]", "copy y[0:+2] = x[0:+2]", {
      y: new Int32Array(2),
      x: Int8Array.of(-1, 5),
    });
    expect([...y]).toEqual([-1, 5]);
  });
});

describe("map", () => {
  test("repeats inputs by the broadcast rule", () => {
    const body =
      "map y[0:+2, 0:+3] = (a = x[0:+2, 0:+1], b = x[0, 0:+3], c = x[1:+1, 2:+1], d = x[1, 2]) => (((a * 100.0) + (b * 10.0)) + (c - d))";
    const { y } = run("write y: f32[2, 3], read x: f32[2, 3]", body, { y: floats(6), x: floats(6) });
    expect([...y]).toEqual([110, 120, 130, 410, 420, 430]);
  });

  test("works in place, with scalars in scope", () => {
    const { y } = run("readwrite y: f32[3]", "let two = 2.0 map y[0:+3] = (v = y[0:+3]) => (v * two)", {
      y: floats(3),
    });
    expect([...y]).toEqual([2, 4, 6]);
  });

  test("valid limits what is read and written", () => {
    const { y } = run("write y: f32[2], read x: f32[3]", "map y[0:+4] = (v = x[1:+4]) => (v + 1.0) valid (2)", {
      y: floats(2),
      x: floats(3),
    });
    expect([...y]).toEqual([3, 4]);
  });

  test("a tile's elements beyond valid are undefined", () => {
    const body =
      "alloc t: f32[4] in scratch fill t[0:+4] = 0.0 map t[0:+4] = (v = x[0:+4]) => v valid (2) copy y[0:+1] = t[N:+1]";
    const data = { y: floats(1), x: floats(2), N: new Int32Array(1) };
    const at = (n: number) => run("write y: f32[1], read x: f32[2]", body.replace("N", String(n)), data);
    expect(at(1).y[0]).toBe(2);
    expect(() => at(2)).toThrow("t[2] is read before it has a value");
  });

  test("integers and conditions", () => {
    const body =
      "map y[0:+3] = (v = x[0:+3]) => select((v < 2), (v * 10), toInt(2.9)) map b[0:+3] = (v = x[0:+3]) => (v == 2)";
    const data = { y: new Int32Array(3), b: new Uint8Array(3), x: Int32Array.of(1, 2, 3) };
    run("write y: i32[3], write b: bool[3], read x: i32[3]", body, data);
    expect([...data.y]).toEqual([10, 2, 2]);
    expect([...data.b]).toEqual([0, 1, 0]);
  });
});

describe("mma", () => {
  const buffers = "read a: f32[2, 3], read b: f32[2, 3], write y: f32[2, 2]";
  const data = () => ({ a: floats(6), b: floats(6, 10), y: floats(4, -4) });

  test("adds a·bᵀ to the sums", () => {
    const body =
      "alloc acc: f32[2, 2] in register fill acc[0:+2, 0:+2] = 1.0 mma acc[0:+2, 0:+2] += a[0:+2, 0:+3] * b[0:+2, 0:+3] copy y[0:+2, 0:+2] = acc[0:+2, 0:+2]";
    expect([...run(buffers, body, data()).y]).toEqual([69, 87, 168, 213]);
  });

  test("init begins at zero, also over undefined sums", () => {
    const body =
      "alloc acc: f32[2, 2] in l0c for k = 0 to 3 step 1 { mma acc[0:+2, 0:+2] += a[0:+2, k:+1] * b[0:+2, k:+1] init (k == 0) } copy y[0:+2, 0:+2] = acc[0:+2, 0:+2]";
    expect([...run(buffers, body, data()).y]).toEqual([68, 86, 167, 212]);
    expect(() => run(buffers, body.replace("(k == 0)", "false"), data())).toThrow(
      "acc[0, 0] is read before it has a value",
    );
  });

  test("rows limits activations and sums", () => {
    const body =
      "let s = n[0] alloc acc: f32[2, 2] in register fill acc[0:+2, 0:+2] = 0.5 mma acc[0:+2, 0:+2] += a[s:+2, 0:+3] * b[0:+2, 0:+3] rows (2 - s) copy y[0:+2, 0:+2] = acc[0:+2, 0:+2]";
    const from = (n: number) => [...run(`${buffers}, read n: i32[1]`, body, { ...data(), n: Int32Array.of(n) }).y];
    expect(from(1)).toEqual([167.5, 212.5, 0.5, 0.5]);
    expect(from(2)).toEqual([0.5, 0.5, 0.5, 0.5]);
  });

  test("transposed factors have k first", () => {
    const body =
      "alloc acc: f32[2, 2] in register fill acc[0:+2, 0:+2] = 1.0 mma acc[0:+2, 0:+2] += a[0:+2, 0:+3] * b[0:+3, 0:+2] transposed copy y[0:+2, 0:+2] = acc[0:+2, 0:+2]";
    const buffers = "read a: f32[2, 3], read b: f32[3, 2], write y: f32[2, 2]";
    expect([...run(buffers, body, data()).y]).toEqual([77, 83, 185, 200]);
    expect(() => run(buffers, body.replace(" transposed", ""), data())).toThrow("[m, n] += [m, k] * [n, k]");
  });

  test("whole numbers are summed exactly, halves of bytes by themselves", () => {
    const bytes = (half: string) =>
      `alloc acc: i32[1, 2] in register fill acc[0:+1, 0:+2] = -7 mma acc[0:+1, 0:+2] += a[0:+1, 0:+3] * b[0:+2, 0:+3]${half} copy y[0:+1, 0:+2] = acc[0:+1, 0:+2]`;
    const sums = (half: string) => {
      const given = {
        a: Int8Array.of(-128, 127, 3),
        b: Uint8Array.of(255, 16, 0x3f, 1, 2, 0xf3),
        y: new Int32Array(2),
      };
      return [...run("read a: i8[1, 3], read b: u8[2, 3], write y: i32[1, 2]", bytes(half), given).y];
    };
    expect(sums("")).toEqual([-7 - 128 * 255 + 127 * 16 + 3 * 63, -7 - 128 + 127 * 2 + 3 * 243]);
    expect(sums(" half low")).toEqual([-7 - 128 * 15 + 3 * 15, -7 - 128 + 127 * 2 + 3 * 3]);
    expect(sums(" half high")).toEqual([-7 - 128 * 15 + 127 + 3 * 3, -7 + 3 * 15]);
    const doubled = Array.from({ length: 16 }, (_, i) => 2 * i).join(", ");
    expect(sums(` half high of (${doubled})`)).toEqual([-7 - 128 * 30 + 127 * 2 + 3 * 6, -7 + 3 * 30]);
  });

  test("bf16 factors are widened, sums rounded to f32 in order of k", () => {
    const body =
      "alloc acc: f32[1, 1] in register mma acc[0:+1, 0:+1] += a[0:+1, 0:+3] * b[0:+1, 0:+3] init true copy y[0:+1, 0:+1] = acc[0:+1, 0:+1]";
    const big = {
      a: Uint16Array.of(...[2 ** 24, 1, -(2 ** 24)].map(f32ToBf16)),
      b: Float32Array.of(1, 1, 1),
      y: floats(1),
    };
    expect(run("read a: bf16[1, 3], read b: f32[1, 3], write y: f32[1, 1]", body, big).y[0]).toBe(0);
  });
});

describe("reduce and top_k", () => {
  test("reduces the last dimension", () => {
    const body = "reduce sum s[0:+2] = x[0:+2, 0:+3] reduce max m[1] = x[1, 0:+2]";
    const data = { x: floats(6), s: floats(2), m: floats(2) };
    run("read x: f32[2, 3], write s: f32[2], write m: f32[2]", body, data);
    expect([...data.s]).toEqual([6, 15]);
    expect([...data.m]).toEqual([1, 5]);
  });

  const topK = (keys: readonly number[], k: number): number[] => {
    const n = keys.length;
    const body = `alloc t: f32[${n}] in scratch copy t[0:+${n}] = x[0:+${n}] top_k ids[0:+${k}] = t[0:+${n}]`;
    const data = { x: Float32Array.from(keys), ids: new Int32Array(k) };
    run(`read x: f32[${n}], write ids: i32[${k}]`, body, data);
    return [...data.ids];
  };

  test("chooses the largest, lowest index first on ties", () => {
    expect(topK([1, 3, 2, 3, 3, 0], 4)).toEqual([1, 3, 4, 2]);
    expect(topK([0, -0, 0], 3)).toEqual([0, 1, 2]);
    expect(topK([Number.NEGATIVE_INFINITY, 5, Number.NEGATIVE_INFINITY], 3)).toEqual([1, 0, 2]);
    expect(topK([Number.NaN, -1, Number.NEGATIVE_INFINITY, 2], 4)).toEqual([3, 1, 2, 0]);
  });

  test("destroys the keys", () => {
    const body = "alloc t: f32[2] in scratch fill t[0:+2] = 1.0 top_k ids[0:+1] = t[0:+2] copy y[0:+2] = t[0:+2]";
    expect(() => run("write ids: i32[1], write y: f32[2]", body, { ids: new Int32Array(1), y: floats(2) })).toThrow(
      "t[0] is read before it has a value",
    );
  });
});

test("of listed blocks only those in the list run", () => {
  const data = { hit: Int32Array.of(2, 3, 1, 0, 0), y: new Int32Array(8).fill(7) };
  run("read hit: i32[5], write y: i32[4, 2]", "set y[row, lane] = row", data, {}, "row = 4 of hit, lane = 2 lanes");
  expect([...data.y]).toEqual([7, 7, 1, 1, 7, 7, 3, 3]);
});

describe("workgroups", () => {
  const turn = (barrier: string, from = "(3 - lane)") =>
    run(
      "read x: i32[2, 4], write y: i32[2, 4]",
      `alloc t: i32[4] in workgroup for i = 0 to 2 step 1 {
        set t[lane] = x[i, lane] ${barrier} set y[i, lane] = t[${from}] ${barrier} }`,
      { x: Int32Array.from({ length: 8 }, (_, i) => i), y: new Int32Array(8) },
      {},
      "lane = 4 lanes",
    );

  test("lanes see what others wrote before a barrier", () => {
    expect([...(turn("barrier").y ?? [])]).toEqual([3, 2, 1, 0, 7, 6, 5, 4]);
  });

  test("without one they race, in whatever order they run", () => {
    expect(() => turn("")).toThrow(/lane = \d.*t\[\d\] is read/);
    expect(turn("", "lane").y).toBeDefined();
  });

  test("tiles have no value in the next workgroup", () => {
    const late = "alloc t: i32[2] in workgroup if (block < 1) { set t[lane] = 1 } set y[block, lane] = t[lane]";
    const data = { y: new Int32Array(4) };
    expect(() => run("write y: i32[2, 2]", late, data, {}, "block = 2, lane = 2 lanes")).toThrow(
      "before it has a value",
    );
  });
});

describe("prefetch", () => {
  const buffers = "readwrite x: f32[4, 4], write y: f32[4]";
  const data = (): Buffers => ({ x: floats(16), y: floats(4) });

  test("changes nothing, and may name what another block writes", () => {
    const body = "prefetch x[((b + 1) % 4), 0:+4] set x[b, 0] = 0.0 set y[b] = 2.0";
    const { x, y } = run(buffers, body, data(), {}, "b = 4");
    expect([...y]).toEqual([2, 2, 2, 2]);
    expect([...x]).toEqual(Array.from(floats(16), (v, i) => (i % 4 === 0 ? 0 : v)));
  });

  test("may look ahead of the buffer's end", () => {
    const { y } = run(buffers, "prefetch x[b, 0:+4] ahead 4096 set y[b] = 2.0", data(), {}, "b = 4");
    expect([...y]).toEqual([2, 2, 2, 2]);
  });

  test("stays inside the buffer", () => {
    const body = "prefetch x[(b + 1), 0:+4] set y[b] = 2.0";
    expect(() => run(buffers, body, data(), {}, "b = 4")).toThrow("block (b = 3)");
  });
});

describe("traps", () => {
  const trap = (
    body: string,
    message: string,
    buffers = "read x: f32[4], write y: f32[4], read p: i32[2]",
    grid = "",
  ) => {
    const data = { x: floats(4), y: floats(4), p: Int32Array.of(3, 4) };
    expect(() => run(buffers, body, data, {}, grid)).toThrow(message);
  };

  test("positions outside", () => {
    trap(
      "let n = p[1] set y[n] = 0.0",
      "kernel k, block (): position 4 lies outside dimension 0 of y [4], in: set y[n] = 0.0",
    );
    trap(
      "let n = p[0] copy y[0:+2] = x[n:+2]",
      "position 4 lies outside dimension 0 of x [4], in: copy y[0:+2] = x[n:+2]",
    );
    trap("let n = (p[0] - 4) fill y[n:+2] = 0.0", "position -1 lies outside dimension 0 of y");
    trap(
      "alloc q: i32[2] in scratch copy q[0:+2] = p[0:+2] copy y[0:+2] = x[gather(q, 2)]",
      "position 4 lies outside dimension 0 of x",
    );
    trap("alloc t: f32[4] in scratch let n = p[1] set t[n] = 0.0", "position 4 lies outside dimension 0 of t");
    trap("let n = p[0] copy y[0:+4] = x[n:+4] valid (2)", "position 4 lies outside dimension 0 of x");
  });

  test("the block is named", () => {
    trap("set y[((a * 3) + b)] = 0.0", "block (a = 1, b = 1): position 4", "write y: f32[4]", "a = 3, b = 3");
  });

  test("elements without a value", () => {
    trap("alloc t: f32[4] in scratch set t[1] = 0.0 copy y[0:+2] = t[0:+2]", "t[0] is read before it has a value");
    trap(
      "for i = 0 to 2 step 1 { alloc t: f32[1] in scratch if (i == 0) { set t[0] = 1.0 } set y[i] = t[0] }",
      "t[0] is read before",
    );
    trap("alloc t: i32[2] in scratch copy y[0:+2] = x[gather(t, 2)]", "t[1] is read before it has a value");
  });

  test("integers beyond their type", () => {
    trap("let n = p[1] let m = (n * 1000000000)", "mul gives 4000000000, which is no i32");
    trap("let n = (p[0] // (p[0] - 3))", "floorDiv gives Infinity");
    trap("let n = toInt((x[3] * 1e10))", "toInt gives 40000000000");
    expect(() => run("write y: i8[1]", "set y[0] = 128", { y: new Int8Array(1) })).toThrow("128 does not fit i8");
  });

  test("factors without a positive counterpart beside signed bytes", () => {
    const product = (a: number, b: "i8" | "u8") => {
      const body = "alloc s: i32[1, 1] in scratch mma s[0:+1, 0:+1] += a[0:+1, 0:+4] * b[0:+1, 0:+4] init true";
      const bytes = b === "i8" ? Int8Array.of(-128, 1, 2, 3) : Uint8Array.of(255, 1, 2, 3);
      return run(
        `read a: i8[1, 4], read b: ${b}[1, 4], write y: i32[1, 1]`,
        `${body} copy y[0:+1, 0:+1] = s[0:+1, 0:+1]`,
        {
          a: Int8Array.of(a, 0, 0, 1),
          b: bytes,
          y: new Int32Array(1),
        },
      ).y[0];
    };
    expect(product(-127, "i8")).toBe(127 * 128 + 3);
    expect(product(-128, "u8")).toBe(-128 * 255 + 3);
    expect(() => product(-128, "i8")).toThrow("a factor of signed bytes is -128");
  });

  test("buffers that do not fit", () => {
    const k = kernel("write y: bf16[4]", "fill y[0:+4] = 0.0");
    expect(() => runKernel(k, new Map(), {})).toThrow("expected buffer y: bf16[4], found none");
    expect(() => runKernel(k, new Map([["y", floats(4)]]), {})).toThrow("found Float32Array of 4 elements");
    expect(() => runKernel(k, new Map([["y", new Uint16Array(3)]]), {})).toThrow("found Uint16Array of 3 elements");
  });
});

describe("blocks", () => {
  const race = (buffers: string, body: string) => {
    const k = kernel(buffers, body, "b = 4");
    for (const order of ["forward", "reverse", { seed: 1 }, { seed: 2 }] as const) {
      expect(() => runKernel(k, new Map([["y", new Int32Array(8)]]), {}, { order })).toThrow("by");
      runKernel(k, new Map([["y", new Int32Array(8)]]), {}, { order, races: false });
    }
  };

  test("two blocks that write one element", () => race("write y: i32[8]", "set y[(b // 2)] = b"));
  test("a block that reads what another writes, in any order", () =>
    race("readwrite y: i32[8]", "set y[b] = y[((b + 1) % 4)]"));

  test("a block that writes what several read", () =>
    race("readwrite y: i32[8]", "let v = y[0] if (b == 3) { set y[0] = v }"));

  test("what a block wrote it may read and write again", () => {
    const data = { y: new Int32Array(4) };
    run("readwrite y: i32[4]", "set y[b] = b set y[b] = (y[b] + 1) set y[b] = (y[b] * 2)", data, {}, "b = 4");
    expect([...data.y]).toEqual([2, 4, 6, 8]);
  });

  test("many blocks may read one element that nobody writes", () => {
    const data = { y: Int32Array.of(5, 0, 0, 0) };
    run("readwrite y: i32[4]", "set y[(b + 1)] = y[0]", data, {}, "b = 3");
    expect([...data.y]).toEqual([5, 5, 5, 5]);
  });

  for (let seed = 1; seed <= 40; seed++) {
    test(`random kernel, seed ${seed}: any order of blocks gives the same`, () => {
      const T = 5;
      const results = (["forward", "reverse", { seed }] as const).map((order) => {
        const y = new Float32Array(T * 8);
        const slots = Int32Array.from({ length: T }, (_, i) => i * 3);
        const x = Float32Array.from({ length: T * 8 }, (_, i) => i / 8 - 2);
        runKernel(
          randomKernel(seed),
          new Map<string, TypedArray>([
            ["x", x],
            ["slots", slots],
            ["y", y],
          ]),
          { T },
          { order },
        );
        return [...y];
      });
      expect(results[1]).toEqual(results[0]);
      expect(results[2]).toEqual(results[0]);
    });
  }
});

describe("runProgram", () => {
  const program = parseProgram(`program @p (T) params() {
    input x: f32[T]
    weight w: bf16[1]
    prepared doubled: f32[1]
    temporary t: f32[T]
    output y: f32[T]
    slot (t) bytes (4*T)
    prepare kernel @double origin("map", "") (read w: bf16[1], write doubled: f32[1]) grid() {
      set doubled[0] = (w[0] * 2.0)
    }
    kernel @scale origin("map", "") (read x: f32[T], read doubled: f32[1], write t: f32[T]) grid(i = T) {
      if (x[i] < 3.0) { set t[i] = (x[i] * doubled[0]) }
    }
    kernel @shift origin("map", "") (read t: f32[T], write y: f32[T]) grid(i = T) { set y[i] = (t[i] + 1.0) }
  }`);
  const weights = new Map([["w", Uint16Array.of(f32ToBf16(1.5))]]);

  test("runs the preparation, then the kernels; what nobody wrote is NaN", () => {
    const x = floats(3);
    const buffers = runProgram(program, { weights, inputs: new Map([["x", x]]), dims: { T: 3 } });
    expect([...(buffers.get("doubled") ?? [])]).toEqual([3]);
    expect([...(buffers.get("y") ?? [])]).toEqual([4, 7, Number.NaN]);
    expect([...x]).toEqual([1, 2, 3]);
  });

  test("says what is missing", () => {
    expect(() => runProgram(program, { weights, inputs: new Map(), dims: { T: 3 } })).toThrow(
      "expected buffer x: f32[3], found none",
    );
    expect(() => runProgram(program, { weights, inputs: new Map(), dims: {} })).toThrow("dimension T has no value");
  });
});
