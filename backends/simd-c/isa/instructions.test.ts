import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { VectorIsa } from "../../../codegen/emit/c/index.ts";
import { commonFlags, InstructionTable } from "../../../codegen/emit/c/isa.ts";
import type { Instruction } from "../../../codegen/instructions.ts";
import { e4m3 } from "../../../ir/core/float8.ts";
import { bf16ToF32, f16ToF32, f32ToBf16 } from "../../../ir/core/float16.ts";
import { elementArrays } from "../../../ir/core/tensor.ts";
import { dtypeBytes, type ElementType, isFloat, isFloatElement } from "../../../ir/core/types.ts";
import * as native from "../../../runtime/native.ts";
import { machineFor, writeSources } from "../foreign/testing.ts";
import { supportHeaders } from "../support.ts";
import { isaNames, scalar, vectorIsa } from "../targets.ts";
import { fusedMultiplyAdd } from "./meanings.ts";

const seed = 20260101;
const CASES = 96;

type Kind =
  | "f32"
  | "i32"
  | "mask"
  | "pairs"
  | "quads.i8"
  | "quads.u8"
  | "symmetric"
  | "halves"
  | "shorts"
  | "one.f32"
  | "one.i32"
  | "one.bool"
  | "memory"
  | "count";

/** Operands and result of an operation, from its name. Operands in the order a, b, c, p, n. */
function signature(op: string): { readonly operands: readonly Kind[]; readonly result: Kind } {
  const [name = "", type = ""] = op.split(".");
  const t = type as "f32" | "i32";
  if (["add", "sub", "mul", "div", "min", "max", "scale", "floorDiv", "mod", "pair_add"].includes(name))
    return { operands: [t, t], result: t };
  if (["neg", "abs", "sqrt", "round", "floor", "exponent", "mantissa"].includes(name))
    return { operands: [t], result: t };
  if (name === "fma") return { operands: [t, t, t], result: t };
  if (["lt", "le", "eq"].includes(name)) return { operands: [t, t], result: "mask" };
  if (name === "select") return { operands: ["mask", t, t], result: t };
  if (name === "toInt") return { operands: ["f32"], result: "i32" };
  if (name === "toFloat") return { operands: ["i32"], result: "f32" };
  if (name === "and" || name === "or") return { operands: ["mask", "mask"], result: "mask" };
  if (name === "not") return { operands: ["mask"], result: "mask" };
  if (name === "any") return { operands: ["mask"], result: "one.bool" };
  if (name === "broadcast") return { operands: [`one.${type}` as Kind], result: type === "bool" ? "mask" : t };
  if (["load", "load_even", "load_odd", "broadcast_load"].includes(name))
    return { operands: ["memory"], result: isFloatElement(type as ElementType) ? "f32" : "i32" };
  if (name === "load_partial") return { operands: ["memory", "count"], result: type === "i32" ? "i32" : "f32" };
  if (name === "store") return { operands: [isFloat(type as ElementType) ? "f32" : "i32", "memory"], result: "memory" };
  if (name === "store_partial")
    return { operands: [type === "i32" ? "i32" : "f32", "memory", "count"], result: "memory" };
  if (name === "prefetch") return { operands: ["memory"], result: "memory" };
  if (name.startsWith("reduce_")) return { operands: [t], result: `one.${t}` };
  if (op === "dot.quads") return { operands: ["quads.i8", "quads.u8", "i32"], result: "i32" };
  if (op === "dot.signed") return { operands: ["symmetric", "quads.i8", "i32"], result: "i32" };
  if (name === "low_half" || name === "high_half") return { operands: ["quads.u8"], result: "quads.u8" };
  if (name === "load_quads" || name === "broadcast_quad")
    return { operands: ["memory"], result: `quads.${type}` as Kind };
  if (op === "lookup.u8") return { operands: ["halves", "memory"], result: "quads.u8" };
  if (op === "dot.halves") return { operands: ["quads.i8", "halves", "shorts"], result: "shorts" };
  if (op === "widen.pairs") return { operands: ["shorts", "i32"], result: "i32" };
  if (name === "dot") return { operands: ["pairs", "pairs", "f32"], result: "f32" };
  if (name === "load_pairs" || name === "broadcast_pair") return { operands: ["memory"], result: "pairs" };
  throw new Error(`no signature for ${op}`);
}

/** mulberry32 */
function generator(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const specials = [
  0,
  -0,
  1,
  -1,
  0.5,
  1.5,
  2.5,
  -3.5,
  Infinity,
  -Infinity,
  NaN,
  2 ** -149,
  -(2 ** -140),
  2 ** -126,
  3.4e38,
  -3.4e38,
  1 + 2 ** -8,
  1 + 3 * 2 ** -8,
  1 + 2 ** -11,
  1 + 3 * 2 ** -11,
  65519,
  65520,
  2 ** -14 - 2 ** -26,
  5 * 2 ** -25,
];

/** A random operand value that the operation takes. */
function value(op: string, operand: number, type: "f32" | "i32", random: () => number): number {
  const [name = ""] = op.split(".");
  if (type === "i32") {
    if (op === "store.i8") return byte("i8", random);
    if (name === "reduce_add") return Math.floor((random() - 0.5) * 2 ** 24);
    if (name === "mul") return Math.floor((random() - 0.5) * 2 ** 16);
    const x = Math.floor((random() - 0.5) * (random() < 0.5 ? 2 ** 30 : 16));
    return (name === "floorDiv" || name === "mod") && operand === 1 && x === 0 ? 7 : x;
  }
  if (name === "scale") return operand === 0 ? Math.fround(0.25 + random() * 3) : Math.floor(random() * 300) - 170;
  if (name === "exponent" || name === "mantissa")
    return Math.fround((1 + random()) * 2 ** Math.floor(random() * 252 - 126));
  if (name === "round") return Math.fround((random() - 0.5) * (random() < 0.3 ? 2 ** 22 : 20));
  if (name === "toInt") return Math.fround((random() - 0.5) * (random() < 0.5 ? 2 ** 31 : 20));
  // Reductions say nothing of NaN.
  if (name === "dot" || name.startsWith("reduce_"))
    return Math.fround((random() - 0.5) * 2 ** Math.floor(random() * 20 - 10));
  if (random() < 0.25) return Math.fround(specials[Math.floor(random() * specials.length)] ?? 0);
  return Math.fround((random() - 0.5) * 2 ** Math.floor(random() * 60 - 30));
}

/** A random byte, also the ends of the range. */
const byte = (type: "i8" | "u8", random: () => number): number =>
  Math.floor(random() * 256) - (type === "i8" ? 128 : 0);

const f32Bytes = (values: readonly number[]): Buffer => Buffer.from(Float32Array.from(values).buffer);
const i32Bytes = (values: readonly number[]): Buffer => Buffer.from(Int32Array.from(values).buffer);
const bf16Bytes = (values: readonly number[]): Buffer => Buffer.from(Uint16Array.from(values, f32ToBf16).buffer);

interface Operand {
  readonly lanes: readonly number[];
  readonly bytes: Buffer;
}

function operand(i: Instruction, at: number, kind: Kind, lanes: number, random: () => number): Operand {
  const draw = (n: number, type: "f32" | "i32"): number[] =>
    Array.from({ length: n }, () => value(i.op, at, type, random));
  switch (kind) {
    case "f32":
    case "one.f32": {
      const values = draw(kind === "f32" ? lanes : 1, "f32");
      return { lanes: values, bytes: f32Bytes(values) };
    }
    case "i32":
    case "one.i32": {
      const values = draw(kind === "i32" ? lanes : 1, "i32");
      return { lanes: values, bytes: i32Bytes(values) };
    }
    case "mask":
    case "one.bool": {
      const rare = random() < 0.5;
      const values = Array.from({ length: kind === "mask" ? lanes : 1 }, () => Number(random() < (rare ? 0.03 : 0.5)));
      return { lanes: values, bytes: i32Bytes(values) };
    }
    case "halves": {
      const values = Array.from({ length: 4 * lanes }, () => byte("u8", random) & 15);
      return { lanes: values, bytes: Buffer.from(values) };
    }
    case "shorts": {
      // Seven pairs of products are in them at most before the last is added.
      const values = Array.from({ length: 2 * lanes }, () => Math.floor((random() * 2 - 1) * 7 * 2 * 15 * 128));
      return { lanes: values, bytes: Buffer.from(Int16Array.from(values).buffer) };
    }
    case "symmetric":
    case "quads.i8":
    case "quads.u8": {
      const type = kind === "quads.u8" ? "u8" : "i8";
      const least = kind === "symmetric" ? -127 : -128;
      const values = Array.from({ length: 4 * lanes }, () => Math.max(least, byte(type, random)));
      return { lanes: values, bytes: Buffer.from(new elementArrays[type](values).buffer) };
    }
    case "pairs": {
      const values = draw(2 * lanes, "f32").map((x) => bf16ToF32(f32ToBf16(x)));
      return { lanes: values, bytes: bf16Bytes(values) };
    }
    case "memory": {
      const count = memoryElements(lanes);
      if (i.memory === "i32") {
        const values = draw(count, "i32");
        return { lanes: values, bytes: i32Bytes(values) };
      }
      if (i.memory === "i8" || i.memory === "u8") {
        const { memory } = i;
        const values = Array.from({ length: count }, () => byte(memory, random));
        return { lanes: values, bytes: Buffer.from(new elementArrays[memory](values).buffer) };
      }
      if (i.memory === "f8") {
        const bits = Uint8Array.from({ length: count }, () => byte("u8", random));
        return { lanes: Array.from(bits, (b) => e4m3[b] ?? Number.NaN), bytes: Buffer.from(bits.buffer) };
      }
      if (i.memory === "f16") {
        const bits = Uint16Array.from({ length: count }, () => Math.floor(random() * 2 ** 16));
        return { lanes: Array.from(bits, f16ToF32), bytes: Buffer.from(bits.buffer) };
      }
      const values = draw(count, "f32");
      if (i.memory === "f32") return { lanes: values, bytes: f32Bytes(values) };
      const rounded = values.map((x) => bf16ToF32(f32ToBf16(x)));
      return { lanes: rounded, bytes: bf16Bytes(rounded) };
    }
    case "count": {
      const n = Math.floor(random() * (lanes + 1));
      return { lanes: [n], bytes: i32Bytes([n]) };
    }
  }
}

/** More than any instruction reads, so that a store that writes too much is seen. */
const memoryElements = (lanes: number): number => Math.max(16, 4 * lanes) + 4;

const cTypes = {
  f32: "float",
  f16: "uint16_t",
  bf16: "uint16_t",
  f8: "uint8_t",
  i32: "int32_t",
  i8: "int8_t",
  u8: "uint8_t",
} as const;

/** C that reads an instruction's operands for each case from stdin and writes its result to stdout. */
function harness(i: Instruction, isa: VectorIsa): string {
  const table = new InstructionTable(isa);
  const { operands, result } = signature(i.op);
  const L = isa.lanes;
  const lines: string[] = [];
  const holes: Record<string, string> = {};
  const letters = ["a", "b", "c"];
  const memory = cTypes[(i.memory ?? "f32") as keyof typeof cTypes];
  for (const kind of operands) {
    if (kind === "memory") {
      lines.push(`${memory} p[${memoryElements(L)}]; READ(p);`);
      holes.p = "p";
      continue;
    }
    if (kind === "count") {
      lines.push("int32_t n; READ1(n);");
      holes.n = "n";
      continue;
    }
    const name = letters.shift() ?? "";
    holes[name] = name;
    const p = { base: `raw_${name}`, offset: "" };
    if (kind === "f32")
      lines.push(
        `float raw_${name}[${L}]; READ(raw_${name}); const ${isa.types.f32} ${name} = ${table.text("load.f32", { p })};`,
      );
    if (kind === "i32")
      lines.push(
        `int32_t raw_${name}[${L}]; READ(raw_${name}); const ${isa.types.i32} ${name} = ${table.text("load.i32", { p })};`,
      );
    if (kind === "mask") {
      const zero = table.text("broadcast.i32", { a: "0" });
      const mask = table.text("lt.i32", { a: zero, b: table.text("load.i32", { p }) });
      lines.push(`int32_t raw_${name}[${L}]; READ(raw_${name}); const ${isa.types.bool} ${name} = ${mask};`);
    }
    if (["quads.i8", "quads.u8", "symmetric", "halves", "shorts"].includes(kind))
      lines.push(
        `uint8_t raw_${name}[${4 * L}]; READ(raw_${name}); const ${isa.types.quads} ${name} = ${table.text("load_quads.u8", { p })};`,
      );
    if (kind === "pairs")
      lines.push(
        `uint16_t raw_${name}[${2 * L}]; READ(raw_${name}); const ${isa.types.pairs} ${name} = ${table.text("load_pairs.bf16", { p })};`,
      );
    if (kind === "one.f32") lines.push(`float ${name}; READ1(${name});`);
    if (kind === "one.i32" || kind === "one.bool") lines.push(`int32_t ${name}; READ1(${name});`);
  }
  const text = table.text(i.op, { ...holes, ...(holes.p ? { p: { base: "p", offset: "" } } : {}) });
  const out = { base: "out", offset: "" };
  switch (result) {
    case "memory":
      lines.push(`${text};`, "WRITE(p);");
      break;
    case "f32":
      lines.push(`float out[${L}]; ${table.text("store.f32", { p: out, a: text })}; WRITE(out);`);
      break;
    case "i32":
      lines.push(`int32_t out[${L}]; ${table.text("store.i32", { p: out, a: text })}; WRITE(out);`);
      break;
    case "mask": {
      const [one, zero] = ["1", "0"].map((a) => table.text("broadcast.i32", { a })) as [string, string];
      const ints = table.text("select.i32", { a: text, b: one, c: zero });
      lines.push(`int32_t out[${L}]; ${table.text("store.i32", { p: out, a: ints })}; WRITE(out);`);
      break;
    }
    case "quads.i8":
    case "quads.u8":
    case "shorts":
      lines.push(`const ${isa.types.quads} out = ${text}; fwrite(&out, sizeof out, 1, stdout);`);
      break;
    case "pairs":
      lines.push(`const ${isa.types.pairs} out = ${text}; fwrite(&out, sizeof out, 1, stdout);`);
      break;
    case "one.f32":
      lines.push(`const float out[1] = {${text}}; WRITE(out);`);
      break;
    default:
      lines.push(`const int32_t out[1] = {${text}}; WRITE(out);`);
  }
  return `static void test_${i.op.replace(/\W/g, "_")}(void) {\n  ${lines.join("\n  ")}\n}`;
}

function decode(kind: Kind, i: Instruction, bytes: Buffer): number[] {
  const copy = new Uint8Array(bytes).buffer;
  if (kind === "quads.i8" || (kind === "memory" && i.memory === "i8")) return [...new Int8Array(copy)];
  if (kind === "quads.u8") return [...new Uint8Array(copy)];
  if (kind === "shorts") return [...new Int16Array(copy)];
  if (kind === "pairs" || (kind === "memory" && i.memory === "bf16"))
    return Array.from(new Uint16Array(copy), bf16ToF32);
  if (kind === "memory" && i.memory === "f16") return Array.from(new Uint16Array(copy), f16ToF32);
  if (kind === "f32" || kind === "one.f32" || (kind === "memory" && i.memory === "f32"))
    return [...new Float32Array(copy)];
  return [...new Int32Array(copy)];
}

function resultBytes(kind: Kind, i: Instruction, lanes: number): number {
  if (kind === "memory") return memoryElements(lanes) * dtypeBytes[i.memory ?? "f32"];
  return kind.startsWith("one.") ? 4 : 4 * lanes;
}

/** Each row of avx512-vnni is one of avx512-bf16 or of avx512 as well. */
const isas = isaNames.filter((name) => name !== "avx512-vnni" || process.env.UNMOOR_TEST_ALL === "1");

describe.each(isas)("instructions of %s", (name) => {
  const isa = vectorIsa(name);
  const machine = machineFor(isa, native);
  it.skipIf(typeof machine === "string")(
    `each mean what the table says (seed ${seed})${typeof machine === "string" ? ` (skipped: ${machine})` : ""}`,
    () => {
      if (typeof machine === "string") return;
      const random = generator(seed);
      const folder = mkdtempSync(join(tmpdir(), "unmoor-isa-"));
      try {
        writeSources(folder, supportHeaders([isa, scalar]));
        const source = [
          "#include <math.h>\n#include <stdbool.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>",
          ...[...scalar.includes, ...isa.includes].map((i) => `#include ${i}`),
          "#define READ(x) if (fread(x, sizeof x, 1, stdin) != 1) exit(3)",
          "#define READ1(x) if (fread(&x, sizeof x, 1, stdin) != 1) exit(3)",
          "#define WRITE(x) fwrite(x, sizeof x, 1, stdout)",
          ...isa.instructions.map((i) => harness(i, isa)),
          "int main(void) {",
          ...isa.instructions.map((i) => `  for (int i = 0; i < ${CASES}; i++) test_${i.op.replace(/\W/g, "_")}();`),
          "  return 0;\n}",
        ].join("\n");
        writeFileSync(join(folder, "test.c"), source);
        const program = join(folder, "test");
        const [compiler = "", ...options] = machine.compiler;
        const flags = [...options, ...commonFlags, ...machine.flags];
        execFileSync(compiler, [...flags, "-o", program, "test.c", ...machine.libraries], { cwd: folder });
        const tests = isa.instructions.flatMap((i) => {
          const { operands } = signature(i.op);
          return Array.from({ length: CASES }, () => ({
            i,
            operands: operands.map((kind, at) => operand(i, at, kind, isa.lanes, random)),
          }));
        });
        const [command = "", ...before] = [...machine.runner, program];
        const { stdout, status } = spawnSync(command, before, {
          input: Buffer.concat(tests.flatMap((t) => t.operands.map((o) => o.bytes))),
          maxBuffer: 1 << 26,
        });
        expect(status).toBe(0);
        let at = 0;
        for (const { i, operands } of tests) {
          const { result } = signature(i.op);
          const size = resultBytes(result, i, isa.lanes);
          const found = decode(result, i, stdout.subarray(at, at + size));
          at += size;
          const expected = i.meaning(...operands.map((o) => o.lanes));
          const where = `${i.op} (seed ${seed}) of ${JSON.stringify(operands.map((o) => o.lanes))}`;
          if (i.op === "dot.bf16") {
            const [a = [], b = [], c = []] = operands.map((o) => o.lanes);
            // Rounding to odd errs at most twice as far as rounding to nearest.
            const roundings = isa.architecture === "aarch64" ? 2 : 1;
            for (const [lane, e] of expected.entries()) {
              const size =
                Math.abs(c[lane] ?? 0) +
                Math.abs((a[2 * lane] ?? 0) * (b[2 * lane] ?? 0)) +
                Math.abs((a[2 * lane + 1] ?? 0) * (b[2 * lane + 1] ?? 0));
              expect(Math.abs((found[lane] ?? Number.NaN) - e), where).toBeLessThanOrEqual(roundings * size * 2 ** -23);
            }
          } else expect(found, where).toEqual(expected.map((x) => (Number.isNaN(x) ? Number.NaN : x)));
        }
        expect(at).toBe(stdout.length);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});

it("rounds a fused multiply-add once", () => {
  const tie = 1 + 2 ** -12;
  // tie² = 1 + 2^-11 + 2^-24 lies between two floats; the last part decides.
  expect(fusedMultiplyAdd(tie, tie, 2 ** -60)).toBe(Math.fround(1 + 2 ** -11 + 2 ** -23));
  expect(fusedMultiplyAdd(tie, tie, -(2 ** -60))).toBe(Math.fround(1 + 2 ** -11));
  expect(fusedMultiplyAdd(3, 5, 7)).toBe(22);
});
