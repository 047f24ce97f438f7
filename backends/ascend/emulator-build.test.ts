import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { dropOldHeaders, emulatorBuild } from "./emulator-build.ts";

function folderWith(...files: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "unmoor-emulator-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const file of files) writeFileSync(join(folder, file), "");
  return folder;
}

test("precompiled headers of earlier versions go after a week, and nothing else", async () => {
  const folder = folderWith("kept", "kept.gch", "old", "old.gch", "new", "new.gch", "old.so");
  const longAgo = new Date(Date.now() - 8 * 24 * 3600 * 1000);
  for (const file of ["kept.gch", "old.gch", "old", "old.so"]) utimesSync(join(folder, file), longAgo, longAgo);
  await dropOldHeaders(folder, join(folder, "kept.gch"));
  expect(readdirSync(folder).sort()).toEqual(["kept", "kept.gch", "new", "new.gch", "old.so"]);
});

test("a compiler that refuses is said in words, and asked again", async () => {
  const env = { XDG_CACHE_HOME: folderWith() };
  const compiler = { command: ["false"], version: "g++ that fails" };
  for (let times = 0; times < 2; times++)
    await expect(emulatorBuild(compiler, env)).rejects.toThrow("cannot build the kernels for the Ascend emulator");
});

test("clang compiles the headers with each kernel", async () => {
  const { flags, objects } = await emulatorBuild({ command: ["clang++"], version: "clang version 19" }, {});
  expect(objects).toEqual([]);
  expect(flags).not.toContain("-DUNMOOR_EMULATOR_LINKED");
});
