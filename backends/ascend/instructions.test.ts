import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AscendInstruction, AscendTable, reduceWorkElements } from "../../codegen/emit/ascend/index.ts";
import * as native from "../../runtime/native.ts";
import { generator } from "../simd-c/testing.ts";
import { buildLibrary, findCompiler } from "../toolchain/compiler.ts";
import { emulatorBuild } from "./emulator-build.ts";
import { instructions } from "./instructions.ts";
import { cppCompiler, supportHeaders } from "./support.ts";
import { ascendIsa } from "./target.ts";

/** Each instruction alone: its text runs on the emulator, its meaning here, on the same operands. */

const COUNT = 192;
const SCALAR = 3;

const types = {
  f32: { cpp: "float", array: Float32Array },
  i32: { cpp: "int32_t", array: Int32Array },
  i8: { cpp: "int8_t", array: Int8Array },
  i16: { cpp: "int16_t", array: Int16Array },
  bf16: { cpp: "bfloat16_t", array: Uint16Array },
  f16: { cpp: "half", array: Uint16Array },
  mask: { cpp: "uint8_t", array: Uint8Array },
} as const;
type Type = keyof typeof types;

/** What a hole of an instruction holds. */
function operandTypes(i: AscendInstruction): Readonly<Record<"d" | "a" | "b" | "m", Type>> {
  const [name = "", from = "f32", to] = i.op.split(".");
  const type = from as Type;
  const compares = ["lt", "le", "eq"].includes(name);
  return { d: compares ? "mask" : ((to as Type | undefined) ?? type), a: type, b: type, m: "mask" };
}

const holes = (i: AscendInstruction): string[] => [
  ...new Set([...i.text.matchAll(/\{(\w)\}/g)].map((m) => m[1] ?? "")),
];
const reads = (i: AscendInstruction): readonly ("d" | "a" | "b" | "m")[] => {
  const own = (["a", "b", "m"] as const).filter((h) => holes(i).includes(h));
  return /^(axpy|fma)\./.test(i.op) ? ["d", ...own] : own;
};
const functionOf = (i: AscendInstruction): string => i.op.replaceAll(".", "_");
const results = (i: AscendInstruction): number =>
  /^arg_max/.test(i.op) ? 2 : /^reduce/.test(i.op) ? 1 : operandTypes(i).d === "mask" ? COUNT / 8 : COUNT;

/** A kernel that brings the operands in, runs the one instruction, and takes the result out. */
function source(): string {
  const table = new AscendTable(ascendIsa());
  const parts = instructions.map((i) => {
    const t = operandTypes(i);
    const own = ["d", ...reads(i).filter((h) => h !== "d")] as const;
    const lines = [`void ${functionOf(i)}(${own.map((h) => `GM_ADDR ${h}_gm`).join(", ")}) {`, "  TPipe pipe;"];
    for (const h of own) {
      const { cpp } = types[t[h as "d"]];
      lines.push(
        `  GlobalTensor<${cpp}> ${h}_global; ${h}_global.SetGlobalBuffer(reinterpret_cast<${cpp} *>(${h}_gm));`,
        `  TBuf<TPosition::VECCALC> ${h}_buffer; pipe.InitBuffer(${h}_buffer, ${COUNT * 4});`,
        `  LocalTensor<${cpp}> ${h} = ${h}_buffer.Get<${cpp}>();`,
      );
    }
    for (const h of reads(i)) {
      const elements = h === "m" ? COUNT / 8 : COUNT;
      const size = types[t[h]].array.BYTES_PER_ELEMENT;
      const cpp = types[t[h]].cpp;
      lines.push(
        `  DataCopyPad(${h}, ${h}_global, DataCopyExtParams(1, ${elements * size}, 0, 0, 0), ZeroPad<${cpp}>(0));`,
      );
    }
    lines.push(
      `  TBuf<TPosition::VECCALC> w_buffer; pipe.InitBuffer(w_buffer, ${reduceWorkElements(COUNT, 4, true) * 4});`,
      "  LocalTensor<float> w = w_buffer.Get<float>(); (void)w;",
    );
    const s = t.a === "f32" ? `${SCALAR}.0f` : `static_cast<${types[t.a].cpp}>(${SCALAR})`;
    lines.push("  PipeBarrier<PIPE_ALL>();");
    lines.push(`  ${table.text(i.op, { d: "d", a: "a", b: "b", m: "m", w: "w", s, n: String(COUNT) })}`);
    const bytes = results(i) * types[t.d].array.BYTES_PER_ELEMENT;
    lines.push("  PipeBarrier<PIPE_ALL>();");
    lines.push(`  DataCopyPad(d_global, d, DataCopyExtParams(1, ${bytes}, 0, 0, 0));`, "}");
    lines.push(
      `extern "C" __attribute__((visibility("default"))) int32_t run_${functionOf(i)}(void *const *b, const int64_t *, int32_t) {`,
      "  try {",
      "    unmoor::ascend::Device device;",
      ...own.map((_, k) => `    device.registerBuffer(b[${k}], ${COUNT * 4}, "operand ${k}", true);`),
      `    device.launch("${i.op}", KERNEL_TYPE_AIV_ONLY, 1, ${functionOf(i)}, ${own.map((_, k) => `b[${k}]`).join(", ")});`,
      "    return 0;",
      "  } catch (const std::exception &e) { fault = e.what(); return 3; }",
      "}",
    );
    return lines.join("\n");
  });
  return [
    '#include "unmoor/ascend_host.h"',
    '#include "unmoor_kernel.h"',
    "using namespace AscendC;",
    "using namespace unmoor;",
    "static std::string fault;",
    'extern "C" __attribute__((visibility("default"))) const char *last_fault(void) { return fault.c_str(); }',
    ...parts,
  ].join("\n");
}

let folder = "";
let library: ReturnType<typeof native.openLibrary>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "unmoor-ascend-instructions-"));
  const compiler = await findCompiler(cppCompiler);
  const sources = new Map([["all.cpp", source()], ...supportHeaders()]);
  const { flags, objects } = await emulatorBuild(compiler);
  const content = await buildLibrary(compiler, sources, ["-shared", "-I.", ...flags], ["all.cpp", ...objects], {
    title: "the instructions",
    mend: "mend the table",
  });
  const path = join(folder, "all.so");
  writeFileSync(path, content);
  library = native.openLibrary(path);
}, 300_000);
afterAll(() => {
  library.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("each instruction does on the emulator what its meaning says", () => {
  it.each(instructions.map((i) => [i.op, i] as const))("%s", async (op, i) => {
    const seed = 4242;
    const random = generator(seed);
    const t = operandTypes(i);
    const make = (type: Type): number[] =>
      Array.from({ length: type === "mask" ? COUNT / 8 : COUNT }, () => {
        const x = random();
        if (type === "f32") return Math.fround(/^(log|sqrt)/.test(op) ? x + 0.01 : Math.round((x * 2 - 1) * 64) / 8);
        if (type === "i32") return Math.floor(x * 40) - 20;
        if (type === "i16") return Math.floor(x * 65536) - 32768;
        // Bits of finite halves.
        if (type === "bf16" || type === "f16") return Math.floor(x * 0x7000) | (random() < 0.5 ? 0x8000 : 0);
        return Math.floor(x * 256);
      });
    const operands = reads(i).map((h) => ({ hole: h, type: t[h], values: make(t[h]) }));
    const memoryOf = (type: Type, values: readonly number[]) => {
      const bytes = new Uint8Array(COUNT * 4);
      bytes.set(new Uint8Array(types[type].array.from(values).buffer));
      return bytes;
    };
    const own = operands.find((o) => o.hole === "d");
    const d = own ? memoryOf(own.type, own.values) : new Uint8Array(COUNT * 4);
    const others = operands.filter((o) => o.hole !== "d").map((o) => memoryOf(o.type, o.values));
    const { status } = await library.run(`run_${functionOf(i)}`, [d, ...others], []);
    expect(status, library.text("last_fault") ?? "").toBe(0);

    const bits = (values: readonly number[]): number[] =>
      Array.from({ length: COUNT }, (_, k) => ((values[k >> 3] ?? 0) >> (k & 7)) & 1);
    const byHole = new Map(operands.map((o) => [o.hole as string, o.type === "mask" ? bits(o.values) : o.values]));
    const order = ["d", "a", "b", "s", "m"].filter((h) => (h === "s" ? holes(i).includes("s") : byHole.has(h)));
    const args = order.map((h) => (h === "s" ? [SCALAR] : (byHole.get(h) ?? [])));
    const want = i.meaning(...(op.startsWith("fill") ? [[SCALAR], [COUNT]] : args));
    const raw = [...new types[t.d].array(d.buffer, 0, results(i))];
    const got =
      t.d === "mask" ? bits(raw) : op.startsWith("arg_max") ? [raw[0] ?? 0, new Int32Array(d.buffer)[1] ?? -1] : raw;
    expect(got.length).toBe(want.length);
    // The emulator computes these two in another way, or another order.
    const relative = /^(exp|log)/.test(op) ? 2 ** -22 : op.startsWith("reduce_sum") ? 2 ** -18 : 0;
    got.forEach((value, k) => {
      const target = want[k] ?? Number.NaN;
      const close =
        Object.is(value, target) ||
        value === target ||
        Math.abs(value - target) <= relative * Math.max(1, Math.abs(target));
      if (!close && !(Number.isNaN(value) && Number.isNaN(target)))
        throw new Error(`${op}, seed ${seed}, element ${k}: ${target} expected, ${value} found`);
    });
  });

  it("finds an unknown one in words", () => {
    expect(() => new AscendTable(ascendIsa()).text("floorDiv.i32", {})).toThrow(
      "the vector unit of dav-2201 has no instruction for floorDiv.i32",
    );
  });
});
