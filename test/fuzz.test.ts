/**
 * Whatever a file says, the compiler makes a layer of it, or tells what is wrong and where. Texts are made of the examples by
 * mutations that mostly follow the grammar, and of noise. UNMOOR_FUZZ=N runs N of each; UNMOOR_FUZZ_SEED gives the seed of a failure.
 */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { codes } from "../bin/codes.ts";
import { compileLayer } from "../codegen/compile.ts";
import { cubeTarget, packedTarget, plainTarget } from "../codegen/testing.ts";
import { DiagnosticError } from "../ir/core/diagnostic.ts";
import type { Layer } from "../ir/core/layer.ts";
import { compileSource, memoryHost } from "../ir/frontend/index.ts";
import { opNames } from "../ir/ops/index.ts";
import { parseLayer, printLayer } from "../ir/text/index.ts";
import { type Mutation, mutate } from "./mutate.ts";

const folder = new URL("../examples/", import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith(".ts"));
const examples = files.map((name) => readFileSync(new URL(name, folder), "utf8"));

const seed = Number(process.env.UNMOOR_FUZZ_SEED ?? 20261124);
const runs = (usual: number): number => Number(process.env.UNMOOR_FUZZ ?? usual);
/** No text may take longer; far above what any takes, so that a slow machine does not fail. */
const budget = 10_000;

/** Compiles a text. Throws where anything but a layer or diagnostics with good places comes of it. */
async function survives(text: string): Promise<Layer | undefined> {
  const others = Object.fromEntries(files.map((name, i) => [name, examples[i] ?? ""]));
  const sources: Readonly<Record<string, string>> = { ...others, "a.ts": text };
  const start = performance.now();
  let layer: Layer | undefined;
  try {
    layer = await compileSource({ host: memoryHost(sources), entry: "a.ts" });
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    expect(error.diagnostics.length).toBeGreaterThan(0);
    for (const { code, span, message, help } of error.diagnostics) {
      expect(codes).toHaveProperty(code);
      expect(message).toMatch(/\S/);
      expect(help).toMatch(/\S/);
      expectAuthorsWords(`${message} ${help}`, sources);
      if (span.file === "") continue;
      const lines = (sources[span.file] ?? expect.fail(`no file ${span.file}`)).split(/\r\n|[\n\r\u2028\u2029]/);
      expect(span.line).toBeLessThanOrEqual(lines.length);
      expect(span.column).toBeLessThanOrEqual((lines[span.line - 1] ?? "").length + 1);
    }
  }
  expect(performance.now() - start).toBeLessThan(budget);
  return layer;
}

/** Names that only the IR has: ops that no author calls, and attributes that authors spell otherwise. */
const internalNames = new RegExp(
  `\\b(${[...opNames.filter((name) => name.includes("_")), "select_bias", "top_k", "token_ids", "expert_scale", "at_least"].join("|")})\\b`,
  "g",
);

/** An author is spoken to in words of the source. */
function expectAuthorsWords(told: string, sources: Readonly<Record<string, string>>): void {
  const written = Object.values(sources).join(" ");
  const internal = (told.match(internalNames) ?? []).filter((word) => !written.includes(word));
  expect(internal).toEqual([]);
  expect(told).not.toMatch(/\n\s+at |node_modules|\[object |\.ts:\d+:\d+\)|IrError|TypeError/);
}

/** What compiles goes on through the text form and to kernels, or is refused there in words. */
function goesOn(layer: Layer, source: string): void {
  const printed = printLayer(layer, { spans: true });
  expect(printLayer(parseLayer(printed), { spans: true })).toBe(printed);
  for (const target of [packedTarget, plainTarget, cubeTarget]) {
    try {
      compileLayer(layer, target, "f32");
    } catch (error) {
      if (!(error instanceof DiagnosticError)) throw error;
      for (const { span, message, help } of error.diagnostics) {
        expect(span.file).not.toBe("");
        expectAuthorsWords(`${message} ${help}`, { [span.file]: examples.join(" ") + source });
      }
    }
  }
}

const natural = fc.nat(2 ** 31 - 1);
const mutation: fc.Arbitrary<Mutation> = fc.record({ kind: natural, at: natural, other: natural });

test(`mutated examples compile or are refused at a place (seed ${seed})`, async () => {
  await fc.assert(
    fc.asyncProperty(natural, fc.array(mutation, { minLength: 1, maxLength: 4 }), async (base, changes) => {
      const text = changes.reduce((t, c) => mutate(t, c, examples), examples[base % examples.length] ?? "");
      try {
        const layer = await survives(text);
        if (layer !== undefined) goesOn(layer, text);
      } catch (error) {
        throw new Error(`${error instanceof Error ? error.stack : error}\n${text}`);
      }
    }),
    { seed, numRuns: runs(300) },
  );
});

test(`noise is refused (seed ${seed})`, async () => {
  const words = [
    "layer",
    "(",
    ")",
    "{",
    "}",
    "const",
    "=>",
    ",",
    "x",
    ":",
    "Tensor",
    "<",
    "[",
    "]",
    ">",
    '"T"',
    "=",
    "export",
    ";",
    " ",
  ];
  const token = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...words) },
    fc.string({ unit: "binary", maxLength: 5 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(token, { maxLength: 60 }), async (tokens) => {
      expect(await survives(tokens.join(""))).toBeUndefined();
    }),
    { seed, numRuns: runs(300) },
  );
});
