/** The rules of who may import whom, from the syntax of the imports. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");
/** Imports run to the left only. */
const rooms = ["ir", "codegen", "backends", "runtime", "bench", "bin"];

interface Import {
  readonly file: string;
  readonly specifier: string;
  /** Gone at run time. */
  readonly typeOnly: boolean;
}

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (entry.name !== "node_modules" && entry.name !== "build") yield* sources(path);
    } else if (/\.[jt]s$/.test(entry.name)) yield path;
  }
}

/** Tests may look anywhere; what they use of testing files is theirs. */
const isTest = (file: string): boolean => /\.test(-d)?\.ts$|(^|\/)testing\.ts$/.test(file);

function importsOf(path: string): Import[] {
  const file = relative(root, path);
  const found: Import[] = [];
  const add = (node: ts.Node | undefined, typeOnly: boolean): void => {
    if (node && ts.isStringLiteral(node)) found.push({ file, specifier: node.text, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, node.importClause?.isTypeOnly === true);
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node.arguments[0], false);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest));
  return found;
}

const imports = rooms.flatMap((room) => [...sources(join(root, room))].flatMap(importsOf));

const code = imports.filter(({ file }) => !isTest(file));
const roomOf = (path: string): string => path.split("/")[0];
const targetOf = ({ file, specifier }: Import): string | undefined =>
  specifier.startsWith(".") ? relative(root, resolve(root, dirname(file), specifier)) : undefined;

const show = (found: readonly Import[]): string[] => found.map(({ file, specifier }) => `${file} imports ${specifier}`);

test("the imports of all rooms are seen", () => {
  for (const room of rooms) expect(code.filter(({ file }) => roomOf(file) === room).length, room).toBeGreaterThan(3);
});

test("imports run one way: ir ← codegen ← backends ← runtime ← bench ← bin", () => {
  const wrong = code.filter((i) => {
    const target = targetOf(i);
    return target !== undefined && rooms.indexOf(roomOf(target)) > rooms.indexOf(roomOf(i.file));
  });
  expect(show(wrong)).toEqual([]);
});

test("ir and codegen run anywhere: nothing of Node, no tool, no device", () => {
  const wrong = code.filter(
    ({ file, specifier }) =>
      ["ir", "codegen"].includes(roomOf(file)) && !specifier.startsWith(".") && !specifier.startsWith("ts-morph"),
  );
  expect(show(wrong)).toEqual([]);
});

test("only the frontend knows the TypeScript compiler", () => {
  const wrong = code.filter(
    ({ file, specifier }) => /^(ts-morph|typescript)$/.test(specifier) && !file.startsWith("ir/frontend/"),
  );
  expect(show(wrong)).toEqual([]);
});

test("only the wgsl backend knows Dawn, and only the runtime and set-up the addon", () => {
  const wrong = code.filter(
    (i) =>
      (i.specifier === "webgpu" && !i.file.startsWith("backends/wgsl/")) ||
      (targetOf(i)?.startsWith("runtime/addon/") === true && !/^runtime\/|^bin\/setup/.test(i.file)),
  );
  expect(show(wrong)).toEqual([]);
});

test("no file imports itself by way of others within its room", () => {
  const files = new Map<string, string[]>();
  for (const i of code) {
    const target = targetOf(i);
    if (target !== undefined && !i.typeOnly) files.set(i.file, [...(files.get(i.file) ?? []), target]);
  }
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(" → "));
    if (done.has(file) || path.includes(file)) return;
    for (const next of files.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of files.keys()) visit(file, []);
  expect(circles).toEqual([]);
});
