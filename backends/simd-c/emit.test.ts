import { afterAll, describe, expect, it } from "vitest";
import { emitC } from "../../codegen/emit/c/index.ts";
import type { Program, ProgramBuffer } from "../../codegen/program.ts";
import { at, gather, kernelBuilder, load, range, view, whole } from "../../codegen/tile/builder.ts";
import { add, floorDiv, mul, sub } from "../../codegen/tile/fold.ts";
import type { TypedArray } from "../../codegen/tile/interpreter.ts";
import type { View } from "../../codegen/tile/types.ts";
import { Dim } from "../../ir/core/dim.ts";
import { apply, f32, i32, silu, variable } from "../../ir/core/scalar.ts";
import type { ElementType } from "../../ir/core/types.ts";
import * as native from "../../runtime/native.ts";
import { ForeignProgram, machineFor } from "./foreign/testing.ts";
import { isaNames, scalar, simdTarget, vectorIsa } from "./targets.ts";
import { BuiltProgram, generator, interpret, numbers, origin, randomArray, testProgram } from "./testing.ts";

const seed = 4711;
const open: { close(): void }[] = [];
afterAll(() => {
  for (const p of open) p.close();
});

/** Variants of other CPUs take an emulator's time: some only in the long run of tests, AVX-512 beside the layers of test/avx512.test.ts. */
const isas = isaNames
  .map((name) => ({ isa: name, machine: machineFor(vectorIsa(name), native) }))
  .filter(
    ({ isa, machine }) =>
      !["neon", "avx512", "avx512-vnni", "avx512-bf16"].includes(isa) ||
      (typeof machine !== "string" && machine.native) ||
      process.env.UNMOOR_TEST_ALL === "1",
  );
const skipped = isas.flatMap(({ isa, machine }) => (typeof machine === "string" ? [{ isa, machine }] : []));
it.skip.each(skipped)("C for $isa: skipped, $machine", () => {});

/** A program built for a variant, here or for an emulator. */
function build(program: Program, isa: string): BuiltProgram<native.NativeMemory> | ForeignProgram {
  const machine = machineFor(vectorIsa(isa), native);
  if (typeof machine === "string") throw new Error(machine);
  const built = machine.native
    ? new BuiltProgram(native, program, isa)
    : new ForeignProgram(program, vectorIsa(isa), machine);
  open.push(built);
  return built;
}

const buffer = (
  name: string,
  dtype: ElementType,
  dims: readonly (number | string)[],
  role: ProgramBuffer["role"],
): ProgramBuffer => ({
  name,
  dtype,
  dims: dims.map((d) => Dim.of(d)),
  role,
});

/** Inputs and weights of a program, random. */
function randomGiven(program: Program, dims: Readonly<Record<string, number>>): Map<string, TypedArray> {
  const random = generator(seed);
  return new Map(
    program.buffers
      .filter((b) => b.role === "input" || b.role === "weight")
      .map((b) => [
        b.name,
        randomArray(
          b.dtype,
          b.dims.reduce((n, d) => n * d.evaluate(dims), 1),
          random,
        ),
      ]),
  );
}

/** Results agree with the tile interpreter's within a relative tolerance of each element's scale; the same bits for 1, 2, 3 threads. */
async function agrees(
  program: Program,
  isa: string,
  cases: readonly {
    readonly dims: Readonly<Record<string, number>>;
    readonly given?: ReadonlyMap<string, TypedArray>;
  }[],
  tolerance: number,
): Promise<void> {
  const built = build(program, isa);
  for (const { dims, given = randomGiven(program, dims) } of cases) {
    const expected = interpret(program, given, dims);
    const runs = [];
    for (const threads of built instanceof BuiltProgram ? [1, 2, 3] : [1, 3])
      runs.push(await built.run(given, dims, threads));
    for (const b of program.buffers) {
      if (b.role !== "output") continue;
      const where = `${program.name} ${isa} ${b.name} ${JSON.stringify(dims)} seed ${seed}`;
      const found = numbers(b.dtype, runs[0]?.get(b.name) as TypedArray);
      const wanted = numbers(b.dtype, expected.get(b.name) as TypedArray);
      expect(found.length, where).toBe(wanted.length);
      for (const [i, w] of wanted.entries()) {
        const f = found[i] ?? Number.NaN;
        if (Object.is(f, w) || f === w) continue;
        if (!(Math.abs(f - w) <= tolerance * Math.max(1, Math.abs(w)))) expect(f, `${where} [${i}]`).toBe(w);
      }
      for (const run of runs.slice(1)) {
        const [a, other] = [runs[0], run].map((r) => r?.get(b.name) as TypedArray) as [TypedArray, TypedArray];
        expect(Buffer.from(other.buffer).equals(Buffer.from(a.buffer)), `${where}: other bits with more threads`).toBe(
          true,
        );
      }
    }
  }
}

const T = variable("T", "i32");

/** Rows of x times packed panels of w, with an epilogue over two halves: the register tile in all its row counts. */
function product(
  isa: string,
  dtypes: { readonly x: ElementType; readonly w: ElementType; readonly y: ElementType },
  columns: number,
  gathered: boolean,
): Program {
  const target = simdTarget(isa);
  if (target.matmul.kind !== "registers") throw new Error("simd-c multiplies in registers");
  const { rows, columns: width } = target.matmul;
  const depth = dtypes.x === "bf16" && dtypes.w === "bf16" && vectorIsa(isa).types.pairs !== undefined ? 2 : 1;
  const half = width / 2;
  const inner = 22;
  const steps = inner / depth;
  const panels = Math.ceil(columns / half);
  const buffers = [
    buffer("x", dtypes.x, ["T", inner], "input"),
    buffer("slots", "i32", ["T"], "input"),
    buffer("w", dtypes.w, [panels, steps, width, depth], "weight"),
    buffer("y", dtypes.y, ["T", columns], "output"),
  ];
  const [x, slots, w, y] = buffers as [ProgramBuffer, ProgramBuffer, ProgramBuffer, ProgramBuffer];
  const b = kernelBuilder("gate_up", origin);
  b.read(x);
  if (gathered) b.read(slots);
  b.read(w);
  b.write(y);
  const panel = b.grid("panel", panels);
  let start = i32(0);
  for (const size of rows) {
    const end = b.letScalar("end", add(start, mul(floorDiv(sub(T, start), size), size)));
    b.forLoop("row", start, end, size, (row) => {
      const acc = b.alloc("acc", "f32", [size, width], "register");
      const positions = gathered ? b.alloc("positions", "i32", [size], "scratch") : undefined;
      if (positions) b.forLoop("i", 0, size, 1, (i) => b.set(positions, i, floorDiv(load(slots, add(row, i)), 10)));
      b.forLoop("step", 0, steps, 1, (step) =>
        b.mma(
          whole(acc),
          view(x, positions ? gather(positions) : range(row, size), range(mul(step, depth), depth)),
          view(w, panel, step, range(0, width), range(0, depth)),
          { init: apply("eq", step, i32(0)) },
        ),
      );
      const out = b.alloc("out", "f32", [size, half], "register");
      const part = (q: number) => view(acc, range(0, size), range(q * half, half));
      b.map(whole(out), { g: part(0), u: part(1) }, ({ g, u }) => apply("mul", silu(g), u));
      b.copy(view(y, range(row, size), range(mul(panel, half), half)), whole(out), {
        valid: [size, sub(columns, mul(panel, half))],
      });
    });
    start = end;
  }
  return testProgram("product", buffers, [b.build()]);
}

/** y = f(x), by rows of 64. */
function functionProgram(op: "exp" | "log"): Program {
  const buffers = [buffer("x", "f32", ["T", 64], "input"), buffer("y", "f32", ["T", 64], "output")];
  const [x, y] = buffers as [ProgramBuffer, ProgramBuffer];
  const b = kernelBuilder("by_rows", origin);
  b.read(x);
  b.write(y);
  const block = b.grid("block", "T");
  b.map(view(y, block, range(0, 64)), { v: view(x, block, range(0, 64)) }, ({ v }) => apply(op, v));
  return testProgram(op === "exp" ? "exponential" : "logarithm", buffers, [b.build()]);
}

describe.each(isas.filter((i) => typeof i.machine !== "string"))("C for $isa", ({ isa }) => {
  const lanes = Math.max(2, (simdTarget(isa).spaces.register?.alignment ?? 4) / 4);
  const rows = simdTarget(isa).matmul.rows;
  const tile = typeof rows === "number" ? rows : (rows[0] ?? 1);
  const tokens = [0, 1, tile - 1, tile, tile + 1, 2 * tile + 3].map((t) => ({ dims: { T: t } }));

  it.each([
    { x: "f32", w: "f32", y: "f32" },
    { x: "bf16", w: "bf16", y: "bf16" },
    { x: "f32", w: "bf16", y: "f32" },
    { x: "bf16", w: "f32", y: "f32" },
  ] as const)(`multiplies $x by $w in register tiles, tile ± 1 rows and columns (seed ${seed})`, async (dtypes) => {
    const half = (simdTarget(isa).matmul.columns as number) / 2;
    const tolerance = dtypes.y === "bf16" ? 2 ** -7 : 2e-5;
    for (const columns of [half - 1, half, half + 1].filter((c) => c > 0)) {
      await agrees(product(isa, dtypes, columns, false), isa, tokens, tolerance);
    }
  });

  it.each([15, 24, 127, 255])(
    "sums the largest products of halves of bytes, up to %i, without saturating",
    async (most) => {
      const values = most === 15 ? {} : { values: Array.from({ length: 16 }, (_, i) => Math.floor((i * most) / 15)) };
      const width = simdTarget(isa).matmul.columns as number;
      // More groups in a row than lanes of 16 bits take.
      const groups = 11;
      const buffers = [
        buffer("x", "i8", [4, 8 * groups], "input"),
        buffer("w", "u8", [groups, width, 4], "weight"),
        buffer("y", "i32", [4, width], "output"),
      ];
      const [x, w, y] = buffers as [ProgramBuffer, ProgramBuffer, ProgramBuffer];
      const b = kernelBuilder("halves", origin);
      for (const each of [x, w]) b.read(each);
      b.write(y);
      b.grid("block", 1);
      const acc = b.alloc("acc", "i32", [4, width], "register");
      b.fill(whole(acc), 7);
      for (let g = 0; g < groups; g++)
        for (const half of ["low", "high"] as const) {
          const from = half === "low" ? 4 * g : 4 * (groups + g);
          const codes = view(w, g, range(0, width), range(0, 4));
          b.mma(whole(acc), view(x, range(0, 4), range(from, 4)), codes, { half, ...values });
        }
      b.copy(view(y, range(0, 4), range(0, width)), whole(acc));
      const row = [127, -128, 1, -1].map((value) => Array.from({ length: 8 * groups }, () => value));
      const given = new Map<string, TypedArray>([
        ["x", Int8Array.from(row.flat())],
        ["w", new Uint8Array(groups * width * 4).fill(255)],
      ]);
      await agrees(testProgram("halves", buffers, [b.build()]), isa, [{ dims: {}, given }], 0);
    },
  );

  const signed = vectorIsa(isa).instructions.some(({ op }) => op === "dot.signed");
  it.runIf(signed)("sums the largest products of signed bytes without saturating", async () => {
    const width = simdTarget(isa).matmul.columns as number;
    const buffers = [
      buffer("x", "i8", [2, 8], "input"),
      buffer("w", "i8", [2, width, 4], "weight"),
      buffer("y", "i32", [2, width], "output"),
    ];
    const [x, w, y] = buffers as [ProgramBuffer, ProgramBuffer, ProgramBuffer];
    const b = kernelBuilder("signed", origin);
    for (const each of [x, w]) b.read(each);
    b.write(y);
    b.grid("block", 1);
    const acc = b.alloc("acc", "i32", [2, width], "register");
    b.fill(whole(acc), 7);
    for (let g = 0; g < 2; g++)
      b.mma(whole(acc), view(x, range(0, 2), range(4 * g, 4)), view(w, g, range(0, width), range(0, 4)));
    b.copy(view(y, range(0, 2), range(0, width)), whole(acc));
    const given = new Map<string, TypedArray>([
      ["x", Int8Array.from({ length: 16 }, (_, i) => (i < 8 ? 127 : -127))],
      ["w", Int8Array.from({ length: 8 * width }, (_, i) => (i % 8 < 4 ? -128 : 127))],
    ]);
    await agrees(testProgram("signed", buffers, [b.build()]), isa, [{ dims: {}, given }], 0);
  });

  it(`gathers rows in place (seed ${seed})`, async () => {
    const program = product(isa, { x: "f32", w: "f32", y: "f32" }, lanes, true);
    const cases = [tile + 2, 2 * tile].map((t) => {
      const given = randomGiven(program, { T: t });
      const random = generator(seed + t);
      given.set(
        "slots",
        Int32Array.from({ length: t }, () => Math.floor(random() * t * 10)),
      );
      return { dims: { T: t }, given };
    });
    await agrees(program, isa, cases, 2e-5);
  });

  it.each([
    { m: 1, n: 2 * lanes, k: 3, transposed: true },
    { m: 9, n: 3 * lanes + 1, k: 5, transposed: true },
    { m: 5, n: lanes - 1, k: lanes + 3, transposed: true },
    { m: 1, n: 1, k: 2 * lanes, transposed: false },
    { m: 9, n: 7, k: 3 * lanes + 1, transposed: false },
    { m: 3, n: 5, k: lanes - 1, transposed: false },
  ])(`sums products in memory: %j (seed ${seed})`, async ({ m, n, k, transposed }) => {
    for (const [x, w] of [
      ["f32", "f32"],
      ["f32", "bf16"],
      ["bf16", "bf16"],
    ] as const) {
      const buffers = [
        buffer("x", x, ["T", m, k], "input"),
        buffer("w", w, transposed ? [k, n] : [n, k], "input"),
        buffer("y", "f32", ["T", m, n], "output"),
        buffer("part", "f32", ["T", m, n], "output"),
      ];
      const [a, c, y, part] = buffers as [ProgramBuffer, ProgramBuffer, ProgramBuffer, ProgramBuffer];
      const b = kernelBuilder("memory", origin);
      for (const r of [a, c]) b.read(r);
      for (const r of [y, part]) b.write(r);
      const block = b.grid("block", "T");
      const sums = b.alloc("sums", "f32", [m, n], "scratch");
      const rows = view(a, block, range(0, m), range(0, k));
      const columns = view(c, ...c.dims.map((d) => range(0, d.constant ?? 1)));
      const order = transposed ? ({ transposed } as const) : {};
      b.fill(whole(sums), 0.5);
      b.mma(whole(sums), rows, columns, order);
      b.copy(view(y, block, range(0, m), range(0, n)), whole(sums));
      // As many rows as the block's number says, on top of what is there.
      b.mma(whole(sums), rows, columns, { ...order, rows: block });
      b.copy(view(part, block, range(0, m), range(0, n)), whole(sums));
      await agrees(testProgram("memory", buffers, [b.build()]), isa, [{ dims: { T: m + 2 } }], 2e-5);
    }
  });

  it.each([1, lanes - 1, lanes, lanes + 1, 4 * lanes + 3])(
    "maps rows of %i columns with tails, broadcasts and conversions",
    async (n) => {
      const buffers = [
        buffer("x", "bf16", ["T", n], "input"),
        buffer("scale", "f32", [n], "input"),
        buffer("bias", "f32", ["T", 1], "input"),
        buffer("y", "f32", ["T", n], "output"),
        buffer("z", "bf16", ["T", n], "output"),
        buffer("count", "i32", ["T", n], "output"),
      ];
      const [x, scale, bias, y, z, count] = buffers as ProgramBuffer[] as [
        ProgramBuffer,
        ProgramBuffer,
        ProgramBuffer,
        ProgramBuffer,
        ProgramBuffer,
        ProgramBuffer,
      ];
      const b = kernelBuilder("rows", origin);
      for (const r of [x, scale, bias]) b.read(r);
      for (const r of [y, z, count]) b.write(r);
      const block = b.grid("block", "T");
      const row = (base: ProgramBuffer, width = n) => view(base, range(block, 1), range(0, width));
      b.map(row(y), { v: row(x), s: view(scale, range(0, n)), c: row(bias, 1) }, ({ v, s, c }) =>
        apply("select", apply("lt", v, f32(0)), apply("div", v, f32(3)), apply("add", apply("mul", v, s), c)),
      );
      b.map(row(z), { v: row(x), s: view(scale, range(0, n)) }, ({ v, s }) => apply("sub", v, s));
      b.map(row(count), { v: row(x) }, ({ v }) => apply("floorDiv", apply("toInt", apply("mul", v, f32(100))), i32(7)));
      await agrees(
        testProgram("rows", buffers, [b.build()]),
        isa,
        [{ dims: { T: 0 } }, { dims: { T: 3 } }, { dims: { T: 700 } }],
        1e-6,
      );
    },
  );

  it("copies with valid counts: zeros in tiles, nothing written beyond", async () => {
    const n = 2 * lanes + 1;
    const buffers = [
      buffer("x", "f32", ["T", n], "input"),
      buffer("y", "f32", ["T", n], "output"),
      buffer("sums", "f32", ["T"], "output"),
    ];
    const [x, y, sums] = buffers as [ProgramBuffer, ProgramBuffer, ProgramBuffer];
    const b = kernelBuilder("tiles", origin);
    b.read(x);
    b.write(y);
    b.write(sums);
    b.grid("one", "T");
    const height = 4;
    const wide = Math.ceil(n / vectorIsa(isa).lanes) * vectorIsa(isa).lanes;
    const first = variable("one", "i32");
    const whenFirst = apply("eq", apply("mod", first, i32(height)), i32(0));
    b.when(whenFirst, () => {
      const t = b.alloc("t", "f32", [height, wide], "scratch");
      const total = b.alloc("total", "f32", [height], "scratch");
      const counts = [sub(T, first), n];
      b.copy(whole(t), view(x, range(first, height), range(0, wide)), { valid: counts });
      b.map(whole(t), { v: whole(t) }, ({ v }) => apply("add", v, v));
      b.reduce("sum", whole(total), whole(t));
      b.copy(view(y, range(first, height), range(0, wide)), whole(t), { valid: counts });
      b.copy(view(sums, range(first, height)), whole(total), { valid: [sub(T, first)] });
      const r = b.alloc("r", "f32", [height, wide], "register");
      b.copy(whole(r), view(x, range(first, height), range(0, wide)), { valid: counts });
      b.copy(view(y, range(first, height), range(0, wide)), whole(r), { valid: counts });
    });
    const cases = [0, 1, 3, 4, 5, 9].map((t) => ({ dims: { T: t } }));
    await agrees(testProgram("tiles", buffers, [b.build()]), isa, cases, 1e-5);
  });

  it("keeps the vectors of a register tile apart from tiles of one name", async () => {
    const n = 4 * lanes;
    const buffers = [buffer("x", "f32", ["T", n], "input"), buffer("y", "f32", ["T", n], "output")];
    const [x, y] = buffers as [ProgramBuffer, ProgramBuffer];
    const b = kernelBuilder("names", origin);
    b.read(x);
    b.write(y);
    const token = b.grid("token", "T");
    // Vectors part_0 … part_3, then tiles that C would call part_2, part_3.
    const parts = ["register", "scratch", "scratch"].map((space) => b.alloc("part", "f32", [n], space));
    for (const part of parts) b.copy(whole(part), view(x, token, range(0, n)));
    const [p, q, r] = parts.map((part) => whole(part)) as [View, View, View];
    b.map(view(y, token, range(0, n)), { p, q, r }, (v) => apply("add", v.p, apply("mul", v.q, v.r)));
    await agrees(testProgram("names", buffers, [b.build()]), isa, [{ dims: { T: 2 } }], 1e-6);
  });

  it.each([
    [1, 1],
    [lanes + 1, 3],
    [5 * lanes + 2, 12 > 5 * lanes ? 5 : 12],
  ])("finds the largest of %i keys (%i of them), lowest index on ties", async (n, k) => {
    const buffers = [
      buffer("keys", "f32", ["T", n], "input"),
      buffer("ids", "i32", ["T", k], "output"),
      buffer("top", "f32", ["T"], "output"),
    ];
    const [keys, ids, top] = buffers as [ProgramBuffer, ProgramBuffer, ProgramBuffer];
    const b = kernelBuilder("choose", origin);
    b.read(keys);
    b.write(ids);
    b.write(top);
    const token = b.grid("token", "T");
    const t = b.alloc("t", "f32", [n], "scratch");
    b.copy(whole(t), view(keys, token, range(0, n)));
    b.reduce("max", view(top, token), whole(t));
    b.topK(view(ids, at(token), range(0, k)), whole(t));
    const program = testProgram("choose", buffers, [b.build()]);
    const random = generator(seed);
    const coarse = Float32Array.from({ length: 40 * n }, () => Math.floor(random() * 8) - 4);
    const flat = new Float32Array(3 * n).fill(Number.NEGATIVE_INFINITY);
    await agrees(
      program,
      isa,
      [
        { dims: { T: 40 }, given: new Map([["keys", coarse]]) },
        { dims: { T: 3 }, given: new Map([["keys", flat]]) },
      ],
      0,
    );
  });

  it("computes exp within 3 + 2|x| ulp, to infinity, to zero, and keeps NaN", async () => {
    const built = build(functionProgram("exp"), isa);
    const random = generator(seed);
    const specials = [
      0,
      -0,
      88.72,
      88.73,
      89,
      1000,
      Infinity,
      -87.3,
      -87.4,
      -100,
      -103.9,
      -104,
      -200,
      -Infinity,
      NaN,
      1e-40,
    ];
    const rowsOf = 200;
    const data = Float32Array.from(
      { length: 64 * rowsOf },
      (_, i) => specials[i] ?? (random() - 0.5) * (i % 2 === 0 ? 200 : 4),
    );
    const found = (await built.run(new Map([["x", data]]), { T: rowsOf }, 2)).get("y") as Float32Array;
    for (const [i, v] of data.entries()) {
      const exact = Math.exp(v);
      const f = found[i] as number;
      const where = `exp(${v}) = ${f} on ${isa}, exact ${exact} (seed ${seed})`;
      if (Number.isNaN(v)) expect(f, where).toBeNaN();
      else if (exact === 0) expect(f, where).toBe(0);
      else if (Math.fround(exact) === Infinity || f === Infinity) expect(exact, where).toBeGreaterThan(3.402e38);
      else expect(Math.abs(f - exact), where).toBeLessThanOrEqual((3 + 2 * Math.abs(v)) * 2 ** -23 * exact + 2 ** -126);
    }
    expect(found[6]).toBe(Infinity);
    expect(found[13]).toBe(0);
  });

  it("computes log within 3 ulp or 2^-21, also of denormals, and -inf, inf, NaN", async () => {
    const built = build(functionProgram("log"), isa);
    const random = generator(seed);
    const specials = [0, -0, -1, Infinity, NaN, 2 ** -149, 2 ** -130, 2 ** -126, 1, 3.4e38, 0.5, 2];
    const data = Float32Array.from(
      { length: 64 * 200 },
      (_, i) => specials[i] ?? (i % 2 === 0 ? (1 + random()) * 2 ** Math.floor(random() * 250 - 125) : 0.5 + random()),
    );
    const found = (await built.run(new Map([["x", data]]), { T: 200 }, 1)).get("y") as Float32Array;
    for (const [i, v] of data.entries()) {
      const exact = Math.log(v);
      const f = found[i] as number;
      const where = `log(${v}) = ${f} on ${isa}, exact ${exact} (seed ${seed})`;
      if (Number.isFinite(exact)) {
        expect(Math.abs(f - exact), where).toBeLessThanOrEqual(Math.max(2 ** -21, 3 * 2 ** -23 * Math.abs(exact)));
      } else expect(f, where).toBe(exact);
    }
  });

  it("says which buffer is lacking or misaligned, and refuses bad sizes", async () => {
    const program = product(isa, { x: "f32", w: "f32", y: "f32" }, 2, false);
    const built = build(program, isa);
    if (!(built instanceof BuiltProgram)) return;
    const memory = new Uint8Array(4096);
    const good = program.buffers.map(() => memory.subarray(0, 4096 - 64));
    expect(await built.status([memory.subarray(1), ...good], [0], 1)).toBe(1);
    expect(await built.status([...good, memory], [-1], 1)).toBe(2);
    expect(JSON.parse(built.describe() ?? "")).toMatchObject({ layer: "product", isa, symbols: ["T"] });
  });
});

it("names the operation and the ISA where an instruction is missing", () => {
  const avx2 = vectorIsa("avx2");
  const without = { ...avx2, instructions: avx2.instructions.filter((i) => i.op !== "fma.f32") };
  const program = product("avx2", { x: "f32", w: "f32", y: "f32" }, 8, false);
  expect(() => emitC(program, without, scalar)).toThrow("avx2 has no instruction for fma.f32");
});

it("prefetches each line of a view once, where the variant can", () => {
  const x = buffer("x", "bf16", [8, 4, 32, 2], "input");
  const y = buffer("y", "f32", [8], "output");
  const b = kernelBuilder("hint", origin);
  b.read(x);
  b.write(y);
  const i = b.grid("i", 8);
  b.prefetch(view(x, i, 2, range(0, 32), range(0, 2)));
  b.prefetch(view(x, i, range(0, 2), range(16, 8), range(0, 2)));
  b.prefetch(view(x, i, 3, range(0, 16), range(0, 2)), 1024);
  b.set(y, i, 1);
  const program = testProgram("hint", [x, y], [b.build()]);
  const lines = (isa: string): readonly string[] =>
    [...(emitC(program, vectorIsa(isa), scalar).get("hint.c") ?? "").matchAll(/_mm_prefetch\(.*?\((x.*?)\), /g)].map(
      (match) => match[1] ?? "",
    );
  for (const isa of ["avx2", "avx512-bf16"])
    expect(lines(isa)).toEqual([
      "x + i * 256 + 128",
      "x + i * 256 + 160",
      "x + i * 256 + 32",
      "x + i * 256 + 96",
      "x + i * 256 + 1216",
    ]);
  expect(lines("scalar")).toEqual([]);
});

it("tests every variant that there is, where the CPU can", () => {
  expect(isas.length).toBeGreaterThan(skipped.length);
  expect(isaNames).toEqual([
    "avx512-bf16",
    "avx512-vnni",
    "avx512",
    "avx2",
    "neon-bf16",
    "neon-dotprod",
    "neon",
    "wasm-simd128",
    "scalar",
  ]);
});
