/** The command as users start it: a process of its own, from dist/, which `npm test` builds before. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { example, type Ran, smallParams, temporaryFolder } from "./support.ts";

const program = resolve(import.meta.dirname, "../bin/unmoor.js");

/** @param lines how many lines of stdout are read before it is closed; all by default */
function start(argv: readonly string[], env: NodeJS.ProcessEnv = {}, lines = Number.POSITIVE_INFINITY): Promise<Ran> {
  const cache = temporaryFolder();
  return new Promise((settle, reject) => {
    const child = spawn(process.execPath, [program, ...argv], {
      env: { ...process.env, XDG_CACHE_HOME: cache, NO_COLOR: undefined, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [out, err] = ["", ""];
    child.stdout.on("data", (chunk) => {
      out += chunk;
      if (out.split("\n").length > lines) child.stdout.destroy();
    });
    child.stderr.on("data", (chunk) => {
      err += chunk;
    });
    child.on("error", reject);
    child.on("close", (status) => settle({ status: status ?? -1, out, err }));
  });
}

test("--json leaves one document on stdout, nothing on stderr, and no colours in a pipe", async () => {
  const argv = ["check", example, ...smallParams, "--target", "simd-c"];
  const ran = await start([...argv, "--json"]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  expect(JSON.parse(ran.out)).toMatchObject({ agrees: true, skipped: [] });
  const text = await start(argv);
  expect(text.status).toBe(0);
  expect(`${text.out}${text.err}`).not.toContain("\u001b");
});

test("wrong input has status 2, with the place, and no stack unless UNMOOR_DEBUG=1", async () => {
  const argv = ["compile", example, ...smallParams, "--param", "K=99", "--target", "wgsl", "--out", temporaryFolder()];
  const ran = await start(argv);
  expect(ran).toMatchObject({ status: 2, out: "" });
  expect(ran.err).toMatch(/--> examples\/longcat-moe\.ts:\d+:\d+\n/);
  expect(ran.err).not.toMatch(/\n\s+at /);
  expect((await start(argv, { UNMOOR_DEBUG: "1" })).err).toMatch(/\n\s+at /);
  const json = await start([...argv, "--json"]);
  expect(json.status).toBe(2);
  expect(JSON.parse(json.out)).toMatchObject({ error: { kind: "input", diagnostics: [{ code: "U021" }] } });
});

test("a lack of this machine has status 3, and names what mends it", async () => {
  const argv = ["check", example, ...smallParams, "--target", "simd-c"];
  const ran = await start(argv, { CC: "no-such-compiler" });
  expect(ran).toMatchObject({ status: 3, out: "" });
  expect(ran.err).toContain("no-such-compiler");
  expect(ran.err).toContain("help: ");
  expect(ran.err).not.toMatch(/\n\s+at /);
});

test("a reader that has seen enough, as head has, is no fault", async () => {
  const ran = await start(["explain", example, ...smallParams, "--target", "all"], {}, 2);
  expect(ran).toMatchObject({ status: 0, err: "" });
});
