/** What a user gets wrong: the message, the exit status, and nothing half-written. */
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  example,
  jsonOf,
  smallParams,
  smallTensors,
  sourceFile,
  temporaryFolder,
  tensorFile,
  unmoor,
} from "./support.ts";

const source = readFileSync(example, "utf8");
/** The example with a piece of its text replaced. */
const changed = (from: string, to: string): string => {
  const text = source.replace(from, to);
  expect(text, `the example contains ${from}`).not.toBe(source);
  return sourceFile(text);
};

/** Compiles, expects status 2 with nothing on stdout and nothing written, and gives the message. */
async function refused(file: string, extra: readonly string[] = []): Promise<string> {
  const out = join(temporaryFolder(), "sources");
  const argv = ["compile", file, ...smallParams, ...extra, "--target", "all", "--out", out];
  const ran = await unmoor(argv);
  expect(ran).toMatchObject({ status: 2, out: "" });
  expect(existsSync(out)).toBe(false);
  expect(ran.err).toContain("help: ");
  expect(ran.err).not.toMatch(/\n\s+at |node:internal/);
  const json = await unmoor([...argv, "--json"]);
  expect(json.status).toBe(2);
  const { error } = jsonOf(json) as { error: { diagnostics: { code: string; help: string }[] } };
  for (const { code, help } of error.diagnostics) {
    expect(ran.err).toContain(code);
    expect(help).not.toBe("");
  }
  return ran.err;
}

describe("wrong source is told at its place, with the mend", () => {
  test("an unknown op", async () => {
    const text = await refused(changed("linear, mul, route, silu", "linear, mull, route, silu"));
    expect(text).toMatch(/layer\.ts:1:\d+/);
    expect(text).toContain("mull");
    expect(text).toContain("mul");
    expect(text).toContain("^^^^");
  });
  test("a wrong inner dimension", async () => {
    const text = await refused(changed("w.down[e])", "w.up[e])"));
    expect(text).toContain("inner dimensions differ: I vs H");
    expect(text).toContain("w.up[e] is f32[I, H]");
    expect(text).toMatch(/layer\.ts:\d+:\d+/);
  });
  test("a construct outside the language", async () => {
    const file = changed("    const routing", "    while (true) {}\n    const routing");
    const text = await refused(file);
    const line = readFileSync(file, "utf8").split("\n").indexOf("    while (true) {}") + 1;
    expect(text).toContain("while (true)");
    expect(text).toContain(`layer.ts:${line}:5`);
  });
  test("a parameter that the layer does not have", async () => {
    const text = await refused(example, ["--param", "Q=3"]);
    expect(text).toContain("Q");
    for (const name of ["H", "I", "E", "Z", "K", "scale"]) expect(text).toContain(name);
  });
  test("a parameter that is no number", async () => {
    expect(await refused(example, ["--param", "H=many"])).toContain("H=many");
  });
  test("top-k larger than the number of experts", async () => {
    const text = await refused(example, ["--param", "K=7"]);
    expect(text).toContain("topK is 7, but there are only 6 experts");
    expect(text).toContain("a number from 1 to 6");
  });
  test("a file that is not there", async () => {
    const path = join(temporaryFolder(), "none.ts");
    expect(await refused(path)).toContain("none.ts");
  });
  test("a storage that a target cannot read", async () => {
    const out = join(temporaryFolder(), "sources");
    const ran = await unmoor([
      "compile",
      example,
      ...smallParams,
      "--storage",
      "q8_0",
      "--target",
      "ascend",
      "--out",
      out,
    ]);
    expect(ran).toMatchObject({ status: 2, out: "" });
    expect(ran.err).toContain("weights in q8_0 cannot be used on ascend");
    expect(existsSync(out)).toBe(false);
  });
});

describe("wrong use of the command line has status 2", () => {
  test.each([
    ["an unknown command", ["compil", example], "compil"],
    ["an unknown option", ["check", example, "--sed", "1"], "--sed"],
    ["an unknown target", ["check", example, "--target", "cuda"], "cuda"],
    ["an unknown variant", ["check", example, "--target", "simd-c", "--isa", "mmx"], "mmx"],
    ["no file", ["check"], "file"],
  ])("%s", async (_, argv, named) => {
    const ran = await unmoor(argv);
    expect(ran).toMatchObject({ status: 2, out: "" });
    expect(ran.err.toLowerCase()).toContain(named);
    expect(ran.err).not.toMatch(/\n\s+at /);
  });
});

describe("an output that cannot be written", () => {
  test("is told before anything is written", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "file"), "mine");
    const ran = await unmoor([
      "compile",
      example,
      ...smallParams,
      "--target",
      "simd-c",
      "--out",
      join(folder, "file", "out"),
    ]);
    expect(ran).toMatchObject({ status: 2, out: "" });
    expect(ran.err).toContain("file");
    expect(readFileSync(join(folder, "file"), "utf8")).toBe("mine");
  });
  test("a certificate", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "certificate.json"));
    const ran = await unmoor([
      "check",
      example,
      ...smallParams,
      "--target",
      "simd-c",
      "--out",
      join(folder, "certificate.json"),
    ]);
    expect(ran.status).toBe(2);
    expect(ran.err).toContain("certificate.json");
  });
});

describe("wrong tensors", () => {
  const exec = async (weights: string, input: string, out: string) =>
    unmoor([
      "exec",
      example,
      ...smallParams,
      "--target",
      "simd-c",
      "--weights",
      weights,
      "--input",
      input,
      "--out",
      out,
    ]);
  const files = async () => {
    const folder = temporaryFolder();
    const { weights, input } = smallTensors("F32");
    return {
      folder,
      weights,
      input,
      x: await tensorFile(folder, "x.safetensors", input),
      out: join(folder, "y.safetensors"),
    };
  };

  test("a missing weight is named", async () => {
    const { folder, weights, x, out } = await files();
    weights.delete("mlp.experts.2.up_proj.weight");
    const ran = await exec(await tensorFile(folder, "w.safetensors", weights), x, out);
    expect(ran).toMatchObject({ status: 2, out: "" });
    expect(ran.err).toContain("mlp.experts.2.up_proj.weight");
    expect(ran.err).toContain("w.safetensors");
    expect(existsSync(out)).toBe(false);
  });
  test("a misshapen weight is named, with both shapes", async () => {
    const { folder, weights, x, out } = await files();
    weights.set("mlp.router.e_score_correction_bias", { dtype: "F32", shape: [5], data: new Float32Array(5) });
    const ran = await exec(await tensorFile(folder, "w.safetensors", weights), x, out);
    expect(ran).toMatchObject({ status: 2, out: "" });
    expect(ran.err).toContain("mlp.router.e_score_correction_bias");
    expect(ran.err).toMatch(/expected: \[E \+ Z\] = \[6\]\n\s+found:\s+\[5\]/);
  });
  test("a truncated file says how much is missing", async () => {
    const { folder, weights, x, out } = await files();
    const w = await tensorFile(folder, "w.safetensors", weights);
    truncateSync(w, 9000);
    const ran = await exec(w, x, out);
    expect(ran).toMatchObject({ status: 2, out: "" });
    expect(ran.err).toMatch(/w\.safetensors/);
    expect(ran.err).toMatch(/truncated/);
    expect(ran.err).toMatch(/9,?000/);
    expect(existsSync(out)).toBe(false);
  });
  test("an input of another width", async () => {
    const { folder, weights, out } = await files();
    const x = await tensorFile(
      folder,
      "x2.safetensors",
      new Map([["x", { dtype: "F32", shape: [2, 31], data: new Float32Array(62) }]]),
    );
    const ran = await exec(await tensorFile(folder, "w.safetensors", weights), x, out);
    expect(ran).toMatchObject({ status: 2, out: "" });
    expect(ran.err).toContain("31");
    expect(dirname(out)).toBe(folder);
    expect(existsSync(out)).toBe(false);
  });
});
