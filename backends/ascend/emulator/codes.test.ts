/** Every fault that the emulator's headers report has a broken kernel with its report, and stands in docs/ascend.md. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const here = import.meta.dirname;
const below = (folder: string, end: string): string[] =>
  readdirSync(join(here, folder), { recursive: true, encoding: "utf8" })
    .filter((f) => f.endsWith(end))
    .map((f) => readFileSync(join(here, folder, f), "utf8"));

const reported = new Set(
  below("tests", ".expected").flatMap((text) => [...text.matchAll(/\[([a-z0-9-]+)\]$/gm)].map((m) => m[1] ?? "")),
);

test("each code in the headers has a kernel that is refused with it", () => {
  const codes = below("include", ".h").flatMap((text) => [
    ...[...text.matchAll(/(?:fail\(|\{)\s*"([a-z0-9]+(?:-[a-z0-9]+)+)"\s*,/g)].map((m) => m[1] ?? ""),
    ...[...text.matchAll(/require\([^;"]*,\s*"([a-z0-9-]+)"/g)].map((m) => m[1] ?? ""),
  ]);
  expect(new Set(codes).size).toBeGreaterThan(30);
  expect(codes.filter((code) => !reported.has(code))).toEqual([]);
});

test("docs/ascend.md lists each code", () => {
  const page = readFileSync(join(here, "../../../docs/ascend.md"), "utf8");
  const section = page.slice(page.indexOf("### What is checked"), page.indexOf("### How order"));
  const listed = [...section.matchAll(/`([a-z0-9-]+)(…?)`/g)];
  const isListed = (code: string): boolean =>
    listed.some(([, name = "", more]) => code === name || (more === "…" && code.startsWith(name)));
  expect([...reported].filter((code) => !isListed(code))).toEqual([]);
});
