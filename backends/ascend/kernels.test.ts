import { beforeAll, describe, expect, it } from "vitest";
import type { Program, ProgramBuffer } from "../../codegen/program.ts";
import { at, gather, type KernelBuilder, kernelBuilder, load, range, view, whole } from "../../codegen/tile/builder.ts";
import { add, eq, floorDiv, lt, min, mod, mul, sub } from "../../codegen/tile/fold.ts";
import type { TypedArray } from "../../codegen/tile/interpreter.ts";
import type { Kernel } from "../../codegen/tile/types.ts";
import { Dim } from "../../ir/core/dim.ts";
import { apply, f32, i32, type ScalarExpr } from "../../ir/core/scalar.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import type { ElementType } from "../../ir/core/types.ts";
import * as native from "../../runtime/native.ts";
import { generator, interpret, numbers, origin, randomArray, testProgram } from "../simd-c/testing.ts";
import { createAscend } from "./index.ts";

/** Kernels made by hand, each with buffers of its own, in one program: it is compiled once. */
class Suite {
  readonly buffers: ProgramBuffer[] = [];
  readonly kernels: Kernel[] = [];

  kernel(name: string, body: (k: KernelBuilder, input: Declare, output: Declare) => void): void {
    const k = kernelBuilder(name, { ...origin, summary: name });
    const declare =
      (role: "input" | "output"): Declare =>
      (hint, dtype, ...dims) => {
        const b: ProgramBuffer = { name: `${name}_${hint}`, dtype, dims: dims.map((d) => Dim.of(d)), role };
        this.buffers.push(b);
        return role === "input" ? k.read(b) : k.write(b);
      };
    body(k, declare("input"), declare("output"));
    this.kernels.push(k.build());
  }

  program(): Program {
    return testProgram("suite", this.buffers, this.kernels);
  }
}
type Declare = (
  hint: string,
  dtype: ElementType,
  ...dims: readonly (number | string)[]
) => ReturnType<KernelBuilder["read"]>;

const call = (op: Parameters<typeof apply>[0], ...args: readonly ScalarExpr[]): ScalarExpr => apply(op, ...args);
const N = 20;

const suite = new Suite();

suite.kernel("arithmetic", (k, input, output) => {
  const [x, z] = [input("x", "f32", "T", N), input("z", "f32", "T", N)];
  const y = output("y", "f32", "T", N);
  const row = k.grid("row", "T");
  const s = k.letScalar("s", load(x, row, 3));
  k.map(view(y, row, range(0, N)), { a: view(x, row, range(0, N)), b: view(z, row, range(0, N)) }, ({ a, b }) => {
    const sum = call("sub", call("add", a, b), call("mul", call("neg", a), f32(0.25)));
    const bounded = call("max", call("min", sum, f32(2)), call("neg", call("abs", b)));
    const scalars = call("sub", f32(1.5), call("sub", call("add", s, bounded), s));
    const positive = call("add", call("mul", b, b), f32(0.5));
    const functions = call("add", call("exp", a), call("add", call("log", positive), call("sqrt", positive)));
    return call(
      "add",
      call("div", call("div", functions, positive), f32(3)),
      call("div", scalars, call("max", f32(1), positive)),
    );
  });
});

suite.kernel("conditions", (k, input, output) => {
  const [x, z] = [input("x", "f32", "T", N), input("z", "f32", "T", N)];
  const [y, truth] = [output("y", "f32", "T", N), output("truth", "f32", "T", N)];
  const row = k.grid("row", "T");
  const inputs = { a: view(x, row, range(0, N)), b: view(z, row, range(0, N)) };
  k.map(view(y, row, range(0, N)), inputs, ({ a, b }) =>
    call("select", call("lt", a, b), call("mul", a, f32(2)), call("select", call("le", f32(0), b), b, a)),
  );
  k.map(view(truth, row, range(0, N)), inputs, ({ a, b }) =>
    call(
      "select",
      call("or", call("and", call("lt", f32(0), a), call("not", call("lt", b, f32(0)))), call("eq", a, b)),
      f32(1),
      call("neg", a),
    ),
  );
});

suite.kernel("integers", (k, input, output) => {
  const [x, z] = [input("x", "i32", "T", N), input("z", "i32", "T", N)];
  const [y, less, f, g] = [
    output("y", "i32", "T", N),
    output("less", "i32", "T", N),
    output("f", "f32", "T", N),
    output("g", "i32", "T", N),
  ];
  const row = k.grid("row", "T");
  const inputs = { a: view(x, row, range(0, N)), b: view(z, row, range(0, N)) };
  k.map(view(y, row, range(0, N)), inputs, ({ a, b }) =>
    call("sub", call("mul", a, call("neg", b)), call("max", call("min", a, i32(7)), call("add", b, i32(2)))),
  );
  k.map(view(less, row, range(0, N)), inputs, ({ a, b }) =>
    call(
      "select",
      call("lt", a, b),
      i32(1),
      call("select", call("le", a, add(b, 1)), i32(2), call("select", call("eq", a, i32(9)), b, i32(4))),
    ),
  );
  k.map(view(f, row, range(0, N)), inputs, ({ a, b }) => call("div", call("toFloat", a), call("toFloat", add(b, 3))));
  k.map(view(g, row, range(0, N)), inputs, ({ a, b }) =>
    call("toInt", call("div", call("toFloat", sub(a, mul(b, 5))), f32(4))),
  );
});

suite.kernel("halves", (k, input, output) => {
  const [x, w] = [input("x", "bf16", "T", N), input("w", "bf16", 1)];
  const [y, zeros, ones] = [
    output("y", "bf16", "T", N),
    output("zeros", "bf16", "T", N),
    output("ones", "bf16", "T", N),
  ];
  const row = k.grid("row", "T");
  const factor = k.letScalar("factor", load(w, 0));
  k.map(view(y, row, range(0, N)), { a: view(x, row, range(0, N)) }, ({ a }) =>
    call("mul", call("add", a, call("mul", a, a)), factor),
  );
  k.fill(view(zeros, row, range(0, N)), 0);
  k.fill(view(ones, row, range(0, N)), 1.5);
});

suite.kernel("broadcast", (k, input, output) => {
  const [x, w, c] = [input("x", "f32", 3, 24), input("w", "f32", 24), input("c", "f32", 3, 1)];
  const y = output("y", "f32", 3, 24);
  const column = k.alloc("column", "f32", [3, 1], "ub");
  k.copy(whole(column), whole(c));
  k.map(whole(y), { a: whole(x), b: whole(w), c: whole(column) }, (v) => call("add", call("mul", v.a, v.b), v.c));
});

suite.kernel("partial", (k, input, output) => {
  const [x, lengths] = [input("x", "f32", "T", N), input("lengths", "i32", "T")];
  const [y, sums] = [output("y", "f32", "T", 32), output("sums", "f32", "T", 1)];
  const row = k.grid("row", "T");
  const length = k.letScalar("length", load(lengths, row));
  const tile = k.alloc("tile", "f32", [32], "ub");
  k.copy(whole(tile), view(x, row, range(0, 32)), { valid: [length] });
  const total = k.alloc("total", "f32", [1], "ub");
  k.reduce("sum", view(total, at(0)), whole(tile));
  k.copy(view(sums, row, range(0, 1)), whole(total));
  // In place, between a transfer in and a transfer out.
  k.map(whole(tile), { a: whole(tile) }, ({ a }) => call("add", a, f32(1)));
  k.copy(view(y, row, range(0, 32)), whole(tile));
});

suite.kernel("tail", (k, input, output) => {
  const x = input("x", "bf16", "T", N);
  const [y, most] = [output("y", "bf16", "T", 80), output("most", "f32", "T", 1)];
  const row = k.grid("row", "T");
  const tile = k.alloc("tile", "bf16", [80], "ub");
  k.copy(whole(tile), view(x, row, range(0, 80)), { valid: [N] });
  const wide = k.alloc("wide", "f32", [80], "ub");
  k.map(whole(wide), { a: whole(tile) }, ({ a }) => call("neg", call("abs", a)));
  const total = k.alloc("total", "f32", [1], "ub");
  k.reduce("max", view(total, at(0)), whole(wide));
  k.copy(view(most, row, range(0, 1)), whole(total));
  k.copy(view(y, row, range(0, 80)), whole(tile));
});

suite.kernel("matrices", (k, input, output) => {
  const [x, positions] = [input("x", "f32", 7, N), input("positions", "i32", 4)];
  const [y, same, converted, column] = [
    output("y", "f32", 4, N),
    output("same", "f32", 7, N),
    output("converted", "bf16", 3, N),
    output("column", "f32", 7),
  ];
  const places = k.alloc("places", "i32", [4], "ub");
  k.copy(whole(places), whole(positions));
  const rows = k.alloc("rows", "f32", [4, N], "ub");
  k.copy(whole(rows), view(x, gather(places), range(0, N)));
  k.copy(whole(y), whole(rows));
  k.copy(whole(same), whole(x));
  k.copy(whole(converted), view(x, range(2, 3), range(0, N)));
  const picked = k.alloc("picked", "f32", [7], "ub");
  k.copy(whole(picked), view(x, range(0, 7), at(5)));
  k.copy(whole(column), whole(picked));
});

suite.kernel("corner", (k, input, output) => {
  const x = input("x", "f32", 5, N);
  const y = output("y", "f32", 8, 32);
  const tile = k.alloc("tile", "f32", [8, 32], "ub");
  k.copy(whole(tile), view(x, range(0, 8), range(0, 32)), { valid: [5, N] });
  const other = k.alloc("other", "f32", [8, 32], "ub");
  k.copy(whole(other), whole(tile));
  k.copy(whole(y), whole(other));
});

suite.kernel("reductions", (k, input, output) => {
  const [x, i, h] = [input("x", "f32", 5, 100), input("i", "i32", 5, N), input("h", "bf16", 5, 16)];
  const [sums, most, counts, halves] = [
    output("sums", "f32", 5),
    output("most", "f32", 5),
    output("counts", "i32", 5),
    output("halves", "f32", 5),
  ];
  k.reduce("sum", whole(sums), whole(x));
  k.reduce("max", whole(most), whole(x));
  k.reduce("sum", whole(counts), whole(i));
  k.reduce("max", whole(halves), whole(h));
});

suite.kernel("largest", (k, input, output) => {
  const x = input("x", "f32", "T", 70);
  const ids = output("ids", "i32", "T", 6);
  const row = k.grid("row", "T");
  const keys = k.alloc("keys", "f32", [70], "ub");
  // Few different values: ties go to the lowest index.
  k.map(whole(keys), { a: view(x, row, range(0, 70)) }, ({ a }) =>
    call("toFloat", call("toInt", call("mul", a, f32(3)))),
  );
  k.topK(view(ids, row, range(0, 6)), whole(keys));
});

suite.kernel("counting", (k, input, output) => {
  const x = input("x", "i32", "T");
  const [histogram, order] = [output("histogram", "i32", 10), output("order", "i32", "T")];
  const tile = k.alloc("tile", "i32", [10], "ub");
  k.fill(whole(tile), 0);
  const tokens: ScalarExpr = { kind: "var", type: "i32", name: "T" };
  k.forLoop("t", 0, tokens, 1, (t) => {
    const value = k.letScalar("value", load(x, t));
    k.set(tile, value, add(load(tile, value), 1));
    k.when(
      eq(mod(value, 3), 0),
      () => k.set(order, t, floorDiv(sub(value, 20), 7)),
      () => k.set(order, t, min(value, 5)),
    );
  });
  k.copy(whole(histogram), whole(tile));
});

suite.kernel("accumulate", (k, input, output) => {
  const [x, z] = [input("x", "f32", 6, N), input("z", "f32", 6, N)];
  const y = output("y", "f32", N);
  const total = k.alloc("sum", "f32", [N], "ub");
  k.fill(whole(total), 0);
  k.forLoop("i", 0, 6, 1, (i) => {
    const part = k.alloc("part", "f32", [N], "ub");
    k.copy(whole(part), view(x, i, range(0, N)));
    const weight = k.letScalar("weight", load(z, i, 0));
    k.when(lt(i, 4), () =>
      k.map(whole(total), { sum: whole(total), part: whole(part) }, (v) =>
        call("add", v.sum, call("mul", v.part, weight)),
      ),
    );
    k.map(whole(total), { sum: whole(total), a: whole(part), b: view(z, i, range(0, N)) }, (v) =>
      call("add", v.sum, call("mul", v.a, v.b)),
    );
  });
  k.copy(whole(y), whole(total));
});

function product(
  name: string,
  dtype: "f32" | "bf16" | "i8",
  result: "f32" | "bf16" | "i32",
  m: number,
  n: number,
  depth: number,
): void {
  suite.kernel(name, (k, input, output) => {
    const [a, b] = [input("a", dtype, m, depth), input("b", dtype, n, depth)];
    const c = output("c", result, m, n);
    const sums = k.alloc("sums", dtype === "i8" ? "i32" : "f32", [32, 48], "l0c");
    k.forLoop("k", 0, depth, 32, (at0) => {
      const [left, right] = [k.alloc("a1", dtype, [32, 32], "l1"), k.alloc("b1", dtype, [48, 32], "l1")];
      const valid = k.letScalar("valid", min(sub(depth, at0), 32));
      k.copy(whole(left), view(a, range(0, 32), range(at0, 32)), { valid: [m, valid] });
      k.copy(whole(right), view(b, range(0, 48), range(at0, 32)), { valid: [n, valid] });
      const [l0a, l0b] = [k.alloc("a2", dtype, [32, 32], "l0a"), k.alloc("b2", dtype, [48, 32], "l0b")];
      k.copy(whole(l0a), whole(left));
      k.copy(whole(l0b), whole(right));
      k.mma(whole(sums), whole(l0a), whole(l0b), { init: eq(at0, 0), rows: m });
    });
    k.copy(view(c, range(0, 32), range(0, 48)), whole(sums), { valid: [m, n] });
  });
}
product("product_f32", "f32", "f32", 17, 33, 75);
product("product_bf16", "bf16", "f32", 32, 48, 64);
product("product_row", "f32", "f32", 1, 1, 5);
product("product_narrow", "bf16", "bf16", 3, 20, 41);
product("product_bytes", "i8", "i32", 17, 33, 75);
product("product_whole_bytes", "i8", "i32", 32, 48, 64);
product("product_row_of_bytes", "i8", "i32", 1, 1, 5);
product("product_narrow_bytes", "i8", "i32", 3, 20, 41);

suite.kernel("bytes", (k, input, output) => {
  const [x, positions] = [input("x", "i8", 5, 37), input("v", "i32", 5, 37)];
  const [y, z] = [output("y", "i8", 5, 70), output("z", "i8", 5, 37)];
  const row = k.grid("row", 5);
  const tile = k.alloc("tile", "i8", [70], "ub");
  k.copy(whole(tile), view(x, row, range(0, 70)), { valid: [37] });
  k.copy(view(y, row, range(0, 70)), whole(tile));
  const kept = k.alloc("kept", "i32", [37], "ub");
  k.map(whole(kept), { v: view(positions, row, range(0, 37)) }, ({ v }) =>
    call("max", call("min", v, i32(9)), i32(-9)),
  );
  k.copy(view(z, row, range(0, 37)), whole(kept));
});

const program = suite.program();
const T = 7;

describe("statements on the emulator agree with the tile interpreter", () => {
  const seed = 20260;
  const random = generator(seed);
  const given = new Map<string, TypedArray>(
    program.buffers
      .filter((b) => b.role === "input")
      .map((b) => [
        b.name,
        randomArray(
          b.dtype,
          b.dims.reduce((n, d) => n * d.evaluate({ T }), 1),
          random,
        ),
      ]),
  );
  const positions = given.get("matrices_positions");
  for (const i of positions?.keys() ?? []) if (positions) positions[i] = [6, 0, 3, 3][i] ?? 0;
  const lengths = given.get("partial_lengths");
  for (const i of lengths?.keys() ?? []) if (lengths) lengths[i] = [0, 1, 8, 9, 20, 17, 3][i] ?? 0;

  let found = new Map<string, Tensor>();
  let wanted = new Map<string, TypedArray>();
  beforeAll(async () => {
    wanted = interpret(program, given, { T });
    const backend = createAscend(native, { seed });
    const layer = await backend.load(program, backend.target("dav-2201"));
    try {
      await layer.setWeights(new Map());
      const inputs = program.buffers
        .filter((b) => b.role === "input")
        .map((b): [string, Tensor] => [
          b.name,
          {
            dtype: b.dtype,
            dims: b.dims.map((d) => d.evaluate({ T })),
            data: given.get(b.name) ?? new Float32Array(),
          } as Tensor,
        ]);
      const run = await layer.run(new Map(inputs), { T });
      found = new Map(run.outputs);
    } finally {
      await layer.close();
    }
  }, 300_000);

  it.each(program.buffers.filter((b) => b.role === "output").map((b) => [b.name, b] as const))(
    `%s, seed ${seed}`,
    (name, b) => {
      const tensor = found.get(name);
      const want = wanted.get(name);
      if (!tensor || !want) throw new Error(`${name} is missing`);
      const got = numbers(b.dtype, tensor.data as TypedArray);
      const expected = numbers(b.dtype, want);
      expect(got.length).toBe(expected.length);
      expect(got.length).toBeGreaterThan(0);
      // One rounding of the dtype, and for sums and functions a few of f32.
      const tolerance = b.dtype === "i32" || b.dtype === "i8" ? 0 : b.dtype === "bf16" ? 2 ** -8 : 2 ** -20;
      got.forEach((value, i) => {
        const target = expected[i] ?? Number.NaN;
        const bound = tolerance * Math.max(1, Math.abs(target));
        if (!(Math.abs(value - target) <= bound)) throw new Error(`${name}[${i}]: ${target} expected, ${value} found`);
      });
    },
  );
});
