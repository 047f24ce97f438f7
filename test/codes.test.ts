/** Every code that a user can meet is in the table, and the table is in the documentation. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { codes } from "../bin/codes.ts";

const root = resolve(import.meta.dirname, "..");
const used = new Set(
  ["ir", "codegen", "backends", "runtime", "bench", "bin"].flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, encoding: "utf8" })
      .filter((f) => f.endsWith(".ts") && !f.endsWith(".test.ts"))
      .flatMap((f) => [...readFileSync(join(root, room, f), "utf8").matchAll(/"(U\d{3})"/g)].map((m) => m[1])),
  ),
);

test("every code in the sources is in the table, and no other", () => {
  expect([...used].sort()).toEqual(Object.keys(codes).sort());
});

test("docs/errors.md lists every code with its title and its mend", () => {
  const text = readFileSync(join(root, "docs/errors.md"), "utf8");
  for (const [code, { title, help }] of Object.entries(codes)) {
    expect(text).toContain(`| ${code} | ${title} | ${help.replaceAll("|", "\\|")} |`);
  }
});
