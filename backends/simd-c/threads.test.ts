import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "unmoor-threads-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs fixtures/threads.c, compiled so. */
function runThreads(...flags: readonly string[]) {
  const program = join(folder, "threads");
  const here = import.meta.dirname;
  const usual = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pthread", `-I${join(here, "support")}`];
  execFileSync("gcc", [...usual, ...flags, "-o", program, join(here, "fixtures", "threads.c")]);
  const { status, stdout, stderr } = spawnSync(program, { encoding: "utf8", timeout: 60_000 });
  return { status, output: stdout + stderr };
}

test("threads compute each block once, and kernels in order", { timeout: 90_000 }, () => {
  expect(runThreads("-O2")).toEqual({ status: 0, output: "720 runs\n" });
});

test.runIf(process.env.UNMOOR_TEST_ALL === "1")("without data races", { timeout: 90_000 }, () => {
  expect(runThreads("-O1", "-g", "-fsanitize=thread")).toEqual({ status: 0, output: "720 runs\n" });
});
