import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type BlockFormatName,
  blockFormatNames,
  decodeBlocks,
  encodeBlocks,
  formatOf,
  partsOf,
  splitBlocks,
} from "./block-formats.ts";
import { e4m3 } from "./float8.ts";
import { bf16ToF32, f16ToF32 } from "./float16.ts";
import { tensorBytes } from "./types.ts";

const seed = 20261128;

/** Elements of a row, where blocks are rows. */
const row = 64;

const decode = (name: BlockFormatName, bytes: Uint8Array, of = row): Float64Array => {
  const format = formatOf(name, of);
  const out = new Float64Array((bytes.length / format.bytes) * format.elements);
  decodeBlocks(format, bytes, 0, out.length, out);
  return out;
};

const roundTrip = (name: BlockFormatName, values: Float32Array, dims: readonly number[] = [values.length]) =>
  decode(name, encodeBlocks(name, values, dims));

/** What kernels read of parts, by what they do with them: scale · (code − offset) − minimum. */
function fromParts(name: BlockFormatName, bytes: Uint8Array): Float64Array {
  const format = formatOf(name, row);
  const { codes, parts } = splitBlocks(format, bytes);
  const { step, offset, values } = format;
  const elements = (bytes.length / format.bytes) * format.elements;
  const part = (from: number, count: number, i: number): number =>
    partsOf(format)
      .slice(from, from + count)
      .reduce((product, { dtype, every }, p) => {
        const stored = parts[from + p]?.[Math.floor(i / every)] ?? Number.NaN;
        return product * (dtype === "f16" ? f16ToF32(stored) : dtype === "bf16" ? bf16ToF32(stored) : stored);
      }, 1);
  return Float64Array.from({ length: elements }, (_, i) => {
    const [first, within] = [Math.floor(i / step) * step, i % step];
    const byte = codes[format.codes === "u4" ? first / 2 + (within % (step / 2)) : i] ?? 0;
    const half = within < step / 2 ? byte & 15 : byte >> 4;
    const code = format.codes === "f8" ? (e4m3[byte] ?? 0) : format.codes === "u8" ? byte : (values?.[half] ?? half);
    const min = format.mins.length === 0 ? 0 : part(format.scales.length, format.mins.length, i);
    return part(0, format.scales.length, i) * (code - offset) - min;
  });
}

interface Fixture {
  readonly bytes: string;
  readonly values: string;
}
const published: Readonly<Record<string, Fixture>> = JSON.parse(
  readFileSync(resolve(import.meta.dirname, "fixtures/gguf-blocks.json"), "utf8"),
);

describe("published bytes", () => {
  test.each(["q8_0", "q4_0", "q4_k", "q6_k", "mxfp4"] as const)("of %s mean what GGUF's own package says", (name) => {
    const { bytes, values } = published[name] as Fixture;
    const raw = Buffer.from(values, "base64");
    const expected = new Float32Array(new Uint8Array(raw).buffer);
    const found = decode(name, Uint8Array.from(Buffer.from(bytes, "hex")));
    expect(found.length).toBe(expected.length);
    // It computes in f32: a rounding of each product and of their difference.
    const largest = Math.max(...expected.map(Math.abs));
    expected.forEach((value, i) => {
      const room = (name === "q4_k" ? 4 * largest : Math.abs(value)) * 2 ** -23;
      expect(Math.abs((found[i] ?? Number.NaN) - value), `element ${i}`).toBeLessThanOrEqual(room);
    });
  });
  test("of q8_0: an f16 scale, then 32 signed bytes", () => {
    const bytes = new Uint8Array(34);
    bytes.set([0x00, 0x38, 0x7f, 0x80, 0xff, 0x01]); // 0.5, then 127, −128, −1, 1
    expect([...decode("q8_0", bytes).slice(0, 5)]).toEqual([63.5, -64, -0.5, 0.5, 0]);
  });
  test("of q4_0: an f16 scale, then 16 bytes; the low halves are the first 16 elements", () => {
    const bytes = new Uint8Array(18);
    bytes.set([0x00, 0x40, 0xf0, 0x08]); // 2, then codes 0 and 15, 8 and 0
    const values = decode("q4_0", bytes);
    expect([values[0], values[16], values[1], values[17]]).toEqual([-16, 14, 0, -16]);
  });
  test("of mxfp4: a power of two, then 16 bytes; a scale of 255 is no number", () => {
    const bytes = new Uint8Array(17);
    bytes.set([128, 0xf1, 0x07]); // 2, then 0.5 and −6, 6 and 0
    const values = decode("mxfp4", bytes);
    expect([values[0], values[16], values[1], values[17]]).toEqual([1, -12, 12, 0]);
    bytes[0] = 255;
    expect(decode("mxfp4", bytes)[0]).toBeNaN();
    expect(fromParts("mxfp4", bytes)[0]).toBeNaN();
  });
  test("of fp8: a factor, then 128 numbers in E4M3", () => {
    const bytes = new Uint8Array(132);
    bytes.set([0x00, 0x00, 0x00, 0x40, 0x7e, 0x81, 0x38, 0x7f]); // 2, then 448, −2⁻⁹, 1, NaN
    expect([...decode("fp8", bytes).slice(0, 4)]).toEqual([896, -(2 ** -8), 2, Number.NaN]);
  });
  test("of int8: a row's factor, then as many signed bytes as it has elements", () => {
    const bytes = Uint8Array.of(0x00, 0x00, 0x00, 0x3f, 0x7f, 0x81, 0xff, 0x00, 0x00, 0x00, 0x40, 0x01, 0x00, 0x80);
    expect([...decode("int8", bytes, 3)]).toEqual([63.5, -63.5, -0.5, 2, 0, -256]); // factors 0.5 and 2
  });
  test.each([1, 5, 97])("of int8 in rows of %i, each with a scale of its own", (length) => {
    const values = Float32Array.from({ length: 6 * length }, (_, i) => Math.cos(i) * 10 ** Math.floor(i / length));
    const bytes = encodeBlocks("int8", values, [3, 2, length]);
    expect(bytes.length).toBe(tensorBytes("int8", [3, 2, length]));
    const { codes, parts } = splitBlocks(formatOf("int8", length), bytes);
    expect([codes.length, parts[0]?.length]).toEqual([6 * length, 6]);
    decode("int8", bytes, length).forEach((value, i) => {
      const own = values.subarray(i - (i % length), i - (i % length) + length);
      expect(Math.abs(value - (values[i] ?? 0))).toBeLessThanOrEqual((0.501 * Math.max(...own.map(Math.abs))) / 127);
    });
  });
  test("from the middle", () => {
    const values = Float32Array.from({ length: 96 }, (_, i) => i - 40);
    const bytes = encodeBlocks("q8_0", values, [96]);
    const out = new Float64Array(32);
    decodeBlocks(formatOf("q8_0", 96), bytes, 64, 32, out);
    expect([...out]).toEqual([...decode("q8_0", bytes).slice(64)]);
  });
});

/**
 * How far rounding may be off, of a block (or the part of it that has a scale of its own) whose largest magnitude is `extreme`: half a step,
 * and what rounding the scales themselves moves the ends of their ranges by. Beyond the largest code of q4_0, and beyond 6 scales of
 * mxfp4, a number is further away.
 */
const errors: Readonly<Record<BlockFormatName, (extreme: number, block: number) => number>> = {
  q8_0: (extreme) => (0.51 * extreme) / 127,
  q8_16: (extreme) => (0.51 * extreme) / 127,
  q4_0: (extreme) => (1.01 * extreme) / 8,
  // A range of at most twice the extreme in 15 steps; scale and minimum are multiples of 1/63 of the block's largest.
  q4_k: (extreme, block) => (0.51 * 2 * extreme) / 15 + (1.02 * block * 2) / 63,
  q6_k: (extreme, block) => (1.02 * extreme) / 32 + (1.1 * block) / 128,
  int4_32: (extreme) => (0.51 * 2 * extreme) / 15,
  int4_64: (extreme) => (0.51 * 2 * extreme) / 15,
  int4_128: (extreme) => (0.51 * 2 * extreme) / 15,
  mxfp4: (extreme) => extreme / 4,
  fp8: (extreme) => extreme / 28,
  int8: (extreme) => (0.501 * extreme) / 127,
};

describe.each(blockFormatNames)("%s", (name) => {
  const format = formatOf(name, row);
  const { elements, bytes } = format;
  const finest = Math.min(...partsOf(format).map((p) => p.every));
  const size = Math.max(64, elements);

  test(`rounds to the nearest code of each scale (seed ${seed})`, () => {
    const numbers = fc.array(fc.float({ noNaN: true, min: -1000, max: 1000 }), { minLength: size, maxLength: size });
    fc.assert(
      fc.property(numbers, fc.integer({ min: -20, max: 4 }), (drawn, exponent) => {
        const values = Float32Array.from(drawn, (x) => x * 2 ** exponent);
        const rounded = roundTrip(name, values);
        for (let i = 0; i < size; i++) {
          const largest = (count: number): number => {
            const from = i - (i % count);
            return Math.max(...values.subarray(from, from + count).map(Math.abs));
          };
          const allowed = errors[name](largest(finest), largest(elements));
          // Steps of f16 are never smaller than 2^-24: an element of a K-quant is up to 128 · 32 of them.
          expect(Math.abs((rounded[i] ?? Number.NaN) - (values[i] ?? 0))).toBeLessThanOrEqual(
            allowed + (elements === 256 ? 4096 : 128) * 2 ** -24,
          );
        }
      }),
      { seed, numRuns: elements > 64 ? 40 : 100 },
    );
  });
  test(`is read by kernels as it is published, whatever the bytes (seed ${seed})`, () => {
    const any = fc.uint8Array({ minLength: 3 * bytes, maxLength: 3 * bytes });
    fc.assert(
      fc.property(any, (raw) => {
        const [want, found] = [decode(name, raw), fromParts(name, raw)];
        want.forEach((value, i) => {
          if (Number.isFinite(value))
            expect(found[i]).toBeCloseTo(value, 6 - Math.ceil(Math.log10(1 + Math.abs(value))));
          else expect(found[i]).not.toSatisfy(Number.isFinite);
        });
      }),
      { seed, numRuns: 40 },
    );
  });
  test("of zeros is zeros", () => {
    expect([...roundTrip(name, new Float32Array(size))].every((x) => x === 0)).toBe(true);
  });
  test("keeps the largest number of a block almost whole", () => {
    const values = Float32Array.from({ length: elements }, (_, i) => (i === 5 ? -3 : Math.sin(i)));
    expect(Math.abs((roundTrip(name, values)[5] ?? 0) + 3)).toBeLessThanOrEqual(3.02 / 15);
  });
  test("keeps very small and very large numbers in range", () => {
    for (const size of [2 ** -40, 60000]) {
      const values = Float32Array.from({ length: elements }, (_, i) => (i % 2 === 0 ? size : -size / 2));
      const rounded = roundTrip(name, values);
      for (const [i, value] of values.entries())
        expect(Math.abs((rounded[i] ?? Number.NaN) - value)).toBeLessThanOrEqual(Math.max(0.26 * size, 2 ** -24));
    }
  });
});

test(`mxfp4 keeps the numbers of any block of its own, also where the scale could be smaller (seed ${seed})`, () => {
  const block = fc.tuple(
    fc.constantFrom(255, 252, 251, 128, 127, 126, 3, 2, 1, 0),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  fc.assert(
    fc.property(block, fc.constantFrom(0xff, 0x33, 0x11), ([scale, codes], mask) => {
      const values = decode("mxfp4", Uint8Array.of(scale, ...codes.map((c) => c & mask)));
      expect([...roundTrip("mxfp4", Float32Array.from(values))]).toEqual(
        [...values].map((x) => (x === 0 ? expect.closeTo(0) : x)),
      );
    }),
    { seed },
  );
});

test("128 rows of fp8 share a factor, those of another matrix do not", () => {
  const values = new Float32Array(2 * 130 * 128);
  values[0] = 448;
  values[130 * 128] = 896;
  const bytes = encodeBlocks("fp8", values, [2, 130, 128]);
  const { parts } = splitBlocks(formatOf("fp8", 128), bytes);
  expect([0, 127, 128, 130, 257, 258].map((row) => parts[0]?.[row])).toEqual([1, 1, 1, 2, 2, 1]);
});
