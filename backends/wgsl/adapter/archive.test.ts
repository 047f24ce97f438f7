import { brotliCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { readTarBr } from "./archive.ts";

/** A tar archive of one file. */
function tarOf(name: string, content: string): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write("0000644\0", 100);
  header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write("        ", 148);
  header.write("0", 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  body.write(content);
  return Buffer.concat([header, body, Buffer.alloc(1024)]);
}

describe("readTarBr", () => {
  it("reads names and contents", () => {
    const text = "x".repeat(700);
    const files = readTarBr(brotliCompressSync(tarOf("a/b.txt", text)));
    expect(files.map((file) => [file.name, file.content.toString()])).toEqual([["a/b.txt", text]]);
  });

  it("tells a damaged header", () => {
    const tar = tarOf("b.txt", "hello");
    tar.write("c", 0);
    expect(() => readTarBr(brotliCompressSync(tar))).toThrow("the tar header at byte 0 is damaged");
  });

  it("tells an archive that ends too early", () => {
    const tar = tarOf("b.txt", "x".repeat(700)).subarray(0, 1000);
    expect(() => readTarBr(brotliCompressSync(tar))).toThrow("ends within the file at byte 0");
  });
});
