import { readFileSync, truncateSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { findDuplicateKey } from "./duplicate-keys.ts";
import { SafetensorsError } from "./error.ts";
import { openSafetensors } from "./reader.ts";
import { Scratch } from "./testing.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());

const TWO = {
  __metadata__: { format: "pt" },
  a: { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] },
  "b.c": { dtype: "U8", shape: [3], data_offsets: [24, 27] },
};

/** The error of opening a file whose header is this and whose data has this many bytes. */
async function refusal(header: string | object, data: number): Promise<string> {
  const path = scratch.putFile("bad.safetensors", header, data);
  return refusalOf(path);
}

async function refusalOf(path: string): Promise<string> {
  const file = await openSafetensors(path).catch((error: unknown) => error);
  expect(file).toBeInstanceOf(SafetensorsError);
  if (!(file instanceof SafetensorsError)) return "";
  expect(file.message.startsWith(`${path}: `)).toBe(true);
  expect(file.message.endsWith(`; ${file.remedy}`)).toBe(true);
  return file.message.slice(path.length + 2);
}

const one = (entry: object) => ({ x: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...entry } });

describe("openSafetensors", () => {
  it("reads what a header says, and the tensors where it says", async () => {
    const data = Uint8Array.from({ length: 27 }, (_, i) => i);
    const path = scratch.putFile("two.safetensors", `${JSON.stringify(TWO)}   `, data);
    const file = await openSafetensors(path);
    const start = readFileSync(path).length - 27;
    expect([...file.tensors]).toEqual([
      ["a", { dtype: "F32", shape: [2, 3], begin: start, end: start + 24, path }],
      ["b.c", { dtype: "U8", shape: [3], begin: start + 24, end: start + 27, path }],
    ]);
    expect(Object.fromEntries(file.metadata)).toEqual({ format: "pt" });
    expect([...(await file.read("b.c"))]).toEqual([24, 25, 26]);
    const target = new Uint8Array(30);
    await file.readInto("a", target.subarray(3, 27));
    expect([...target]).toEqual([0, 0, 0, ...data.subarray(0, 24), 0, 0, 0]);
    await file.readRange("a", 20, target.subarray(0, 4));
    expect([...target.subarray(0, 4)]).toEqual([20, 21, 22, 23]);
    await file.close();
    await file.close();
  });

  it("accepts scalars, empty tensors and no tensors", async () => {
    const header = {
      empty: { dtype: "F32", shape: [2 ** 40, 2 ** 40, 0], data_offsets: [0, 0] },
      scalar: { dtype: "F32", shape: [], data_offsets: [0, 4] },
      last: { dtype: "I64", shape: [0], data_offsets: [4, 4] },
      packed: { dtype: "F4", shape: [4], data_offsets: [4, 6] },
    };
    const file = await openSafetensors(scratch.putFile("odd.safetensors", header, 6));
    expect(await file.readF32("empty")).toEqual(new Float32Array(0));
    expect(await file.readF32("scalar")).toEqual(new Float32Array(1));
    expect((await file.read("last")).length).toBe(0);
    await file.close();
    const none = await openSafetensors(scratch.putFile("none.safetensors", "{}", 0));
    expect(none.tensors.size).toBe(0);
    await none.close();
  });

  it("keeps odd names", async () => {
    const entry = (begin: number) => `{"dtype":"U8","shape":[1],"data_offsets":[${begin},${begin + 1}]}`;
    const header = `{"__proto__":${entry(0)},"":${entry(1)},"1":${entry(2)},"é\\"":${entry(3)},"constructor":${entry(4)}}`;
    const file = await openSafetensors(scratch.putFile("names.safetensors", header, Uint8Array.of(5, 6, 7, 8, 9)));
    const found = await Promise.all([...file.tensors.keys()].map(async (name) => [name, (await file.read(name))[0]]));
    expect(Object.fromEntries(found.map(([name, byte]) => [byte, name]))).toEqual({
      5: "__proto__",
      6: "",
      7: "1",
      8: 'é"',
      9: "constructor",
    });
    await file.close();
  });

  it("widens floats to f32", async () => {
    const halves = new Uint16Array([0x3c00, 0xc000, 0x0001]);
    const brains = new Uint16Array([0x3f80, 0xc000, 0x0001]);
    const doubles = new Float64Array([0.1, -2, 1e300]);
    const header = {
      doubles: { dtype: "F64", shape: [3], data_offsets: [0, 24] },
      halves: { dtype: "F16", shape: [3], data_offsets: [24, 30] },
      brains: { dtype: "BF16", shape: [3], data_offsets: [30, 36] },
      whole: { dtype: "I32", shape: [1], data_offsets: [36, 40] },
    };
    const data = Buffer.concat([doubles, halves, brains].map((array) => new Uint8Array(array.buffer)));
    const file = await openSafetensors(
      scratch.putFile("floats.safetensors", header, Buffer.concat([data, Buffer.alloc(4)])),
    );
    expect([...(await file.readF32("doubles"))]).toEqual([Math.fround(0.1), -2, Number.POSITIVE_INFINITY]);
    expect([...(await file.readF32("halves"))]).toEqual([1, -2, 2 ** -24]);
    expect([...(await file.readF32("brains"))]).toEqual([1, -2, 2 ** -133]);
    await expect(file.readF32("whole")).rejects.toThrow(
      'tensor "whole": F32, F16, BF16 or F64 expected, but its dtype is I32; read its bytes',
    );
    await file.close();
  });

  it("says what is wrong with a request", async () => {
    const file = await openSafetensors(scratch.putFile("requests.safetensors", TWO, 27));
    await expect(file.read("c")).rejects.toThrow(
      'tensor "c": there is no such tensor among its 2 ("a", "b.c", …); check',
    );
    await expect(file.readInto("a", new Uint8Array(23))).rejects.toThrow(
      "it has 24 bytes, but the target has 23; pass",
    );
    await expect(file.readRange("a", 20, new Uint8Array(5))).rejects.toThrow(
      "bytes 20 to 25 were asked for, but it has 24",
    );
    await expect(file.readRange("a", -1, new Uint8Array(5))).rejects.toThrow("bytes -1 to 4 were asked for");
    await file.close();
    await expect(file.read("a")).rejects.toThrow("the file was closed; open it again to read");
  });

  it("refuses a file that is cut at any byte", async () => {
    const path = scratch.putFile("whole.safetensors", TWO, 27);
    const bytes = readFileSync(path);
    for (let length = 0; length < bytes.length; length++) {
      const cut = scratch.put("cut.safetensors", bytes.subarray(0, length));
      const message = await refusalOf(cut);
      expect(message).toMatch(
        /^the file is truncated: (at least )?\d+ bytes expected, \d+ found; download or write it again$/,
      );
    }
    expect(await refusalOf(scratch.put("long.safetensors", bytes, "x"))).toContain(
      "1 unused bytes follow its last tensor",
    );
  });

  it("counts in the message of a truncated file", async () => {
    const path = scratch.putFile(
      "big.safetensors",
      { x: { dtype: "U8", shape: [12_274], data_offsets: [0, 12_274] } },
      12_274,
    );
    const size = readFileSync(path).length;
    truncateSync(path, 10_000);
    expect(await refusalOf(path)).toBe(
      `the file is truncated: ${size.toLocaleString("en-US")} bytes expected, 10,000 found; download or write it again`,
    );
  });

  it("notices that a file was cut after it was opened", async () => {
    const path = scratch.putFile("later.safetensors", TWO, 27);
    const file = await openSafetensors(path);
    truncateSync(path, readFileSync(path).length - 1);
    await expect(file.read("b.c")).rejects.toThrow("the file is truncated");
    await file.close();
  });

  it("refuses what is no safetensors file", async () => {
    expect(await refusalOf(scratch.path("absent"))).toBe("no such file; check the path");
    await mkdir(scratch.path("folder"), { recursive: true });
    expect(await refusalOf(scratch.path("folder"))).toContain("it is not a regular file");
    expect(await refusalOf(scratch.put("text", "just a text file"))).toContain(
      "no JSON header follows its first 8 bytes",
    );
    const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\n";
    expect(await refusalOf(scratch.put("lfs", pointer))).toBe(
      "it is a Git LFS pointer, not the weights; fetch them with `git lfs pull`",
    );
    const length = (n: bigint) => new Uint8Array(BigUint64Array.of(n).buffer);
    for (const n of [0n, 1n, 100_000_001n, 2n ** 53n, 2n ** 64n - 1n]) {
      expect(await refusalOf(scratch.put("lying", length(n), "{}"))).toContain("its header claims");
    }
    expect(await refusalOf(scratch.put("lying", length(3n), "{}"))).toContain("at least 11 bytes expected, 10 found");
  });

  it("refuses a header that is not the JSON it should be", async () => {
    expect(await refusal('{"x": }', 0)).toContain("its header is not well-formed JSON");
    expect(await refusal("{} x", 0)).toContain("its header is not well-formed JSON");
    const invalid = scratch.put("utf8", new Uint8Array(BigUint64Array.of(5n).buffer), '{"', Uint8Array.of(0xff), '"}');
    expect(await refusalOf(invalid)).toContain("(not UTF-8)");
    expect(await refusal({ __metadata__: { a: 1 } }, 0)).toContain('its __metadata__ has no text for "a"');
    expect(await refusal({ __metadata__: [] }, 0)).toContain("its __metadata__ is not an object");
    const twice = JSON.stringify(one({})).slice(0, -1);
    expect(await refusal(`${twice},"\\u0078":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8)).toContain(
      'its header has the key "x" twice',
    );
    expect(await refusal('{"x":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8)).toContain(
      'its header has the key "dtype" twice',
    );
  });

  it.each([
    ["no entry", { x: 3 }, "expected object"],
    ["no dtype", { x: { shape: [2], data_offsets: [0, 8] } }, "dtype: "],
    ["an unknown dtype", one({ dtype: "F31" }), 'its dtype "F31" is unknown; convert it'],
    ["an inherited name as dtype", one({ dtype: "toString" }), 'its dtype "toString" is unknown'],
    ["a negative dimension", one({ shape: [-2] }), "shape.0: "],
    ["a fractional dimension", one({ shape: [0.5, 4] }), "shape.0: "],
    ["a text as dimension", one({ shape: [2, "1"] }), "shape.1: "],
    ["a negative offset", one({ data_offsets: [-8, 0] }), "data_offsets.0: "],
    ["one offset", one({ data_offsets: [8] }), "data_offsets"],
    ["an offset beyond 2^53", one({ data_offsets: [0, 2 ** 60] }), "data_offsets.1: "],
    [
      "offsets the wrong way round",
      one({ data_offsets: [8, 0] }),
      "needs 8 bytes, but its data_offsets [8, 0] hold -8",
    ],
    ["too long a range", one({ shape: [1] }), "shape [1] of F32 needs 4 bytes, but its data_offsets [0, 8] hold 8"],
    ["an impossible size", one({ shape: [2 ** 50, 2 ** 50] }), "is no possible number of bytes"],
    ["half a byte", one({ dtype: "F4", shape: [3], data_offsets: [0, 2] }), "is no possible number of bytes"],
    ["a hole at the start", one({ data_offsets: [4, 12] }), "4 unused bytes lie before it"],
  ])("refuses a tensor with %s", async (_, header, message) => {
    const found = await refusal(header, 8);
    expect(found).toMatch(/^tensor "x": /);
    expect(found).toContain(message);
  });

  it("refuses overlaps and holes between tensors", async () => {
    const pair = (begin: number) => ({
      y: { dtype: "U8", shape: [4], data_offsets: [begin, begin + 4] },
      x: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
    });
    expect(await refusal(pair(7), 11)).toContain('tensor "y": it overlaps tensor "x" by 1 bytes');
    expect(await refusal(pair(2), 8)).toContain('tensor "y": it overlaps tensor "x" by 6 bytes');
    expect(await refusal(pair(9), 13)).toContain('tensor "y": 1 unused bytes lie before it');
    expect(await refusal(pair(8), 13)).toContain("1 unused bytes follow its last tensor");
  });

  it("never fails on damaged bytes in any other way", async () => {
    const bytes = readFileSync(scratch.putFile("sound.safetensors", TWO, 27));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        async (edits) => {
          const damaged = Buffer.from(bytes);
          for (const [at, byte] of edits) damaged[at] = byte;
          try {
            await (await openSafetensors(scratch.put("damaged.safetensors", damaged))).close();
          } catch (error) {
            expect(error).toBeInstanceOf(SafetensorsError);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("findDuplicateKey", () => {
  it("finds a key that one object has twice, and no other", () => {
    fc.assert(fc.property(fc.json(), (text) => findDuplicateKey(text) === undefined));
    fc.assert(
      fc.property(fc.string(), fc.jsonValue(), fc.jsonValue(), (key, a, b) => {
        const [name, first, second] = [key, a, b].map((part) => JSON.stringify(part));
        expect(findDuplicateKey(`[{"k":{}}, {${name}: ${first}, ${name} :${second}}]`)).toBe(key);
        expect(findDuplicateKey(`[{${name}: ${first}}, {${name} :${second}}]`)).toBeUndefined();
      }),
    );
  });
});
