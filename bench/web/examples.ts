import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DiagnosticError, IrError } from "../../ir/core/diagnostic.ts";
import { type Layer, walk } from "../../ir/core/layer.ts";
import { compileSource } from "../../ir/frontend/index.ts";
import { printLayer } from "../../ir/text/index.ts";
import type { Example } from "./example.ts";
import { pageSizes } from "./sizes.ts";

/**
 * Compiles every example of a checkout for the page, when the page is built.
 * @param root folder of the checkout
 * @throws DiagnosticError where one does not compile, IrError where the page has no sizes for one
 */
export async function compileExamples(root: string): Promise<Example[]> {
  const examples: Example[] = [];
  for (const file of readdirSync(join(root, "examples")).filter((name) => name.endsWith(".ts")))
    examples.push(await compileExample(root, file));
  return examples;
}

async function compileExample(root: string, file: string): Promise<Example> {
  const sizes = pageSizes[file];
  if (!sizes) throw new IrError(`the page has no sizes for examples/${file}`, "Give them in bench/web/sizes.ts.");
  const entry = `examples/${file}`;
  const compile = (params: Readonly<Record<string, number>>): Promise<Layer> =>
    compileSource({ host: { read: (name) => read(root, name) }, entry, params });
  const layer = await compile(sizes);
  const free: string[] = [];
  for (const [name, value] of Object.entries(layer.params))
    if (await isFree(layer, name, value, (other) => compile({ ...sizes, [name]: other }))) free.push(name);
  const files = new Set([entry, ...[...walk(layer.body)].map((operation) => operation.span.file)]);
  const sources = [...files].map((name) => [name, read(root, name) ?? ""] as const).filter(([, text]) => text !== "");
  const text = printLayer(layer, { spans: true });
  return { file, name: layer.name, sources: Object.fromEntries(sources), text, params: layer.params, free };
}

/**
 * Whether only the value of a parameter, and nothing else of a compiled layer, changes with it: at each of some other values
 * at which the layer compiles, of which there must be one.
 */
async function isFree(
  layer: Layer,
  name: string,
  value: number,
  compile: (value: number) => Promise<Layer>,
): Promise<boolean> {
  const text = printLayer(layer);
  let tried = 0;
  for (const other of [value + 1, 2 * value, 3 * value, Math.floor(value / 2)]) {
    const changed = other > 0 && other !== value ? await compiled(() => compile(other)) : undefined;
    if (!changed) continue;
    tried++;
    if (printLayer({ ...changed, params: { ...changed.params, [name]: value } }) !== text) return false;
  }
  return tried > 0;
}

/** The layer; undefined at sizes that it cannot have. */
async function compiled(compile: () => Promise<Layer>): Promise<Layer | undefined> {
  try {
    return await compile();
  } catch (error) {
    if (error instanceof DiagnosticError) return undefined;
    throw error;
  }
}

function read(root: string, name: string): string | undefined {
  try {
    return readFileSync(join(root, name), "utf8");
  } catch {
    return undefined;
  }
}
