import { describe, expect, it } from "vitest";
import { wgslLanguage } from "../../../backends/wgsl/functions.ts";
import { Dim } from "../../../ir/core/dim.ts";
import { apply, silu, variable } from "../../../ir/core/scalar.ts";
import type { Program, ProgramBuffer } from "../../program.ts";
import { gather, kernelBuilder, load, range, view, whole } from "../../tile/builder.ts";
import { add, lt, min, mul, sub } from "../../tile/fold.ts";
import type { Kernel } from "../../tile/types.ts";
import { expectGolden } from "../testing.ts";
import { emitKernel, emitWgsl } from "./index.ts";
import { Names } from "./names.ts";

const span = { file: "layer.ts", line: 12, column: 7, length: 4 };
const dims = (...d: (number | string)[]) => d.map((x) => Dim.of(x));

const buffers: ProgramBuffer[] = [
  { name: "x", dtype: "f32", dims: dims("T", 64), role: "input" },
  { name: "slots", dtype: "i32", dims: dims("4*T"), role: "input" },
  { name: "offsets", dtype: "i32", dims: dims(9), role: "input" },
  { name: "gate", dtype: "f32", dims: dims(8, 32, 64), role: "weight" },
  { name: "up", dtype: "f32", dims: dims(8, 32, 64), role: "weight" },
  { name: "hidden", dtype: "f32", dims: dims("4*T", 32), role: "output" },
];

/** Gate and up of the experts' rows, four rows and two columns at a time, each row gathered where it stands. */
function gateUp(): Kernel {
  const k = kernelBuilder("gate_up", { op: "grouped_linear", summary: "expert gate and up, silu(gate) * up", span });
  const [x, slots, offsets, gate, up] = buffers.slice(0, 5).map((b) => k.read(b));
  const hidden = k.write(buffers[5] as ProgramBuffer);
  if (!x || !slots || !offsets || !gate || !up) throw new Error("five buffers are read");
  const e = k.grid("expert", 8);
  const c = k.grid("column", 16);
  const first = k.letScalar("first", load(offsets, e));
  const end = k.letScalar("end", load(offsets, add(e, 1)));
  k.forLoop("row", first, end, 4, (row) => {
    const rows = k.letScalar("rows", min(4, sub(end, row)));
    const positions = k.alloc("positions", "i32", [4], "register");
    const slotOf = k.alloc("slot", "i32", [4], "register");
    k.copy(whole(slotOf), view(slots, range(row, 4)), { valid: [rows] });
    k.map(whole(positions), { slot: whole(slotOf) }, ({ slot }) =>
      apply("floorDiv", slot, { kind: "const", type: "i32", value: 4 }),
    );
    const g = k.alloc("g", "f32", [4, 2], "register");
    const u = k.alloc("u", "f32", [4, 2], "register");
    k.fill(whole(g), 0);
    k.fill(whole(u), 0);
    k.forLoop("k", 0, 64, 4, (i) => {
      const token = view(x, gather(positions), range(i, 4));
      k.mma(whole(g), token, view(gate, e, range(mul(c, 2), 2), range(i, 4)), { rows });
      k.mma(whole(u), token, view(up, e, range(mul(c, 2), 2), range(i, 4)), { rows });
    });
    k.map(
      view(hidden, range(row, 4), range(mul(c, 2), 2)),
      { g: whole(g), u: whole(u) },
      (v) => apply("mul", silu(v.g), v.u),
      {
        valid: [rows, { kind: "const", type: "i32", value: 2 }],
      },
    );
  });
  return k.build();
}

const program: Program = {
  name: "experts",
  params: { H: 64, I: 32, E: 8, K: 4 },
  symbols: ["T"],
  buffers,
  prepare: [],
  kernels: [gateUp()],
  choices: [],
  results: [{ name: "hidden", buffer: "hidden" }],
  memory: { slots: [] },
};

const golden = (name: string, text: string): void => expectGolden(new URL(`./goldens/${name}`, import.meta.url), text);

describe("emitWgsl", () => {
  it("prints a grouped product as it stands in the golden files", () => {
    const { plan, modules } = emitWgsl(program, wgslLanguage);
    golden("gate_up.wgsl", modules.get("kernels/gate_up.wgsl") ?? "");
    golden("plan.json.golden", `${JSON.stringify(plan, null, 2)}\n`);
  });

  it("refuses buffers that WGSL does not store, and private arrays larger than WGSL guarantees, in words", () => {
    const first = buffers[0] as ProgramBuffer;
    expect(() => emitWgsl({ ...program, buffers: [{ ...first, dtype: "bool" }] }, wgslLanguage)).toThrow(
      "the buffer x holds bool, which is not stored in WGSL",
    );
    const k = kernelBuilder("large", { op: "route", summary: "router", span });
    k.alloc("logits", "f32", [2048], "scratch");
    k.alloc("scores", "f32", [2049], "scratch");
    expect(() => emitWgsl({ ...program, kernels: [k.build()] }, wgslLanguage)).toThrow(
      "router (layer.ts:12:7) keeps 16388 bytes of arrays per invocation, and WGSL guarantees twice 8192",
    );
  });

  it("keeps comments on one line, whatever the summary says", () => {
    const k = kernelBuilder("plain", { op: "map", summary: "two\nlines\u2028three", span });
    const y = k.write({ name: "y", dtype: "f32", dims: [1] });
    k.fill(whole(y), 1);
    const { text } = emitKernel(k.build(), [], wgslLanguage);
    expect(text.split(/[\n\u2028]/)[0]).toBe("// two lines three");
  });

  describe("lets lanes share reads", () => {
    const product = (rows: number, subgroupLanes: 4 | 8, columns = 8, parted = false) => {
      const k = kernelBuilder("product", { op: "linear", summary: "product", span });
      const x = k.read({ name: "x", dtype: "f32", dims: [rows, 4] });
      const w = k.read({ name: "w", dtype: "f32", dims: [columns, 4] });
      const few = k.read({ name: "few", dtype: "i32", dims: [1] });
      const y = k.write({ name: "y", dtype: "f32", dims: [rows, columns] });
      const lane = k.grid("lane", columns, { lanes: true });
      const sums = k.alloc("sums", "f32", [rows, 1], "register");
      k.fill(whole(sums), 0);
      k.when(lt(parted ? lane : load(few, 0), 5), () =>
        k.mma(whole(sums), whole(x), view(w, range(lane, 1), range(0, 4))),
      );
      k.copy(view(y, range(0, rows), range(lane, 1)), whole(sums));
      return emitKernel(k.build(), [], { ...wgslLanguage, features: ["subgroups"], subgroupLanes });
    };
    const count = (text: string, of: RegExp): number => text.match(of)?.length ?? 0;

    it("only where all of them come", () => {
      expect(product(4, 4).text).toContain("quadBroadcast(");
      expect(product(4, 4, 8, true).text).not.toContain("quadBroadcast(");
      expect(product(8, 8, 8, true).text).not.toContain("subgroupShuffle(");
    });

    it("by eight where subgroups have so many and rows are whole eights, else by four", () => {
      const eights = product(16, 8);
      expect(count(eights.text, /let x_octet\w* = /g)).toBe(2);
      expect(count(eights.text, /subgroupShuffle\(x_octet\w*, eight \+ [0-7]u\)/g)).toBe(16);
      expect(eights.subgroupLanes).toBe(8);
      for (const quads of [product(16, 4), product(12, 8)]) {
        expect(quads.text).not.toContain("subgroupShuffle(");
        expect(quads.subgroupLanes).toBeUndefined();
      }
    });

    it("in workgroups of whole eights, however few the columns are", () => {
      expect(product(8, 8, 2).workgroupSize).toBe(8);
      expect(product(4, 4, 2).workgroupSize).toBe(4);
    });
  });

  it("refuses division by the constant zero", () => {
    const k = kernelBuilder("divide", { op: "map", summary: "divide", span });
    const y = k.write({ name: "y", dtype: "i32", dims: dims("T") });
    const t = k.grid("t", "T");
    const kernel = k.build();
    const value = apply("floorDiv", variable("t", "i32"), { kind: "const", type: "i32", value: 0 });
    const broken: Kernel = { ...kernel, body: [{ kind: "set", base: y.name, index: [t], value }] };
    expect(() => emitKernel(broken, ["T"], wgslLanguage)).toThrow("divides by zero");
  });
});

describe("Names", () => {
  it("gives each hint a WGSL identifier of its own", () => {
    const names = new Names(["helper"]);
    const given = ["x", "x", "filter", "exp", "2d", "_", "__a", "größe", "helper", ""].map((hint) =>
      names.unique(hint),
    );
    expect(new Set(given).size).toBe(given.length);
    for (const name of given) expect(name).toMatch(/^[A-Za-z][A-Za-z0-9_]*$/);
    expect(given.slice(0, 4)).toEqual(["x", "x_1", "filter_1", "exp_1"]);
  });
});
