import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");

/** What `tsc --strict` says about files of this checkout, or about a text that stands in for one. */
function check(path: string, text?: string): { line: number; message: string }[] {
  const file = resolve(root, path);
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2023,
    lib: ["lib.es2023.d.ts"],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    // As in tsconfig.json: within the checkout "unmoor" is its source, whether or not it was built.
    paths: { unmoor: [resolve(root, "ir/dsl/index.ts")] },
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  if (text !== undefined) {
    host.fileExists = (name) => resolve(name) === file || fileExists(name);
    host.readFile = (name) => (resolve(name) === file ? text : readFile(name));
    host.getSourceFile = (name, version, ...rest) =>
      resolve(name) === file ? ts.createSourceFile(name, text, version) : getSourceFile(name, version, ...rest);
  }
  const program = ts.createProgram([file], options, host);
  const source = program.getSourceFile(file);
  if (source === undefined) throw new Error(`${path} is not read`);
  return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map((d) => ({
    line: source.getLineAndCharacterOfPosition(d.start ?? 0).line + 1,
    message: ts.flattenDiagnosticMessageText(d.messageText, "\n"),
  }));
}

test("the example passes tsc --strict", () => {
  expect(check("examples/longcat-moe.ts")).toEqual([]);
});

test("the example with a wrong weight is red where the weight is used", () => {
  const source = readFileSync(resolve(root, "examples/longcat-moe.ts"), "utf8");
  const wrong = source.replace('down: Tensor<["E", "H", "I"]>', 'down: Tensor<["E", "I", "H"]>');
  expect(wrong).not.toBe(source);
  const line = wrong.split("\n").findIndex((l) => l.includes("w.down[e]")) + 1;
  expect(check("examples/longcat-wrong.ts", wrong)).toEqual([
    { line, message: expect.stringContaining("inner dimensions differ: I vs H") },
  ]);
});

test("the layers of docs/language.md pass tsc --strict", () => {
  const text = readFileSync(resolve(root, "docs/language.md"), "utf8");
  const blocks = [...text.matchAll(/```ts\n(.*?)```/gs)].map((m) => m[1] ?? "").filter((b) => b.includes("= layer("));
  expect(blocks.length).toBeGreaterThan(0);
  for (const block of blocks) expect(check("docs/example.ts", block)).toEqual([]);
});

const fixtures = new URL("fixtures/", import.meta.url);

test.each(readdirSync(fixtures).filter((name) => name.endsWith("-errors.ts.txt")))(
  "%s: wrong shapes are rejected in the author's words, right ones pass",
  (name) => {
    const text = readFileSync(new URL(name, fixtures), "utf8");
    const expected = text.split("\n").flatMap((line, i) => {
      const message = /^\/\/ @expect (.*)$/.exec(line)?.[1];
      return message === undefined ? [] : [{ line: i + 2, message: expect.stringContaining(message) }];
    });
    expect(expected.length).toBeGreaterThan(3);
    expect(check(`ir/dsl/fixtures/${name.replace(/\.txt$/, "")}`, text)).toEqual(expected);
  },
);
