/** Every code that a user can meet is in the table, and the table is in the documentation. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { codes } from "../bin/codes.ts";
import { catalogue } from "./catalogue.ts";

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

test("docs/errors.md is the catalogue of the codes and their messages (UPDATE_FIXTURES=1 rewrites it)", () => {
  const path = join(root, "docs/errors.md");
  if (process.env.UPDATE_FIXTURES === "1") writeFileSync(path, catalogue());
  expect(readFileSync(path, "utf8")).toBe(catalogue());
});
