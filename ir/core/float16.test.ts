import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bf16ToF32, decodeBf16, decodeF16, encodeBf16, encodeF16, f16ToF32, f32ToBf16, f32ToF16 } from "./float16.ts";

const PATTERNS = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

/** The value of a small float by its definition, in exact double arithmetic. */
function meaning(bits: number, exponentBits: number, fractionBits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
}

const FORMATS = [
  {
    name: "bf16",
    value: (bits: number) => meaning(bits, 8, 7),
    infinity: 0x7f80,
    widen: bf16ToF32,
    narrow: f32ToBf16,
    decode: decodeBf16,
    encode: encodeBf16,
  },
  {
    name: "f16",
    value: (bits: number) => meaning(bits, 5, 10),
    infinity: 0x7c00,
    widen: f16ToF32,
    narrow: f32ToF16,
    decode: decodeF16,
    encode: encodeF16,
  },
];

describe.each(FORMATS)("$name", ({ value, infinity, widen, narrow, decode, encode }) => {
  const isNaNPattern = (bits: number) => (bits & 0x7fff) > infinity;

  it("widens every bit pattern to the value it stands for", () => {
    const all = new Float32Array(65_536);
    decode(PATTERNS, all);
    for (const bits of PATTERNS) {
      if (!Object.is(widen(bits), value(bits))) expect({ bits, is: widen(bits) }).toEqual({ bits, is: value(bits) });
      if (!Object.is(all[bits], value(bits))) expect({ bits, is: all[bits] }).toEqual({ bits, is: value(bits) });
    }
  });

  it("narrows every value back to its bits, and NaN to NaN of the same sign", () => {
    const all = new Float32Array(65_536);
    const back = new Uint16Array(65_536);
    decode(PATTERNS, all);
    encode(all, back);
    for (const bits of PATTERNS) {
      const found = back[bits];
      const right = isNaNPattern(bits) ? isNaNPattern(found) && (found & 0x8000) === (bits & 0x8000) : found === bits;
      if (!right) expect(found).toBe(bits);
      if (!isNaNPattern(bits)) expect(narrow(value(bits))).toBe(bits);
    }
    expect(isNaNPattern(narrow(Number.NaN))).toBe(true);
  });

  it("rounds to nearest, ties to even, at every boundary between neighbours", () => {
    const next = new Float32Array(1);
    const nextBits = new Uint32Array(next.buffer);
    const nudge = (x: number, by: number) => {
      next[0] = x;
      nextBits[0] += by;
      return next[0];
    };
    for (let low = 0; low < infinity; low++) {
      const high = low + 1;
      // Beyond the largest number, infinity counts as the number that would come next.
      const top = high === infinity ? 2 * value(low) - value(low - 1) : value(high);
      const middle = (value(low) + top) / 2;
      const even = low % 2 === 0 ? low : high;
      for (const sign of [1, -1]) {
        const flag = sign < 0 ? 0x8000 : 0;
        const found = [narrow(sign * nudge(middle, -1)), narrow(sign * middle), narrow(sign * nudge(middle, 1))];
        const expected = [low | flag, even | flag, high | flag];
        if (found.join() !== expected.join()) expect({ low, sign, found }).toEqual({ low, sign, found: expected });
      }
    }
  });

  it("narrows in bulk as it does one by one", () => {
    fc.assert(
      fc.property(fc.float32Array({ maxLength: 20 }), (floats) => {
        const bits = new Uint16Array(floats.length);
        encode(floats, bits);
        floats.forEach((x, i) => {
          if (!Number.isNaN(x)) expect(bits[i]).toBe(narrow(x));
        });
      }),
    );
  });

  it("converts parts of larger buffers, and refuses a target that is too short", () => {
    const floats = new Float32Array([9, 1, -2, 9]).subarray(1, 3);
    const bits = new Uint16Array(5).subarray(1);
    encode(floats, bits);
    expect([...new Uint16Array(bits.buffer)]).toEqual([0, narrow(1), narrow(-2), 0, 0]);
    expect(() => encode(new Float32Array(2), new Uint16Array(1))).toThrow(
      "the target has room for 1 elements, but the source has 2",
    );
    expect(() => decode(new Uint16Array(2), new Float32Array(1))).toThrow(RangeError);
  });

  it("narrows what is far outside its range", () => {
    for (const sign of [1, -1]) {
      const flag = sign < 0 ? 0x8000 : 0;
      expect(narrow(sign * 3.4028234663852886e38)).toBe(infinity | flag);
      expect(narrow(sign * Number.POSITIVE_INFINITY)).toBe(infinity | flag);
      expect(narrow(sign * 2 ** -149)).toBe(flag);
      expect(narrow(sign * 0)).toBe(flag);
    }
  });
});
