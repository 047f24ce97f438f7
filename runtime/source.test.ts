import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as frontend from "../ir/frontend/index.ts";
import { printLayer } from "../ir/text/index.ts";
import { readLayer } from "./source.ts";

const compiled = vi.spyOn(frontend, "compileSource");
vi.mock("../ir/frontend/index.ts", { spy: true });

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "unmoor-source-"));
  compiled.mockClear();
  writeFileSync(join(folder, "scale.ts"), "export const scale = 2;\n");
  writeFileSync(
    join(folder, "layer.ts"),
    `import { layer, linear, map, type Tensor } from "unmoor";
import { scale } from "./scale.ts";
export const scaled = layer({ H: 8 }, (p, x: Tensor<["T", "H"]>, w: { w: Tensor<["H", "H"]> }) => map(linear(x, w.w), (v) => v * scale));
`,
  );
});
afterEach(() => rmSync(folder, { recursive: true }));

const read = (params: Record<string, number> = {}) =>
  readLayer({ file: join(folder, "layer.ts"), params, cache: join(folder, "cache") });

test("an unchanged source is not compiled again, and gives the same layer with its places", async () => {
  const first = printLayer(await read(), { spans: true });
  expect(compiled).toHaveBeenCalledTimes(1);
  expect(printLayer(await read(), { spans: true })).toBe(first);
  expect(compiled).toHaveBeenCalledTimes(1);
});

test("a change of the file, of what it imports, or of a parameter is seen", async () => {
  await read();
  const source = readFileSync(join(folder, "layer.ts"), "utf8");
  writeFileSync(join(folder, "layer.ts"), source.replace("H: 8", "H: 9"));
  expect((await read()).params.H).toBe(9);
  writeFileSync(join(folder, "scale.ts"), "export const scale = 3;\n");
  expect(printLayer(await read())).toContain("3.0");
  expect((await read({ H: 10 })).params.H).toBe(10);
  expect(compiled).toHaveBeenCalledTimes(4);
});

test("a damaged entry is made again", async () => {
  const first = printLayer(await read());
  const [entry] = readdirSync(join(folder, "cache"));
  writeFileSync(join(folder, "cache", entry ?? ""), "{");
  expect(printLayer(await read())).toBe(first);
  expect(compiled).toHaveBeenCalledTimes(2);
});

test("a cache that cannot be written costs time only", async () => {
  writeFileSync(join(folder, "cache"), "a file");
  await read();
  await read();
  expect(compiled).toHaveBeenCalledTimes(2);
});
