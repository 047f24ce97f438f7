import { describe, expect, test } from "vitest";
import { tensorType } from "../core/types.ts";
import { opDefinition } from "./index.ts";
import { ropeParameters, yarnScale } from "./rope-frequencies.ts";
import { bf16Tensor, evaluateOp, f32Tensor, i32Tensor, numbers, randomF32, uniform } from "./testing.ts";

describe("frequencies", () => {
  test("fall from 1 by powers of theta", () => {
    const { frequencies, factor } = ropeParameters(8, 10000);
    [1, 0.1, 0.01, 0.001].forEach((f, i) => {
      expect(frequencies[i]).toBeCloseTo(f, 15);
    });
    expect([frequencies.length, factor]).toEqual([4, 1]);
  });

  test("linear scaling divides all", () => {
    expect(ropeParameters(4, 100, { kind: "linear", factor: 4 }).frequencies).toEqual([0.25, 0.025]);
  });

  test("llama3 scaling keeps short wavelengths, stretches long ones, and goes from one to the other in between", () => {
    const scaling = { kind: "llama3", factor: 8, low: 1, high: 4, original: 8192 } as const;
    const plain = ropeParameters(128, 500000).frequencies;
    const { frequencies, factor } = ropeParameters(128, 500000, scaling);
    expect(factor).toBe(1);
    let between = 0;
    frequencies.forEach((f, i) => {
      const wavelength = (2 * Math.PI) / plain[i];
      if (wavelength < 8192 / 4) expect(f).toBe(plain[i]);
      else if (wavelength > 8192) expect(f).toBe(plain[i] / 8);
      else {
        between++;
        const smooth = (8192 / wavelength - 1) / 3;
        expect(f).toBeCloseTo(((1 - smooth) * plain[i]) / 8 + smooth * plain[i], 15);
      }
    });
    expect(between).toBeGreaterThan(2);
  });

  test("YaRN stretches from dimension 10 to 23 at the sizes of DeepSeek-V3", () => {
    const plain = ropeParameters(64, 10000).frequencies;
    const { frequencies, factor } = ropeParameters(64, 10000, {
      kind: "yarn",
      factor: 40,
      original: 4096,
      mscale: 1,
      mscaleAllDim: 1,
    });
    expect(factor).toBe(1);
    frequencies.forEach((f, i) => {
      const stretched = Math.min(1, Math.max(0, (i - 10) / 13));
      expect(f).toBeCloseTo(plain[i] * (1 - stretched + stretched / 40), 15);
    });
    expect(frequencies[10]).toBe(plain[10]);
    expect(frequencies[11]).not.toBe(plain[11]);
    expect(frequencies[23]).toBe(plain[23] / 40);
  });

  test("YaRN without truncation has ends between dimensions; its factor scales sine and cosine", () => {
    const yarn = { kind: "yarn", factor: 32, original: 4096, truncate: false } as const;
    const { frequencies, factor } = ropeParameters(64, 150000, yarn);
    expect(factor).toBeCloseTo(1.3465735902799727, 15);
    const truncated = ropeParameters(64, 150000, { ...yarn, truncate: true }).frequencies;
    expect(frequencies).not.toEqual(truncated);
    expect(ropeParameters(64, 150000, { ...yarn, attentionFactor: 1.5 }).factor).toBe(1.5);
    expect(ropeParameters(64, 150000, { ...yarn, mscale: 0.5, mscaleAllDim: 1 }).factor).toBeCloseTo(
      yarnScale(32, 0.5) / yarnScale(32, 1),
      15,
    );
    expect(yarnScale(120) ** 2).toBeCloseTo(2.187, 3);
    expect(yarnScale(1)).toBe(1);
  });

  test.each([
    [7, 10000, undefined, "7 dimensions cannot be rotated in pairs"],
    [0, 10000, undefined, "0 dimensions"],
    [8, 1, undefined, "theta is 1"],
    [8, 10000, { kind: "linear", factor: 0 }, "factor is 0"],
    [8, 10000, { kind: "llama3", factor: 8, low: 4, high: 4, original: 8192 }, "high is 4"],
    [8, 10000, { kind: "yarn", factor: 8, original: 4096, betaFast: 1 }, "betaFast is 1"],
  ] as const)("%j dimensions, theta %j, %j are refused", (rotary, theta, scaling, message) => {
    expect(() => ropeParameters(rotary, theta, scaling)).toThrow(message);
  });
});

describe("rope", () => {
  const of = (x: readonly number[], at: number, frequencies: readonly number[], attributes: object) =>
    numbers(
      evaluateOp(
        "rope",
        [f32Tensor([1, x.length], x), i32Tensor([1], [at]), f32Tensor([frequencies.length], frequencies)],
        { style: "half", ...attributes },
      ).results[0],
    );
  const turned = ([a, b]: readonly number[], angle: number) => [
    a * Math.cos(angle) - b * Math.sin(angle),
    b * Math.cos(angle) + a * Math.sin(angle),
  ];
  const close = (found: readonly number[], expected: readonly number[]): void => {
    expect(found.length).toBe(expected.length);
    found.forEach((v, i) => {
      expect(v).toBeCloseTo(expected[i], 12);
    });
  };

  test("rotates pairs half of the rotated dimensions apart, or neighbours", () => {
    const x = [1, 2, 3, 4];
    const [[a, c], [b, d]] = [turned([1, 3], 3 * 0.5), turned([2, 4], 3 * 0.25)];
    close(of(x, 3, [0.5, 0.25], {}), [a, b, c, d]);
    close(of(x, 3, [0.5, 0.25], { style: "interleaved" }), [...turned([1, 2], 1.5), ...turned([3, 4], 0.75)]);
  });

  test("leaves dimensions before and after, scales what is rotated, turns back at negative positions", () => {
    const x = [9, 1, 2, 8];
    close(of(x, -2, [1], { start: 1, factor: 3 }), [9, ...turned([1, 2], -2).map((v) => 3 * v), 8]);
  });

  test("gives each token its own angle, and each head the same", () => {
    const x = f32Tensor([2, 2, 2], [1, 0, 2, 0, 1, 0, 2, 0]);
    const [y] = evaluateOp("rope", [x, i32Tensor([2], [0, 5]), f32Tensor([1], [1])], { style: "half" }).results;
    close(numbers(y), [1, 0, 2, 0, ...turned([1, 0], 5), ...turned([2, 0], 5)]);
  });

  test.each([1, 2, 3])("its bound covers f32 at each step, and is small (seed %i)", (seed) => {
    const r = Math.fround;
    const random = uniform(seed);
    const x = randomF32([3, 2, 8], random);
    const positions = [0, 7, 4000];
    const { frequencies } = ropeParameters(8, 10000);
    const values = frequencies.map(r);
    const constant = evaluateOp("constant", [], { values: frequencies }).results[0];
    const [y] = evaluateOp("rope", [x, i32Tensor([3], positions), constant], { style: "half", factor: 1.25 }).results;
    for (let i = 0; i < 3 * 2 * 4; i++) {
      const [row, j] = [Math.floor(i / 4), i % 4];
      const angle = r(positions[Math.floor(row / 2)] * values[j]);
      const wave = (v: number) => r(r(v + (2 * random() - 1) * 2 ** -22) * 1.25);
      const [a, b, cos, sin] = [
        x.data[row * 8 + j],
        x.data[row * 8 + j + 4],
        wave(Math.cos(angle)),
        wave(Math.sin(angle)),
      ];
      [
        [row * 8 + j, r(r(a * cos) - r(b * sin))],
        [row * 8 + j + 4, r(r(b * cos) + r(a * sin))],
      ].forEach(([at, value]) => {
        expect(Math.abs(value - y.data[at])).toBeLessThanOrEqual(y.bound?.[at] ?? 0);
      });
    }
    for (const e of y.bound ?? []) expect(e).toBeLessThan(4e-3);
  });

  test("carries the errors of what it rotates", () => {
    const [x] = evaluateOp("cast", [bf16Tensor([1, 2], [1, 1])], { to: "bf16" }).results;
    const rounded = { ...x, data: Float64Array.of(1, 1), bound: Float64Array.of(0.25, 0.5) };
    const [y] = evaluateOp("rope", [rounded, i32Tensor([1], [0]), f32Tensor([1], [1])], { style: "half" }).results;
    expect(y.bound?.[0]).toBeCloseTo(0.25, 4);
    expect(y.bound?.[1]).toBeCloseTo(0.5, 4);
  });

  test.each([
    [["f32", ["T", 8]], ["i32", ["T"]], ["f32", [5]], {}, "rope rotates dimensions up to 10, but there are 8"],
    [["f32", ["T", 8]], ["i32", ["T"]], ["f32", [4]], { start: 1 }, "up to 9"],
    [["f32", ["T", 8]], ["i32", ["S"]], ["f32", [4]], {}, "tokens and positions of rope differ: T vs S"],
    [["f32", ["T", 8]], ["f32", ["T"]], ["f32", [4]], {}, "positions of rope holds whole numbers"],
    [["f32", ["T"]], ["i32", ["T"]], ["f32", [4]], {}, "rope rotates floats [T, D] or [T, A, D]"],
    [["f32", ["T", 8]], ["i32", ["T"]], ["f32", [4]], { style: "full" }, "style of rope"],
  ] as const)("refuses %j %j %j %j", (x, positions, frequencies, attributes, message) => {
    const types = [x, positions, frequencies].map(([dtype, dims]) => tensorType(dtype, dims));
    expect(() => opDefinition("rope").infer(types, { style: "half", ...attributes }, [])).toThrow(message);
  });

  test("constants are finite numbers", () => {
    for (const values of [[], [Number.NaN], ["1"]] as const)
      expect(() => opDefinition("constant").infer([], { values }, [])).toThrow("values of constant");
  });
});
