// Weights that an earlier run rounded and laid out: the same results from the user's folder, and nothing wrong from it.
import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { compileLayer } from "../codegen/compile.ts";
import type { Storage } from "../codegen/target.ts";
import type { Tensor } from "../ir/core/tensor.ts";
import { loadBackend } from "../runtime/backends.ts";
import { seededTensor } from "../runtime/check/cases.ts";
import { matchWeights } from "../runtime/checkpoint/match.ts";
import { setCheckpointWeights } from "../runtime/prepared.ts";
import { openCheckpoint } from "../runtime/safetensors/index.ts";
import { readLayer } from "../runtime/source.ts";
import { temporaryFolder, tensorFile, unmoor } from "./support.ts";

const layer = await readLayer({ file: "examples/olmoe.ts", params: { H: 64, I: 32, E: 4, K: 2 }, cache: undefined });
const backend = await loadBackend("simd-c");
const isa = await backend.bestIsa();

/** The tensors of the layer's arguments, in f32. */
const tensors = (role: "weight" | "input", seed: number): ReadonlyMap<string, Tensor> => {
  const { stored } = compileLayer(layer, backend.target(isa), "f32");
  const own = stored.args.filter((a) => a.role === role);
  return new Map(own.map((a) => [a.value.name, seededTensor(stored, a, { T: 3 }, seed)] as const));
};
const fileOf = (role: "weight" | "input", seed: number): Promise<string> =>
  tensorFile(
    temporaryFolder(),
    `${role}.safetensors`,
    new Map(
      [...tensors(role, seed)].map(([name, { dims, data }]) => [name, { dtype: "F32", shape: dims, data }] as const),
    ),
  );
const kept = (folder: string): string[] => readdirSync(folder).filter((name) => name.endsWith(".weights"));

async function run(weights: string, folder: string | undefined, storage: Storage = "q4_0") {
  const compilation = compileLayer(layer, backend.target(isa), storage);
  const file = await openCheckpoint(weights);
  const loaded = await backend.load(compilation.program, compilation.target);
  const set = await setCheckpointWeights(backend, loaded, compilation, file, matchWeights(layer, file), folder);
  const { outputs } = await loaded.run(tensors("input", 9), { T: 3 });
  await loaded.close();
  set.close();
  await file.close();
  return { kept: set.kept, rounded: set.rounded, y: outputs.get(compilation.program.results[0]?.buffer ?? "")?.data };
}

test("a second run takes them from the folder, and gives the same bits", async () => {
  const [folder, weights] = [join(temporaryFolder(), "weights"), await fileOf("weight", 1)];
  const without = await run(weights, undefined);
  const first = await run(weights, folder);
  const second = await run(weights, folder);
  expect([without.kept, first.kept, second.kept]).toEqual([false, false, true]);
  expect(first).toEqual(without);
  expect(second).toEqual({ ...without, kept: true });
  expect(statSync(folder).mode & 0o777).toBe(0o700);

  const other = await run(await fileOf("weight", 2), folder);
  expect(other.kept, "another content").toBe(false);
  expect(other.y).not.toEqual(first.y);
  expect((await run(weights, folder, "q8_0")).kept, "another storage").toBe(false);
  expect(kept(folder)).toHaveLength(3);
  expect((await run(weights, folder, "f32")).kept, "floats are read as quickly").toBe(false);
  expect(kept(folder)).toHaveLength(3);
});

test("a damaged file is made anew, with a warning", async () => {
  const [folder, weights] = [join(temporaryFolder(), "weights"), await fileOf("weight", 1)];
  const first = await run(weights, folder);
  const path = join(folder, kept(folder)[0] ?? "");
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  onTestFinished(() => warned.mockRestore());
  expect(await run(weights, folder)).toEqual(first);
  expect(warned).toHaveBeenCalledWith(`the kept weights ${path} are not what was written there: they are made anew`);
  expect((await run(weights, folder)).kept).toBe(true);
});

test("what an ended process left unfinished goes, what another writes now stays, as do files of others", async () => {
  const [folder, weights] = [temporaryFolder(), await fileOf("weight", 1)];
  const [key, hours] = ["0".repeat(32), new Date(Date.now() - 2 * 3600_000)];
  const [abandoned, written, foreign] = [`.${key}-${"1".repeat(16)}`, `.${key}-${"2".repeat(16)}`, "notes.txt"];
  for (const name of [abandoned, written, foreign]) writeFileSync(join(folder, name), "");
  for (const name of [abandoned, foreign]) utimesSync(join(folder, name), hours, hours);
  await run(weights, folder);
  const names = readdirSync(folder);
  expect(names).toEqual(expect.arrayContaining([written, foreign]));
  expect(names).not.toContain(abandoned);
  expect(kept(folder)).toHaveLength(1);
});

test("exec uses the folder", async () => {
  const folder = temporaryFolder();
  const files = { weights: await fileOf("weight", 1), input: await fileOf("input", 9) };
  const params = Object.entries(layer.params).flatMap(([name, value]) => ["--param", `${name}=${value}`]);
  const exec = async (out: string) => {
    const argv = ["exec", "examples/olmoe.ts", ...params, "--weights", files.weights, "--input", files.input];
    const ran = await unmoor([...argv, "--out", join(folder, out), "--storage", "q8_0"], {
      weights: join(folder, "kept"),
    });
    expect(ran.status, ran.err).toBe(0);
    return { err: ran.err, bytes: readFileSync(join(folder, out)) };
  };
  const first = await exec("first.safetensors");
  expect(kept(join(folder, "kept"))).toHaveLength(1);
  expect(await exec("second.safetensors")).toEqual(first);
  expect(first.err).toContain("rounded to q8_0");
});
