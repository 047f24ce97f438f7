/** The command as users start it: a process of its own, from dist/, which `npm test` builds before. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { writeSafetensors } from "../runtime/safetensors/index.ts";
import { models } from "./published/models.ts";
import { agreement, compiled, fileTensors, isa, tensorsOf, valuesOf } from "./published/run.ts";
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

test("exec runs an example on the config and the layer of its model, as the README says", async () => {
  const { config, params, prefix, publish } = models["qwen3-moe"] as (typeof models)[string];
  const compilation = await compiled("qwen3-moe", params, "f32");
  const tensors = tensorsOf(compilation);
  const folder = temporaryFolder();
  const file = (name: string): string => join(folder, name);
  writeFileSync(file("config.json"), JSON.stringify(config));
  const published = publish(valuesOf(compilation, tensors, "weight"));
  await writeSafetensors(file("layer.safetensors"), fileTensors(published, "F32", prefix));
  await writeSafetensors(file("x.safetensors"), fileTensors(valuesOf(compilation, tensors, "input"), "F32"));
  const argv = [
    "--config",
    "config.json",
    "--weights",
    "layer.safetensors",
    "--input",
    "x.safetensors",
    "--out",
    "y.safetensors",
  ];
  const paths = argv.map((word) => (word.startsWith("--") ? word : file(word)));
  const ran = await start([
    "exec",
    "examples/qwen3-moe.ts",
    ...paths,
    "--route-out",
    file("routing.json"),
    "--isa",
    isa,
  ]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  expect(ran.out).toMatch(
    /^qwen3Moe on simd-c \(avx2, weights in f32, T = 5; .*\)\n {2}y F32\[5, 24\] → .*y\.safetensors\n/,
  );
  expect((await agreement(compilation, tensors, folder)).disagreements).toEqual([]);
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
