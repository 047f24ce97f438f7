import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Backend } from "../backends/backend.ts";
import type { Layer } from "../ir/core/layer.ts";
import { parseLayer } from "../ir/text/index.ts";
import { loadBackend } from "./backends.ts";
import { emitLayer } from "./emit.ts";

const text = readFileSync(new URL("../codegen/fixtures/longcat.moe", import.meta.url), "utf8");
const layer = parseLayer(text, "longcat.moe");
let cache = "";
let emitted = 0;
let backend: Backend;
beforeEach(async () => {
  cache = mkdtempSync(join(tmpdir(), "unmoor-emit-"));
  emitted = 0;
  const real = await loadBackend("simd-c");
  backend = {
    ...real,
    emit: (program, target) => {
      emitted++;
      return real.emit(program, target);
    },
  };
});
afterEach(() => rmSync(cache, { recursive: true }));

const emit = (given: Layer = layer, storage: "f32" | "bf16" = "f32", isa = "avx2", folder = cache) =>
  emitLayer(given, backend, [backend.target(isa)], storage, folder);

test("what did not change is not emitted again, and comes back the same", async () => {
  const first = await emit();
  expect(first.kernels).toBeGreaterThan(4);
  expect(first.files.get("Makefile")).toContain("-mavx2");
  expect(await emit()).toEqual(first);
  expect(emitted).toBe(1);
  expect(readdirSync(cache).length).toBe(1);
});

test("another layer, place in the source, storage or variant is emitted", async () => {
  await emit();
  await emit({ ...layer, params: { ...layer.params, scale: 3 } });
  await emit({ ...layer, span: { file: "other.ts", line: 1, column: 1, length: 1 } });
  await emit(layer, "bf16");
  await emit(layer, "f32", "scalar");
  expect(emitted).toBe(5);
});

test("several variants make sources that choose among them, from the cache as well", async () => {
  const several = () => emitLayer(layer, backend, ["avx2", "scalar"].map(backend.target), "f32", cache);
  const first = await several();
  expect([...first.files.keys()]).toEqual(
    expect.arrayContaining(["longcatMoe_avx2.c", "longcatMoe_scalar.h", "longcatMoe.c"]),
  );
  expect(first.files.has("longcatMoe_avx512.c")).toBe(false);
  expect(await several()).toEqual(first);
  expect((await emit()).files.has("longcatMoe_avx2.c")).toBe(false);
});

test.each(["{", "null", '{"kernels":1,"files":[["a.c",7]]}', '{"kernels":"1","files":[]}'])(
  "a damaged entry is made again: %s",
  async (damaged) => {
    const first = await emit();
    const [entry = ""] = readdirSync(cache);
    writeFileSync(join(cache, entry), damaged);
    expect(await emit()).toEqual(first);
    expect(emitted).toBe(2);
  },
);

test("without a cache, or with one that cannot be written, sources are emitted each time", async () => {
  await emitLayer(layer, backend, [backend.target("avx2")], "f32", undefined);
  expect(readdirSync(cache)).toEqual([]);
  const file = join(cache, "file");
  writeFileSync(file, "");
  for (let i = 0; i < 2; i++) expect((await emit(layer, "f32", "avx2", file)).files.size).toBeGreaterThan(3);
  expect(emitted).toBe(3);
});
