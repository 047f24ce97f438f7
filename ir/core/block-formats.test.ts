import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  blockFormatNames,
  blockFormats,
  decodeBlocks,
  encodeBlocks,
  joinBlocks,
  splitBlocks,
} from "./block-formats.ts";
import { f16ToF32 } from "./float16.ts";

const decode = (name: (typeof blockFormatNames)[number], bytes: Uint8Array, elements: number): Float64Array => {
  const out = new Float64Array(elements);
  decodeBlocks(name, bytes, 0, elements, out);
  return out;
};

describe("published bytes", () => {
  test("of q8_0: an f16 scale, then 32 signed bytes", () => {
    const bytes = new Uint8Array(34);
    bytes.set([0x00, 0x38, 0x7f, 0x80, 0xff, 0x01]); // 0.5, then 127, −128, −1, 1
    expect([...decode("q8_0", bytes, 32).slice(0, 5)]).toEqual([63.5, -64, -0.5, 0.5, 0]);
  });
  test("of q4_0: an f16 scale, then 16 bytes; the low halves are the first 16 elements", () => {
    const bytes = new Uint8Array(18);
    bytes.set([0x00, 0x40, 0xf0, 0x08]); // 2, then codes 0 and 15, 8 and 0
    const values = decode("q4_0", bytes, 32);
    expect([values[0], values[16], values[1], values[17]]).toEqual([-16, 14, 0, -16]);
  });
  test("from the middle", () => {
    const values = Float32Array.from({ length: 96 }, (_, i) => i - 40);
    const bytes = joinBlocks("q8_0", encodeBlocks("q8_0", values));
    const out = new Float64Array(32);
    decodeBlocks("q8_0", bytes, 64, 32, out);
    expect([...out]).toEqual([...decode("q8_0", bytes, 96).slice(64)]);
  });
});

describe.each(blockFormatNames)("%s", (name) => {
  const { elements, bytes } = blockFormats[name];
  /** Largest distance of a rounded number, in scales: half a step, and a whole one beyond the largest code of q4_0. */
  const steps = name === "q4_0" ? 1 : 0.5;

  test("rounds to the nearest code of each block's scale", () => {
    const numbers = fc.array(fc.float({ noNaN: true, min: -1000, max: 1000 }), { minLength: 64, maxLength: 64 });
    fc.assert(
      fc.property(numbers, (values) => {
        const parts = encodeBlocks(name, Float32Array.from(values));
        const rounded = decode(name, joinBlocks(name, parts), values.length);
        for (const [i, value] of values.entries()) {
          const scale = Math.abs(f16ToF32(parts.scales[Math.floor(i / elements)] ?? 0));
          // The scale itself is rounded to f16 after the codes were chosen.
          const room = scale * steps + Math.abs(value) * 2 ** -10 + 2 ** -14;
          expect(Math.abs((rounded[i] ?? Number.NaN) - value)).toBeLessThanOrEqual(room);
        }
      }),
      { seed: 20261124 },
    );
  });
  test("keeps what it holds: any codes and scales come back", () => {
    const any = fc.uint8Array({ minLength: 3 * bytes, maxLength: 3 * bytes });
    fc.assert(
      fc.property(any, (published) => {
        expect([...joinBlocks(name, splitBlocks(name, published))]).toEqual([...published]);
      }),
      { seed: 20261124 },
    );
  });
  test("of zeros is zeros", () => {
    const parts = encodeBlocks(name, new Float32Array(elements));
    expect([...decode(name, joinBlocks(name, parts), elements)].every((x) => x === 0)).toBe(true);
  });
  test("keeps the largest number of a block almost whole", () => {
    const values = Float32Array.from({ length: elements }, (_, i) => (i === 5 ? -3 : Math.sin(i)));
    expect(decode(name, joinBlocks(name, encodeBlocks(name, values)), elements)[5]).toBeCloseTo(-3, 2);
  });
});
