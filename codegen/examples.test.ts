import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compileSource, memoryHost } from "../ir/frontend/index.ts";
import { compileLayer } from "./compile.ts";
import { checkCompilation } from "./oracle-testing.ts";
import type { Storage } from "./target.ts";
import { cubeTarget, packedTarget, plainTarget } from "./testing.ts";

/** Every example, at small sizes that are multiples of no tile, on every kind of schedule. */

const root = new URL("../", import.meta.url);
const filesIn = (folder: string): string[] => readdirSync(new URL(folder, root)).filter((name) => name.endsWith(".ts"));
const files = filesIn("examples/");
const paths = [...files.map((name) => `examples/${name}`), ...filesIn("models/").map((name) => `models/${name}`)];
const sources = Object.fromEntries(paths.map((path) => [path, readFileSync(new URL(path, root), "utf8")]));

/** Small values of the parameters that examples name as sizes. Others keep theirs. */
const small: Readonly<Record<string, number>> = {
  H: 21,
  A: 2,
  Q: 11,
  N: 5,
  R: 4,
  F: 9,
  I: 11,
  S: 9,
  D: 10,
  L: 13,
  E: 12,
  Z: 5,
  K: 3,
  G: 4,
  M: 2,
  V: 7,
};

const compiled = (entry: string) => {
  const { params } = /(?<params>layer\(\s*\{[^}]*\})/.exec(sources[`examples/${entry}`] ?? "")?.groups ?? {};
  const given = Object.entries(small).filter(([name]) => new RegExp(`\\b${name}:`).test(params ?? ""));
  return compileSource({ host: memoryHost(sources), entry: `examples/${entry}`, params: Object.fromEntries(given) });
};

describe.each(files)("examples/%s", (entry) => {
  test("is at most one page, and says where its formulas are from", () => {
    const source = sources[`examples/${entry}`] ?? "";
    // The table of published names is no part of what a layer says.
    const said = source.replace(/\n {2}\{\n {4}config: [\s\S]*?\n {2}\},\n/, "\n");
    expect(said.length).toBeLessThan(source.length);
    expect(said.split("\n").length).toBeLessThanOrEqual(80);
    expect(source).toMatch(/Source: /);
  });

  for (const target of [packedTarget, plainTarget, cubeTarget])
    for (const storage of ["f32", "bf16"] satisfies Storage[])
      test(`${target.isa}, ${storage}: kernels agree with the oracle`, async () => {
        const compilation = compileLayer(await compiled(entry), target, storage);
        for (const tokens of [0, 1, 6, 7]) checkCompilation(compilation, tokens);
      });
});
