import { describe, expect, test } from "vitest";
import { f32, silu } from "../../ir/core/scalar.ts";
import { noSpan } from "../../ir/core/span.ts";
import { gather, kernelBuilder, load, range, view, whole } from "./builder.ts";
import { add, floorDiv, lt, min, mul, sub } from "./fold.ts";
import { printKernel } from "./text.ts";

const origin = { op: "map", summary: "test", span: noSpan };

describe("kernelBuilder", () => {
  test("builds a grouped product whose text is clean", () => {
    const k = kernelBuilder("expert_up", { op: "grouped_linear", summary: "silu(up)", span: noSpan });
    const x = k.buffer("x", "bf16", ["T", 256], "read");
    const offsets = k.buffer("offsets", "i32", [17], "read");
    const slots = k.buffer("slots", "i32", ["4*T"], "read");
    const w = k.buffer("w", "bf16", [16, 4, 128, 1, 32, 2], "read");
    const h = k.buffer("h", "bf16", ["4*T", 128], "write");
    const e = k.grid("e", 16);
    const p = k.grid("p", 4);
    const first = k.letScalar("first", load(offsets, e));
    const count = k.letScalar("count", sub(load(offsets, add(e, 1)), first));
    k.forLoop("r", 0, count, 12, (r) => {
      const pos = k.alloc("pos", "i32", [12], "scratch");
      const rows = k.letScalar("rows", min(12, sub(count, r)));
      k.fill(whole(pos), 0);
      k.forLoop("i", 0, rows, 1, (i) => k.set(pos, i, floorDiv(load(slots, add(add(first, r), i)), 4)));
      const acc = k.alloc("acc", "f32", [12, 32], "register");
      k.fill(whole(acc), 0);
      k.forLoop("k", 0, 256, 2, (at) => {
        const panel = view(w, e, p, floorDiv(at, 2), 0, range(0, 32), range(0, 2));
        k.mma(whole(acc), view(x, gather(pos), range(at, 2)), panel, { rows });
      });
      const to = view(h, range(add(first, r), 12), range(mul(p, 32), 32));
      k.map(to, { g: whole(acc) }, ({ g }) => silu(g), { valid: [rows, 32] });
    });
    expect(printKernel(k.build())).toBe(`kernel @expert_up origin("grouped_linear", "silu(up)") (
  read x: bf16[T, 256],
  read offsets: i32[17],
  read slots: i32[4*T],
  read w: bf16[16, 4, 128, 1, 32, 2],
  write h: bf16[4*T, 128]
) grid(e = 16, p = 4) {
  let first = offsets[e]
  let count = (offsets[(e + 1)] - first)
  for r = 0 to count step 12 {
    alloc pos: i32[12] in scratch
    let rows = min(12, (count - r))
    fill pos[0:+12] = 0
    for i = 0 to rows step 1 {
      set pos[i] = (slots[((first + r) + i)] // 4)
    }
    alloc acc: f32[12, 32] in register
    fill acc[0:+12, 0:+32] = 0.0
    for k = 0 to 256 step 2 {
      mma acc[0:+12, 0:+32] += x[gather(pos, 12), k:+2] * w[e, p, (k // 2), 0, 0:+32, 0:+2] rows rows
    }
    map h[(first + r):+12, (p * 32):+32] = (g = acc[0:+12, 0:+32]) => (g * (1.0 / (1.0 + exp(neg(g))))) valid (rows, 32)
  }
}`);
  });

  test("gives taken names a number, so that nothing is hidden", () => {
    const k = kernelBuilder("names", origin);
    const x = k.buffer("x", "f32", ["T", 8], "readwrite");
    const t = k.grid("t", "T");
    k.forLoop("i", 0, 8, 1, (i) => k.set(x, [t, i], 1));
    k.forLoop("i", 0, 8, 1, (i) => k.set(x, [t, i], load(x, t, i)));
    const tile = k.alloc("T", "f32", [8], "scratch");
    k.copy(whole(tile), view(x, t, range(0, 8)));
    k.map(whole(tile), { x: whole(tile) }, ({ x: value }) => value);
    k.copy(view(x, t, range(0, 8)), whole(tile));
    const text = printKernel(k.build());
    expect(text).toContain("for i_1 = 0");
    expect(text).toContain("alloc T_1: f32[8]");
    expect(text).toContain("(x_1 = T_1[0:+8]) => x_1");
  });

  test("leaves out what constants decide", () => {
    const k = kernelBuilder("folded", origin);
    const y = k.buffer("y", "f32", [4], "write");
    expect(k.grid("one", 1)).toEqual(add(0, 0));
    k.forLoop("once", 0, 4, 4, (i) => k.set(y, i, 1));
    k.forLoop("never", 4, 4, 1, () => k.set(y, 0, 2));
    k.when(
      lt(1, 2),
      () => k.set(y, 1, 3),
      () => k.set(y, 1, 4),
    );
    expect(k.letScalar("c", add(1, 2))).toEqual(add(0, 3));
    expect(k.build().body).toHaveLength(2);
  });

  test("reading and writing one buffer makes it readwrite", () => {
    const k = kernelBuilder("update", origin);
    const buffer = { name: "y", dtype: "f32", dims: [4] } as const;
    k.read(buffer);
    const y = k.write(buffer);
    k.set(y, 0, load(y, 1));
    expect(k.build().buffers.map((b) => b.access)).toEqual(["readwrite"]);
    expect(() => k.read({ ...buffer, dims: [5] })).toThrow("expected buffer y with one type, found two");
  });

  test("a kernel is frozen all the way down", () => {
    const k = kernelBuilder("frozen", origin);
    const y = k.buffer("y", "f32", [4], "write");
    k.fill(whole(y), 1);
    const kernel = k.build();
    expect(() => Object.assign(kernel.body[0] ?? {}, { kind: "let" })).toThrow(TypeError);
    expect(() => k.fill(whole(y), 2)).toThrow(TypeError);
  });

  test("build refuses what the spec forbids", () => {
    const k = kernelBuilder("wrong", origin);
    const y = k.buffer("y", "f32", [4], "write");
    k.fill(view(y, range(0, 5)), f32(0));
    expect(() => k.build()).toThrow(
      "kernel wrong: expected positions of y from 0 to below 4, found y[0:+5] in: fill y[0:+5] = 0.0",
    );
  });

  test("mapFunction binds parameters in order", () => {
    const k = kernelBuilder("fn", origin);
    const x = k.buffer("x", "f32", [4], "read");
    const y = k.buffer("y", "f32", [4], "write");
    const fn = { params: ["g"], body: silu({ kind: "var", type: "f32", name: "g" }) } as const;
    k.mapFunction(whole(y), [whole(x)], fn);
    expect(k.build().body[0]).toMatchObject({ kind: "map", inputs: [{ name: "g" }] });
    expect(() => k.mapFunction(whole(y), [], fn)).toThrow("expected 1 inputs, found 0");
  });
});
