import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { decodeBf16, decodeF16 } from "../../ir/core/float16.ts";
import { openSafetensors } from "./reader.ts";
import { fillSeeded, type SeededDtype } from "./seeded.ts";
import { type SeededTensor, writeSeededCheckpoint } from "./seeded-checkpoint.ts";
import { Scratch } from "./testing.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());

const base = { seed: 7, name: "w", dtype: "F32", scale: 1 } as const;

function floats(length: number, options: Partial<Parameters<typeof fillSeeded>[1]> = {}): Float32Array {
  const target = new Float32Array(length);
  fillSeeded(target, { ...base, ...options });
  return target;
}

describe("fillSeeded", () => {
  it("makes the same numbers for ever", () => {
    expect([...floats(6)].map((x) => x * 256)).toEqual([-79, -149, -243, -159, -133, 147]);
    expect(
      [...floats(4, { seed: 2 ** 52 + 1, name: "mlp.experts.0.up_proj.weight", start: 2 ** 40 })].map((x) => x * 256),
    ).toEqual([-73, -67, -199, -71]);
  });

  it("holds the same numbers in every dtype", () => {
    for (const scale of [2 ** -16, 2 ** -5, 1, 2 ** 15]) {
      const expected = floats(4096, { scale });
      for (const [dtype, decode] of [
        ["BF16", decodeBf16],
        ["F16", decodeF16],
      ] as const) {
        const bits = new Uint16Array(4096);
        const found = new Float32Array(4096);
        fillSeeded(bits, { ...base, dtype, scale });
        decode(bits, found);
        expect(found).toEqual(expected);
      }
    }
  });

  it("does not depend on how a tensor is cut", () => {
    const whole = floats(300, { start: 5 });
    fc.assert(
      fc.property(fc.nat(280), fc.nat(20), fc.constantFrom<SeededDtype>("F32", "BF16"), (from, length, dtype) => {
        const part = new Float32Array(length);
        if (dtype === "F32") fillSeeded(part, { ...base, start: 5 + from });
        else {
          const bytes = new Uint8Array(2 + 2 * length).subarray(2);
          fillSeeded(bytes, { ...base, dtype, start: 5 + from });
          decodeBf16(new Uint16Array(bytes.buffer, 2), part);
        }
        expect(part).toEqual(whole.slice(from, from + length));
      }),
    );
    const border = 2 ** 34; // where the 32-bit counter of the hash wraps
    const around = floats(12, { start: border - 6 });
    expect(floats(7, { start: border - 3 })).toEqual(around.slice(3, 10));
    expect(floats(6, { start: border })).toEqual(around.slice(6));
    expect(floats(1000, { start: border })).not.toEqual(floats(1000));
  });

  it("is uniform, centred and uncorrelated", () => {
    const n = 2 ** 20;
    const values = floats(n);
    const counts = new Uint32Array(256);
    let sum = 0;
    let neighbours = 0;
    for (let i = 0; i < n; i++) {
      counts[(values[i] * 256 + 255) / 2]++;
      sum += values[i];
      neighbours += values[i] * values[(i + 1) % n];
    }
    const chiSquare = counts.reduce((total, count) => total + (count - n / 256) ** 2 / (n / 256), 0);
    expect(chiSquare).toBeGreaterThan(160); // 255 degrees of freedom: 255 ± 4 standard deviations of 22.6
    expect(chiSquare).toBeLessThan(346);
    expect(Math.abs(sum / n)).toBeLessThan(4 * Math.sqrt(1 / 3 / n));
    expect(Math.abs(neighbours / n)).toBeLessThan(4 / 3 / Math.sqrt(n));
  });

  it("differs by seed and by name", () => {
    const n = 2 ** 16;
    const first = floats(n);
    for (const options of [{ seed: 8 }, { seed: 7 + 2 ** 32 }, { name: "v" }, { name: "" }, { name: "ww" }]) {
      const other = floats(n, options);
      const product = first.reduce((total, x, i) => total + x * other[i], 0) / n;
      expect(Math.abs(product)).toBeLessThan(4 / 3 / Math.sqrt(n));
    }
  });

  it("says what is wrong with its arguments", () => {
    const fill = (target: Uint16Array | Float32Array | Uint8Array, options: object = {}) =>
      fillSeeded(target, { ...base, ...options });
    expect(() => fill(new Float32Array(1), { scale: 0.3 })).toThrow(
      "the scale must be a power of two from 2^-16 to 2^15",
    );
    for (const scale of [0, -1, 2 ** -17, 2 ** 16, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => fill(new Float32Array(1), { scale })).toThrow(RangeError);
    }
    expect(() => fill(new Float32Array(1), { seed: -1 })).toThrow("the seed must be an integer >= 0; found -1");
    expect(() => fill(new Float32Array(1), { start: 0.5 })).toThrow("the start must be an integer >= 0; found 0.5");
    expect(() => fill(new Uint16Array(1))).toThrow(/the target of F32 must be a Float32Array .*found Uint16Array/);
    expect(() => fill(new Uint8Array(7))).toThrow(TypeError);
    expect(() => fill(new Uint8Array(8).subarray(1, 5))).toThrow(/of 4 bytes at offset 1/);
  });
});

describe("writeSeededCheckpoint", () => {
  const tensors: readonly SeededTensor[] = [
    { name: "router", dtype: "F32", shape: [3, 5], scale: 0.5 },
    { name: "large", dtype: "BF16", shape: [3, 2 ** 21 + 1], scale: 2 ** -4 },
    { name: "none", dtype: "F16", shape: [0, 4], scale: 1 },
    { name: "half", dtype: "F16", shape: [9], scale: 2 },
  ];

  it("writes each tensor as fillSeeded makes it, over the borders of its pieces", async () => {
    const path = scratch.path("seeded.safetensors");
    const progress: [number, number][] = [];
    await writeSeededCheckpoint(path, tensors, 3, { onProgress: (done, total) => progress.push([done, total]) });
    const file = await openSafetensors(path);
    expect(Object.fromEntries(file.metadata)).toEqual({ format: "pt", seed: "3" });
    for (const { name, dtype, shape, scale } of tensors) {
      const info = file.info(name);
      expect([info.dtype, info.shape]).toEqual([dtype, shape]);
      const expected = new Uint8Array(info.end - info.begin);
      fillSeeded(expected, { seed: 3, name, dtype, scale });
      expect(Buffer.compare(await file.read(name), expected)).toBe(0);
    }
    await file.close();
    const total = 60 + 6 * (2 ** 21 + 1) + 18;
    expect(progress.at(-1)).toEqual([total, total]);
    const bytes = readFileSync(path);
    await writeSeededCheckpoint(path, tensors, 3);
    expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
  });

  it("leaves nothing behind when it fails", async () => {
    const before = readdirSync(scratch.folder);
    const bad: SeededTensor = { name: "bad", dtype: "F32", shape: [2], scale: 3 };
    await expect(writeSeededCheckpoint(scratch.path("x"), [...tensors, bad], 3)).rejects.toThrow("power of two");
    await expect(writeSeededCheckpoint(scratch.path("absent/x"), tensors, 3)).rejects.toThrow("mkdir -p");
    expect(readdirSync(scratch.folder)).toEqual(before);
  });
});
