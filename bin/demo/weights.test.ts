import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readLayer } from "../../runtime/source.ts";
import { checkpointBytes, ensureCheckpoint, seededCheckpoint } from "./weights.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "unmoor-weights-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const params = { H: 16, I: 8, E: 3, Z: 2, K: 2 };
const layer = await readLayer({ file: "examples/longcat-moe.ts", params, cache: undefined });
const tensors = seededCheckpoint(layer);
const nothing = (): void => {};

test("the checkpoint has the published names, one tensor per expert, without the identity experts", () => {
  const names = tensors.map((t) => t.name);
  expect(names).toContain("mlp.router.classifier.weight");
  expect(names.filter((n) => n.endsWith(".up_proj.weight"))).toEqual(
    [0, 1, 2].map((e) => `mlp.experts.${e}.up_proj.weight`),
  );
  expect(tensors.find((t) => t.name === "mlp.router.classifier.weight")?.shape).toEqual([5, 16]);
  expect(tensors.find((t) => t.name === "mlp.experts.2.down_proj.weight")?.shape).toEqual([16, 8]);
});

test("a whole file of the same seed and sizes is kept, any other is written again", async () => {
  const path = join(folder, "deep", "w.safetensors");
  expect(await ensureCheckpoint(path, tensors, 1, nothing)).toBe(true);
  expect(statSync(path).size).toBeGreaterThan(checkpointBytes(tensors));
  expect(await ensureCheckpoint(path, tensors, 1, nothing)).toBe(false);
  expect(await ensureCheckpoint(path, tensors, 2, nothing)).toBe(true);
  truncateSync(path, 1000);
  expect(await ensureCheckpoint(path, tensors, 2, nothing)).toBe(true);
  expect(await ensureCheckpoint(path, tensors.slice(1), 2, nothing)).toBe(true);
});

test("an interruption leaves nothing behind", async () => {
  const path = join(folder, "w.safetensors");
  const interrupt = (): never => {
    throw new Error("interrupted");
  };
  await expect(ensureCheckpoint(path, tensors, 1, interrupt)).rejects.toThrow("interrupted");
  expect(readdirSync(folder)).toEqual([]);
});
