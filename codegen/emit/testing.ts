import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

/** For tests: holds a text against a file, or writes the file where UPDATE_GOLDENS=1. */
export function expectGolden(file: URL, text: string): void {
  if (process.env.UPDATE_GOLDENS === "1") {
    mkdirSync(new URL(".", file), { recursive: true });
    writeFileSync(file, text);
  }
  expect(text, `differs from ${fileURLToPath(file)}; UPDATE_GOLDENS=1 writes it anew`).toBe(readFileSync(file, "utf8"));
}
