import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import fc from "fast-check";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { DTYPE_BITS, type Dtype, tensorBytes } from "./dtype.ts";
import { SafetensorsError } from "./error.ts";
import { openSafetensors } from "./reader.ts";
import { Scratch } from "./testing.ts";
import { SafetensorsWriter, type TensorData, type TensorSpec, writeSafetensors } from "./writer.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());
afterEach(() => {
  vi.restoreAllMocks();
  for (const name of readdirSync(scratch.folder)) rmSync(scratch.path(name), { recursive: true });
});

const dtypes = Object.keys(DTYPE_BITS).filter((name): name is Dtype => name in DTYPE_BITS);

const tensor = fc
  .record({
    dtype: fc.constantFrom(...dtypes),
    shape: fc.array(fc.nat(5), { maxLength: 4 }),
    seed: fc.nat(255),
  })
  .filter(({ dtype, shape }) => tensorBytes(dtype, shape) !== undefined)
  .map(({ dtype, shape, seed }) => {
    const data = Uint8Array.from({ length: tensorBytes(dtype, shape) ?? 0 }, (_, i) => (i * 7 + seed) % 256);
    return { dtype, shape, data };
  });
const name = fc.string({ unit: "grapheme" }).filter((text) => text !== "__metadata__");
const tensors = fc.uniqueArray(fc.tuple(name, tensor), { maxLength: 8, selector: ([key]) => key });

/** Makes the n-th write of any file fail as on a full disk. */
async function fillDiskAtWrite(n: number): Promise<void> {
  const handle = await open(scratch.path("probe"), "w");
  const prototype: FileHandle = Object.getPrototypeOf(handle);
  await handle.close();
  rmSync(scratch.path("probe"));
  const write = prototype.write;
  let calls = 0;
  vi.spyOn(prototype, "write").mockImplementation(function (this: FileHandle, ...args: unknown[]) {
    if (++calls >= n) return Promise.reject(Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" }));
    return Reflect.apply(write, this, args);
  });
}

describe("writeSafetensors", () => {
  it("writes what openSafetensors reads back", async () => {
    const path = scratch.path("trip.safetensors");
    await fc.assert(
      fc.asyncProperty(tensors, fc.dictionary(name, fc.string()), async (entries, metadata) => {
        await writeSafetensors(path, new Map(entries), { metadata });
        const file = await openSafetensors(path);
        try {
          expect(new Set(file.tensors.keys())).toEqual(new Set(entries.map(([key]) => key)));
          expect(file.metadata).toEqual(new Map(Object.entries(metadata)));
          for (const [key, { dtype, shape, data }] of entries) {
            const info = file.info(key);
            expect([info.dtype, info.shape]).toEqual([dtype, shape]);
            expect(info.begin % Math.max(1, DTYPE_BITS[dtype] / 8)).toBe(0);
            expect(await file.read(key)).toEqual(data);
          }
        } finally {
          await file.close();
        }
      }),
      { numRuns: 100 },
    );
    expect(readdirSync(scratch.folder)).toEqual(["trip.safetensors"]);
  });

  it("writes the format to the byte, with the data at a multiple of 64", async () => {
    const path = scratch.path("exact.safetensors");
    await writeSafetensors(path, { x: { dtype: "F32", shape: [1, 2], data: new Float32Array([1, -2]) } });
    const bytes = readFileSync(path);
    const json = '{"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}';
    expect(bytes.readBigUInt64LE(0)).toBe(56n);
    expect(bytes.toString("utf8", 8, 64)).toBe(json.padEnd(56));
    expect([...bytes.subarray(64)]).toEqual([0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
  });

  it("refuses data that does not fit its shape, and leaves nothing", async () => {
    const path = scratch.path("misfit.safetensors");
    const data = new Float32Array(3);
    const write = (shape: number[], extra: Partial<TensorData> = {}) =>
      writeSafetensors(path, { w: { dtype: "F32", shape, data, ...extra } });
    await expect(write([2])).rejects.toThrow(
      'tensor "w": it has 8 bytes, but 12 were given; check its shape and dtype',
    );
    await expect(write([4])).rejects.toThrow('tensor "w": it needs 16 bytes, but 12 were given');
    await expect(write([-1])).rejects.toThrow("its shape [-1] of F32 is impossible");
    await expect(write([3], { dtype: "F31" as Dtype })).rejects.toThrow('its dtype "F31" is unknown');
    expect(readdirSync(scratch.folder)).toEqual([]);
  });
});

describe("SafetensorsWriter", () => {
  const specs: readonly TensorSpec[] = [
    { name: "a", dtype: "U8", shape: [4] },
    { name: "none", dtype: "U8", shape: [0] },
    { name: "b", dtype: "U8", shape: [2] },
  ];

  it("takes tensors in pieces, without waiting between them", async () => {
    const path = scratch.path("pieces.safetensors");
    const writer = await SafetensorsWriter.create(path, specs);
    await Promise.all([
      writer.write("a", Uint8Array.of(1)),
      writer.write("a", Uint8Array.of(2, 3)),
      writer.write("a", new DataView(Uint8Array.of(9, 4, 9).buffer, 1, 1)),
      writer.write("b", Uint8Array.of(5, 6)),
    ]);
    expect(readdirSync(scratch.folder)).not.toContain("pieces.safetensors");
    await writer.finish();
    await writer.abort();
    expect(readdirSync(scratch.folder)).toEqual(["pieces.safetensors"]);
    expect([...readFileSync(path).subarray(-6)]).toEqual([1, 2, 3, 4, 5, 6]);
    await expect(writer.write("b", Uint8Array.of(1))).rejects.toThrow("it was already finished");
    await expect(writer.finish()).rejects.toThrow("it was already finished");
  });

  it("holds callers to the order they announced", async () => {
    const writer = await SafetensorsWriter.create(scratch.path("order.safetensors"), specs);
    await expect(writer.write("b", Uint8Array.of(1))).rejects.toThrow(
      'tensor "b": it is not its turn: "a" is to be written now; write the tensors in the order they were announced',
    );
    await writer.write("a", new Uint8Array(4));
    await expect(writer.write("c", Uint8Array.of(1))).rejects.toThrow('it is not its turn: "b" is to be written now');
    await writer.write("b", new Uint8Array(2));
    await expect(writer.write("a", Uint8Array.of(1))).rejects.toThrow(
      "it is not its turn: all tensors are already written",
    );
    await writer.abort();
    await writer.abort();
    await expect(writer.write("b", Uint8Array.of(1))).rejects.toThrow("writing it was given up");
  });

  it("leaves the old file when it is given up or not completed", async () => {
    const path = scratch.path("old.safetensors");
    writeFileSync(path, "old");
    const first = await SafetensorsWriter.create(path, specs);
    await first.write("a", new Uint8Array(4));
    await first.abort();
    const second = await SafetensorsWriter.create(path, specs);
    await second.write("a", new Uint8Array(3));
    await expect(second.finish()).rejects.toThrow('tensor "a": it needs 4 bytes, but 3 were given');
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(scratch.folder)).toEqual(["old.safetensors"]);
  });

  it("refuses impossible announcements", async () => {
    const create = (tensors: readonly TensorSpec[]) => SafetensorsWriter.create(scratch.path("x"), tensors);
    await expect(create([...specs, specs[0]])).rejects.toThrow('tensor "a": it is announced twice');
    await expect(create([{ ...specs[0], name: "__metadata__" }])).rejects.toThrow("the format reserves this name");
    await expect(create([{ name: "n", dtype: "F4", shape: [1] }])).rejects.toThrow("its shape [1] of F4 is impossible");
    expect(readdirSync(scratch.folder)).toEqual([]);
  });

  it("says why a destination cannot be written", async () => {
    mkdirSync(scratch.path("folder"));
    writeFileSync(scratch.path("file"), "");
    const create = (path: string) => SafetensorsWriter.create(scratch.path(path), specs);
    await expect(create("folder")).rejects.toThrow("folder: the destination is a folder; name a file in it");
    await expect(create("absent/x")).rejects.toThrow(/absent does not exist: create it with mkdir -p$/);
    await expect(create("file/x")).rejects.toThrow(/file is not a folder: choose another place$/);
    await expect(create("absent/x")).rejects.toBeInstanceOf(SafetensorsError);
    expect(readdirSync(scratch.folder)).toEqual(["file", "folder"]);
  });

  it.each([1, 2, 3])("cleans up when the disk is full at write %i", async (n) => {
    await fillDiskAtWrite(n);
    const data = (length: number) => ({ dtype: "U8" as const, shape: [length], data: new Uint8Array(length) });
    await expect(writeSafetensors(scratch.path("full"), { a: data(3), b: data(5) })).rejects.toThrow(
      "the disk is full: free some space",
    );
    expect(readdirSync(scratch.folder)).toEqual([]);
  });
});
