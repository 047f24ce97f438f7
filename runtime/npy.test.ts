import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { npyFile, readNpy } from "./npy.ts";

function file(content: Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), "unmoor-npy-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "a.npy");
  writeFileSync(path, content);
  return path;
}

test("what is written is read, and begins at a multiple of 64 bytes", async () => {
  for (const shape of [[], [3], [2, 3]]) {
    const elements = shape.reduce((product, n) => product * n, 1);
    const values = new Uint8Array(Float32Array.from({ length: elements }, (_, i) => i - 0.5).buffer);
    const written = npyFile("f32", shape, values);
    expect((written?.length ?? 0) % 64).toBe(values.length % 64);
    const { type, shape: read, bytes } = await readNpy(file(written ?? Buffer.alloc(0)));
    expect({ type, read, bytes: [...bytes] }).toEqual({ type: "f32", read: shape, bytes: [...values] });
  }
});

test("a file laid out as numpy.lib.format describes is read: numpy.arange(3, dtype='i2')", async () => {
  const header = `${"{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }".padEnd(117)}\n`;
  const saved = `\x93NUMPY\x01\0\x76\0${header}\0\0\x01\0\x02\0`;
  const { type, shape, bytes } = await readNpy(file(Buffer.from(saved, "latin1")));
  expect({ type, shape, bytes: [...bytes] }).toEqual({ type: "i16", shape: [3], bytes: [0, 0, 1, 0, 2, 0] });
});

test("what is no array of numbers in C order is refused in words", async () => {
  const changed = (from: string, to: string): string =>
    file(Buffer.from((npyFile("f32", [2], new Uint8Array(8)) ?? "").toString("latin1").replace(from, to), "latin1"));
  await expect(readNpy(file(Buffer.from("PK…")))).rejects.toThrow("cannot be read");
  await expect(readNpy(changed("<f4", "<c8"))).rejects.toMatchObject({ diagnostics: [{ found: "<c8" }] });
  await expect(readNpy(changed("False", "True "))).rejects.toMatchObject({
    diagnostics: [{ found: "Fortran's order" }],
  });
  await expect(readNpy(changed("(2,)", "(3,)"))).rejects.toMatchObject({
    diagnostics: [{ expected: "12 bytes of elements", found: "8" }],
  });
  expect(npyFile("bf16", [1], new Uint8Array(2))).toBeUndefined();
});
