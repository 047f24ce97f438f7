import { mkdirSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "./checkpoint.ts";
import { SafetensorsError } from "./error.ts";
import { Scratch } from "./testing.ts";
import { writeSafetensors } from "./writer.ts";

const scratch = new Scratch();
afterAll(() => scratch.dispose());

const floats = (...values: number[]) => ({
  dtype: "F32" as const,
  shape: [values.length],
  data: new Float32Array(values),
});

let folders = 0;

/** Makes a folder with two shards and this index; returns its name. */
async function sharded(index: string | object): Promise<string> {
  const folder = `model${folders++}`;
  mkdirSync(scratch.path(folder));
  await writeSafetensors(scratch.path(`${folder}/one.safetensors`), { a: floats(1), b: floats(2, 3) });
  await writeSafetensors(scratch.path(`${folder}/two.safetensors`), { c: floats(4), extra: floats(5) });
  const text = typeof index === "string" ? index : JSON.stringify(index);
  scratch.put(`${folder}/model.safetensors.index.json`, text);
  return scratch.path(folder);
}

const MAP = { a: "one.safetensors", b: "./one.safetensors", c: "two.safetensors" };

async function refusal(index: string | object): Promise<string> {
  const error = await openCheckpoint(await sharded(index)).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(SafetensorsError);
  return error instanceof Error ? error.message : "";
}

describe("openCheckpoint", () => {
  it("reads the tensors of an index from their files", async () => {
    const folder = await sharded({ metadata: { total_size: 16 }, weight_map: MAP });
    for (const path of [folder, `${folder}/model.safetensors.index.json`]) {
      const file = await openCheckpoint(path);
      expect([...file.tensors.keys()]).toEqual(["a", "b", "c"]);
      expect(file.info("c").path).toBe(`${folder}/two.safetensors`);
      expect([...(await file.readF32("b"))]).toEqual([2, 3]);
      expect([...(await file.readF32("c"))]).toEqual([4]);
      await expect(file.read("extra")).rejects.toThrow("there is no such tensor among its 3");
      await file.close();
    }
  });

  it("reads a single file, by its name or its folder's", async () => {
    mkdirSync(scratch.path("single"));
    await writeSafetensors(scratch.path("single/model.safetensors"), { a: floats(7) });
    for (const path of ["single", "single/model.safetensors"]) {
      const file = await openCheckpoint(scratch.path(path));
      expect([...(await file.readF32("a"))]).toEqual([7]);
      await file.close();
    }
  });

  it("refuses a folder without weights, and a path that leads nowhere", async () => {
    mkdirSync(scratch.path("empty"));
    await expect(openCheckpoint(scratch.path("empty"))).rejects.toThrow(
      "the folder has neither model.safetensors.index.json nor model.safetensors; name",
    );
    await expect(openCheckpoint(scratch.path("nowhere"))).rejects.toThrow("nowhere: no such file; check the path");
  });

  it("refuses a damaged index", async () => {
    expect(await refusal("{")).toContain("it is not well-formed JSON");
    expect(await refusal({})).toContain("it is no index of a checkpoint (weight_map: ");
    expect(await refusal({ weight_map: { a: 1 } })).toContain("(weight_map.a: ");
    expect(await refusal('{"weight_map":{"a":"one.safetensors","a":"two.safetensors"}}')).toContain(
      'the key "a" twice',
    );
    expect(await refusal({ weight_map: { ...MAP, a: "two.safetensors" } })).toContain(
      'tensor "a": the index places it in two.safetensors, which does not have it; download',
    );
    expect(await refusal({ weight_map: { ...MAP, d: "three.safetensors" } })).toMatch(
      /three\.safetensors: no such file/,
    );
    for (const shard of ["../one.safetensors", "/etc/passwd", "x/../../y", "..\\one"]) {
      expect(await refusal({ weight_map: { a: shard } })).toContain("outside its own folder");
    }
  });

  it("refuses a damaged shard", async () => {
    const folder = await sharded({ weight_map: MAP });
    scratch.putFile(
      `${folder.split("/").at(-1)}/two.safetensors`,
      { c: { dtype: "F32", shape: [1], data_offsets: [0, 4] } },
      3,
    );
    await expect(openCheckpoint(folder)).rejects.toThrow(/two\.safetensors: the file is truncated/);
  });
});
