import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DiagnosticError, formatDiagnostic } from "../ir/core/diagnostic.ts";
import { parseLayer } from "../ir/text/index.ts";
import { compileLayer } from "./compile.ts";
import { workspaceBytes } from "./memory.ts";
import type { RegisterMatmul, Storage, Target } from "./target.ts";
import { cubeTarget, packedTarget, plainTarget } from "./testing.ts";

const text = readFileSync(new URL("./fixtures/longcat.moe", import.meta.url), "utf8");
const layer = parseLayer(text, "longcat.moe");

function refusal(target: Target, storage: Storage = "f32", given = layer): string {
  try {
    compileLayer(given, target, storage);
  } catch (error) {
    if (error instanceof DiagnosticError)
      return error.diagnostics.map((d) => formatDiagnostic(d, () => undefined)).join("\n");
    throw error;
  }
  throw new Error("expected a refusal, found none");
}

describe("a target refuses, in words and before anything is emitted,", () => {
  test("a storage it cannot read", () => {
    const text = refusal({ ...plainTarget, storages: ["f32"] }, "bf16");
    expect(text).toContain("weights in bf16 cannot be used on wgsl (test-plain)");
    expect(text).toContain("--storage f32");
  });
  test("weights in a dtype that no target multiplies", () => {
    const pinned = parseLayer(
      `layer @l {} (input auto %x: f32[T, 4], weight fixed %w: f16[3, 4]) {
  %y = linear(%x, %w) : f32[T, 3]
  return y = %y
}`,
      "pinned.moe",
    );
    for (const target of [packedTarget, plainTarget, cubeTarget]) {
      const text = refusal(target, "f32", pinned);
      expect(text).toContain(`weights in f16 cannot be multiplied on ${target.name}`);
      expect(text).toContain("f32 or bf16");
    }
  });
  test("results in a dtype that its kernels only read", () => {
    const rounded = parseLayer(
      `layer @l {} (input auto %x: f32[T, 4]) {
  %y = cast(%x) {to = "bf16"} : bf16[T, 4]
  return y = %y
}`,
      "rounded.moe",
    );
    const onlyRead: Target = { ...plainTarget, onlyRead: ["bf16"] };
    const text = refusal(onlyRead, "f32", rounded);
    expect(text).toMatch(/U211\]: kernels on .* read bf16, but do not write it.*\n.*results in f32 or i32\n.*y: bf16/s);
  });
  test("rows that the blocks of a storage do not divide", () => {
    const odd = { ...layer, params: { ...layer.params, I: 100 } };
    const { dot, ...matmul } = packedTarget.matmul as RegisterMatmul;
    const q8 = { activations: "q8_0", depth: 32 } as const;
    const target: Target = { ...packedTarget, storages: ["q8_0"], matmul: { ...matmul, dot: { ...dot, q8_0: q8 } } };
    const text = refusal(target, "q8_0", odd);
    expect(text).toContain("error[U218]: q8_0 stores blocks of 32, which do not divide the rows of the weight down");
    expect(text).toMatch(/expected: a multiple of 32 for I\n\s+found:\s+100/);
    expect(text.match(/U218/g)).toHaveLength(1);
  });
  test("rows whose products no sum of 32 bits holds", () => {
    const long = { ...layer, params: { ...layer.params, I: 132105 } };
    const text = refusal(cubeTarget, "int8", long);
    expect(text).toContain(
      "error[U218]: int8 sums products of bytes in 32 bits, and the rows of the weight down are too",
    );
    expect(text).toMatch(/expected: at most 132104 for I\n\s+found:\s+132105/);
  });
  test("buffers beyond its size", () => {
    expect(refusal({ ...plainTarget, limits: { bufferBytes: 2 ** 20 } })).toMatch(
      /gate is too large for one buffer on wgsl.*\n\s+expected: at most 1.0 MiB\n\s+found:\s+2.0 MiB/,
    );
  });
  test("tiles beyond a memory space", () => {
    const spaces = { ...cubeTarget.spaces, l0c: { capacity: 512, alignment: 64 } };
    expect(refusal({ ...cubeTarget, spaces })).toContain("does not fit into the memory space l0c");
  });
  test("a memory space it lacks", () => {
    expect(refusal({ ...packedTarget, spaces: { register: { alignment: 16 } } })).toContain(
      "needs the memory space scratch",
    );
  });
  test("kernels with too many buffers or blocks", () => {
    expect(refusal({ ...plainTarget, limits: { buffersPerKernel: 3 } })).toMatch(/at most 3\n\s+found:\s+[4-9]/);
    expect(refusal({ ...plainTarget, limits: { blocks: 5 } })).toContain("more blocks than wgsl");
  });
  test("what kernels for few and for many rows have in common, once", () => {
    const matmul = { ...(plainTarget.matmul as RegisterMatmul), few: { below: 2, rows: [1] } };
    const said = refusal({ ...plainTarget, matmul, limits: { buffersPerKernel: 3 } }).split(/(?=error\[)/);
    expect(said).toContainEqual(expect.stringContaining("product with each row's expert"));
    expect(new Set(said.map((text) => text.trim())).size).toBe(said.length);
  });
});

test("temporaries that are never alive together share workspace", () => {
  const { program } = compileLayer(layer, packedTarget, "bf16");
  const temporaries = program.buffers.filter((b) => b.role === "temporary");
  expect(program.memory.slots.length).toBeLessThan(temporaries.length);
  expect(program.memory.slots.flatMap((s) => s.buffers).sort()).toEqual(temporaries.map((b) => b.name).sort());
  expect(workspaceBytes(program, { T: 0 })).toBeLessThanOrEqual(64 * program.memory.slots.length * 2);
  expect(workspaceBytes(program, { T: 64 })).toBeGreaterThan(workspaceBytes(program, { T: 8 }));
});
