import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { bf16ToF32, f16ToF32 } from "../ir/core/float16.ts";
import { interpret } from "../ir/interpreter/index.ts";
import { openSafetensors, type TensorData } from "../runtime/safetensors/index.ts";
import { readLayer } from "../runtime/source.ts";
import {
  changedBackend,
  example,
  jsonOf,
  small,
  smallParams,
  smallTensors,
  temporaryFolder,
  tensorFile,
  unmoor,
} from "./support.ts";

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((f) => statSync(join(folder, f)).isFile())
    .sort();

test("compile writes the sources of one target into --out, and says what it wrote", async () => {
  const out = join(temporaryFolder(), "new", "folder");
  const ran = await unmoor(["compile", example, ...smallParams, "--target", "simd-c", "--isa", "avx2", "--out", out]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  const files = filesBelow(out);
  expect(files).toContain("longcatMoe.c");
  for (const file of files) expect(ran.out).toContain(file);
  expect(readFileSync(join(out, "longcatMoe.c"), "utf8")).toContain("_mm256_fmadd_ps");
});

test("compile --limits lays a layer out for a device: weights that its bindings do not hold are cut", async () => {
  const out = join(temporaryFolder(), "layer");
  const limits = join(temporaryFolder(), "limits.json");
  const compile = (given: string) =>
    unmoor(["compile", example, ...smallParams, "--target", "wgsl", "--limits", given, "--out", out]);
  writeFileSync(limits, JSON.stringify({ maxStorageBufferBindingSize: 4096, maxTextureDimension2D: 8192 }));
  expect((await compile(limits)).status).toBe(0);
  const plan = JSON.parse(readFileSync(join(out, "plan.json"), "utf8"));
  // Four experts of 2 KiB each.
  expect(plan.buffers.map((b: { name: string }) => b.name)).toEqual(expect.arrayContaining(["gate.0", "gate.1"]));
  for (const [text, says] of [
    ['{"maxStorageBufferBindingSize": 256}', "error[U213]"],
    ['{"maxStorageBufferBindingSize": "much"}', "the limit maxStorageBufferBindingSize in"],
    ['{"maxComputeInvocationsPerWorkgroup": 16}', "kernels run 64 invocations in a workgroup"],
    ['{"bindings": 8}', "has the unknown limit bindings"],
    ["eight", "holds no limits"],
  ] as const) {
    writeFileSync(limits, text);
    const { status, err } = await compile(limits);
    expect([status, err]).toEqual([2, expect.stringContaining(says)]);
  }
  expect((await compile("tablet")).err).toContain("error[U409]: the limits tablet cannot be read");
  expect((await compile("phone")).status).toBe(0);
});

test("compile without --isa writes all variants, which choose when they run", async () => {
  const out = temporaryFolder();
  const ran = await unmoor(["compile", example, ...smallParams, "--target", "simd-c", "--out", out]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  const files = filesBelow(out);
  for (const name of ["longcatMoe.c", "longcatMoe_scalar.c", "longcatMoe_avx2.c", "longcatMoe_avx512_bf16.h"])
    expect(files).toContain(name);
  expect(readFileSync(join(out, "longcatMoe.h"), "utf8")).toContain("int32_t longcatMoe_use(const char *isa);");
});

test("compile --target all writes each target into a folder of its own, and its JSON lists the files", async () => {
  const out = temporaryFolder();
  const ran = await unmoor(["compile", example, ...smallParams, "--target", "all", "--out", out, "--json"]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  const { targets } = jsonOf(ran) as { targets: { target: string; files: { path: string; bytes: number }[] }[] };
  expect(targets.map((t) => t.target)).toEqual(["simd-c", "wgsl", "ascend"]);
  const told = targets.flatMap((t) => t.files);
  expect(told.map((f) => f.path).sort()).toEqual(filesBelow(out));
  for (const { path, bytes } of told) expect(statSync(join(out, path)).size, path).toBe(bytes);
  expect(new Set(filesBelow(out).map((f) => f.split("/")[0]))).toEqual(new Set(["simd-c", "wgsl", "ascend"]));
});

test("check agrees, and writes the certificate (seed 3)", async () => {
  const path = join(temporaryFolder(), "certificate.json");
  const argv = ["check", example, ...smallParams, "--target", "simd-c", "--seed", "3", "--out", path];
  const ran = await unmoor(argv);
  expect(ran).toMatchObject({ status: 0, err: "" });
  expect(ran.out).toContain("simd-c agree with the oracle");
  const certificate = JSON.parse(readFileSync(path, "utf8"));
  expect(certificate).toMatchObject({
    format: "unmoor-certificate-1",
    layer: "longcatMoe",
    params: small,
    seed: 3,
    agrees: true,
  });
  const [target] = certificate.targets;
  expect(target.hashes.map((h: { pass: string }) => h.pass)).toContain("group-experts");
  expect(target.cases.length).toBeGreaterThan(6);
  expect(target.tools).not.toEqual({});
  for (const each of target.cases) expect(each.max_error_over_bound).toBeLessThanOrEqual(1);
});

test("check ends with 1 and tells the place where a target disagrees", async () => {
  const backends = changedBackend((outputs) => {
    const y = outputs.get("y");
    if (y && y.data.length > 3) y.data[3] = 1e6;
  });
  const argv = ["check", example, ...smallParams, "--target", "simd-c"];
  const ran = await unmoor(argv, { backends });
  expect(ran.status).toBe(1);
  expect(ran.out).toContain("DISAGREES");
  expect(ran.out).toMatch(/simd-c \(.*\), 1 token: y\[0, 3\]: .* expected, 1000000 found/);
  const json = await unmoor([...argv, "--json"], { backends });
  expect(json.status).toBe(1);
  expect(jsonOf(json)).toMatchObject({ agrees: false });
});

test("check finds a broken tie rule, which no rounding bound would show", async () => {
  const backends = changedBackend((outputs) => {
    const ids = outputs.get("routing_ids");
    // Neighbours change places: with equal scores the set of experts stays, only their order is wrong.
    if (ids?.data instanceof Int32Array && ids.data.every((id, i) => id === i % 2))
      for (let i = 0; i < ids.data.length; i++) ids.data[i] = 1 - (i % 2);
  });
  const ran = await unmoor(["check", example, ...smallParams, "--target", "simd-c"], { backends });
  expect(ran.out).toContain("all experts score alike, expert 0 expected (the lowest id), 1 found");
  expect(ran.status).toBe(1);
});

test("bench prints figures after checking them, writes the report, and its JSON has the fields of a row", async () => {
  const folder = temporaryFolder();
  const [json, html] = [join(folder, "report.json"), join(folder, "report.html")];
  const argv = [
    "bench",
    example,
    ...smallParams,
    "--target",
    "simd-c",
    "--tokens",
    "1,20",
    "--budget",
    "5",
    "--threads",
    "2",
  ];
  const ran = await unmoor([...argv, "--no-roofs", "--json-out", json, "--html", html]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  expect(ran.out).toContain("Measured: longcatMoe");
  const { rows } = JSON.parse(readFileSync(json, "utf8"));
  expect(rows).toHaveLength(2);
  const [, row] = rows;
  expect(row).toMatchObject({
    target: "simd-c",
    kind: "measured",
    layer: "longcatMoe",
    params: small,
    storage: "f32",
    tokens: 20,
    threads: 2,
  });
  for (const name of ["median_ms", "min_ms", "runs", "flops", "bytes", "gflops", "gbps"])
    expect(row[name], name).toBeGreaterThan(0);
  expect(row.runs).toBeGreaterThanOrEqual(5);
  expect(row.max_error_over_bound).toBeLessThanOrEqual(1);
  expect(row.ambiguous_tokens).toBeGreaterThanOrEqual(0);
  const page = readFileSync(html, "utf8");
  expect(page).toContain("<svg");
  expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
});

test("bench gives no figure for a target that disagrees", async () => {
  const backends = changedBackend((outputs) => outputs.get("y")?.data.fill(0));
  const argv = ["bench", example, ...smallParams, "--target", "simd-c", "--tokens", "4", "--no-roofs", "--json"];
  const ran = await unmoor(argv, { backends });
  expect(ran.status).toBe(1);
  expect(jsonOf(ran)).toMatchObject({ rows: [], wrong: [{ target: "simd-c", tokens: 4 }] });
});

/** What the oracle computes on the tensors of smallTensors. */
async function oracle({ weights, input }: ReturnType<typeof smallTensors>) {
  const layer = await readLayer({ file: example, params: small, cache: undefined });
  const floats = ({ dtype, data }: TensorData): Float32Array =>
    dtype === "F32"
      ? (data as Float32Array)
      : Float32Array.from(data as Uint16Array, dtype === "F16" ? f16ToF32 : bf16ToF32);
  const get = (name: string): Float32Array => floats(weights.get(name) as TensorData);
  const stack = (part: string): Float32Array =>
    Float32Array.from(
      Array.from({ length: small.E }, (_, e) => [...get(`mlp.experts.${e}.${part}_proj.weight`)]).flat(),
    );
  const { H, I, E, Z } = small;
  const tensor = (data: Float32Array, dims: number[]) => ({ dtype: "f32" as const, dims, data });
  return interpret(layer, {
    dims: { T: 5 },
    tensors: new Map([
      ["x", tensor(floats(input.get("x") as TensorData), [5, H])],
      ["router", tensor(get("mlp.router.classifier.weight"), [E + Z, H])],
      ["bias", tensor(get("mlp.router.e_score_correction_bias"), [E + Z])],
      ["gate", tensor(stack("gate"), [E, I, H])],
      ["up", tensor(stack("up"), [E, I, H])],
      ["down", tensor(stack("down"), [E, H, I])],
    ]),
  });
}

test.each(["F32", "F16", "BF16"] as const)(
  "exec runs on %s weights in published naming, in the storage of the file (seed 7)",
  async (dtype) => {
    const folder = temporaryFolder();
    const tensors = smallTensors(dtype);
    const [weights, input] = [
      await tensorFile(folder, "w", tensors.weights),
      await tensorFile(folder, "x", tensors.input),
    ];
    const [out, route] = [join(folder, "y.safetensors"), join(folder, "r.json")];
    const argv = ["exec", example, ...smallParams, "--target", "simd-c", "--weights", weights, "--input", input];
    const ran = await unmoor([...argv, "--out", out, "--route-out", route, "--json"]);
    expect(ran).toMatchObject({ status: 0, err: "" });
    expect(jsonOf(ran)).toMatchObject({ storage: dtype.toLowerCase(), dims: { T: 5 }, notes: [] });
    const want = await oracle(tensors);
    const file = await openSafetensors(out);
    const y = await file.readF32("y");
    await file.close();
    const exact = want.results.get("y");
    const tolerance = { F32: 1e-4, F16: 1e-2, BF16: 0.1 }[dtype];
    y.forEach((value, i) => {
      expect(Math.abs(value - (exact?.data[i] ?? Number.NaN)), `y[${i}]`).toBeLessThan(tolerance);
    });
    const routing = JSON.parse(readFileSync(route, "utf8"));
    expect(routing.ids.flat()).toEqual([...(want.choices[0]?.results[0]?.data ?? [])]);
    expect(routing.weights).toHaveLength(5);
    expect(routing.weights.flat()[0]).toBeCloseTo(want.choices[0]?.results[1]?.data[0] ?? Number.NaN, 5);
  },
);

test("exec binds weights by argument names as well, notes what is unused, and takes zero tokens", async () => {
  const folder = temporaryFolder();
  const { weights, input } = smallTensors("F32");
  const stack = (part: string, shape: number[]): TensorData => {
    const parts = Array.from(
      { length: small.E },
      (_, e) => weights.get(`mlp.experts.${e}.${part}_proj.weight`)?.data as Float32Array,
    );
    return { dtype: "F32", shape: [small.E, ...shape], data: Float32Array.from(parts.flatMap((p) => [...p])) };
  };
  const named = new Map<string, TensorData>([
    ["router", weights.get("mlp.router.classifier.weight") as TensorData],
    ["bias", weights.get("mlp.router.e_score_correction_bias") as TensorData],
    ["gate", stack("gate", [small.I, small.H])],
    ["up", stack("up", [small.I, small.H])],
    ["down", stack("down", [small.H, small.I])],
    ["extra", { dtype: "F32", shape: [1], data: new Float32Array(1) }],
  ]);
  const run = async (name: string, tensors: ReadonlyMap<string, TensorData>, x: ReadonlyMap<string, TensorData>) => {
    const w = await tensorFile(folder, `w-${name}`, tensors);
    const i = await tensorFile(folder, `x-${name}`, x);
    const out = join(folder, `y-${name}`);
    const ran = await unmoor([
      "exec",
      example,
      ...smallParams,
      "--target",
      "simd-c",
      "--weights",
      w,
      "--input",
      i,
      "--out",
      out,
    ]);
    return { ran, bytes: readFileSync(out) };
  };
  const published = await run("published", weights, input);
  const argument = await run("argument", named, input);
  expect(argument.ran).toMatchObject({ status: 0, err: "note: 1 tensor of the weights file is not used: extra\n" });
  expect(argument.bytes.equals(published.bytes)).toBe(true);
  const none = new Map<string, TensorData>([["x", { dtype: "F32", shape: [0, small.H], data: new Float32Array(0) }]]);
  expect((await run("none", weights, none)).ran).toMatchObject({ status: 0, err: "" });
});

test("explain shows what each pass changes, the kernels and the memory plan", async () => {
  const ran = await unmoor([
    "explain",
    example,
    ...smallParams,
    "--target",
    "simd-c",
    "--target",
    "ascend",
    "--tokens",
    "1,9",
  ]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  for (const text of [
    "-- source",
    "-- group-experts",
    "+   %offsets, %slots, %rows = dispatch(",
    "== ascend",
    "flops at T=9",
    "workspace",
  ])
    expect(ran.out).toContain(text);
  const json = await unmoor(["explain", example, ...smallParams, "--target", "wgsl", "--json"]);
  const { targets } = jsonOf(json) as {
    targets: { stages: { pass: string; changed: boolean }[]; kernels: unknown[]; memory: object }[];
  };
  expect(targets[0]?.stages.find((s) => s.pass === "remove-zero-experts")?.changed).toBe(true);
  expect(targets[0]?.kernels.length).toBeGreaterThan(3);
});

test("explain --html draws buffers and pipes of every Ascend kernel that has a block", async () => {
  const out = join(temporaryFolder(), "page.html");
  const ran = await unmoor([
    "explain",
    example,
    ...smallParams,
    "--target",
    "ascend",
    "--tokens",
    "1,16",
    "--html",
    out,
  ]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  const articles = readFileSync(out, "utf8").split("<article ").slice(1);
  expect(articles.length).toBeGreaterThan(5);
  for (const article of articles.filter((a) => !a.includes("Once, when weights are loaded."))) {
    const [name] = article.split(">");
    expect(article, name).toContain('<figure class="space">');
    expect(article, name).toContain('<svg role="img" class="timeline"');
    expect(article, name).toContain("modelled for Ascend 910B3, T = 16");
  }
});

test("explain --html writes a page with the source, and leaves out a target that cannot do the layer", async () => {
  const out = join(temporaryFolder(), "page.html");
  const given = [
    "explain",
    example,
    ...smallParams,
    "--param",
    "I=32",
    "--storage",
    "q8_0",
    "--target",
    "all",
    "--html",
    out,
  ];
  const ran = await unmoor(given);
  expect(ran).toMatchObject({ status: 0, out: `page: ${out}\n` });
  expect(ran.err).toContain("left out: ascend: weights in q8_0 cannot be used on ascend");
  const page = readFileSync(out, "utf8");
  for (const text of [
    "<title>longcatMoe, explained</title>",
    "export const longcatMoe = layer(",
    '<section class="target" id="simd-c"',
    '<section class="target" id="wgsl"',
    "<strong>ascend was left out:</strong>",
    'id="wgsl-kernel-combine_y"',
  ])
    expect(page).toContain(text);
  const refused = await unmoor(["explain", example, ...smallParams, "--html", "/nowhere/page.html"]);
  expect(refused).toMatchObject({ status: 2, out: "" });
  expect(refused.err).toContain("/nowhere/page.html cannot be written");
});

test("doctor tells what each target can do", async () => {
  const ran = await unmoor(["doctor"]);
  expect(ran.status).toBe(0);
  for (const target of ["simd-c", "wgsl", "ascend"]) expect(ran.out).toContain(target);
  const json = jsonOf(await unmoor(["doctor", "--json"])) as {
    targets: { target: string; emulate: { ok: boolean } }[];
  };
  expect(json.targets.map((t) => t.target)).toEqual(["simd-c", "wgsl", "ascend"]);
});

test("--adapter takes that WebGPU adapter and no other; doctor lists them", async () => {
  vi.stubEnv("UNMOOR_ADAPTER", undefined);
  // No driver of the system's: what is left is SwiftShader, which setup unpacks.
  vi.stubEnv("VK_DRIVER_FILES", "/nowhere.json");
  try {
    const check = ["check", example, ...smallParams, "--target", "wgsl"];
    const ran = await unmoor([...check, "--adapter", "lavapipe"]);
    expect(ran).toMatchObject({ status: 3, out: "" });
    expect(ran.err).toContain("lavapipe: not installed");
    expect((await unmoor([...check, "--adapter", "voodoo"])).err).toContain("system, swiftshader, lavapipe");
    const { out } = await unmoor(["doctor"]);
    expect(out).toMatch(/--adapter swiftshader: SwiftShader/);
    expect(out).toMatch(/--adapter lavapipe: none: not installed/);
  } finally {
    vi.unstubAllEnvs();
  }
});

test("doctor explains a compiler that is missing, and one that is broken, and what mends it", async () => {
  const folder = temporaryFolder();
  const broken = join(folder, "cc");
  const script =
    '#!/bin/sh\n[ "$1" = --version ] && echo "cc 0.1" && exit 0\necho "works.c:1: error: no headers" >&2\nexit 1\n';
  writeFileSync(broken, script, { mode: 0o755 });
  const { PATH, CC, CXX } = process.env;
  const restore = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  try {
    for (const name of ["CC", "CXX"]) delete process.env[name];
    process.env.PATH = folder;
    const missing = await unmoor(["doctor"]);
    expect(missing).toMatchObject({ status: 0, err: "" });
    expect(missing.out).toContain("expected a C compiler (gcc or clang), found none on the PATH");
    expect(missing.out).toContain("to mend it: apt-get install -y gcc\n");
    expect(missing.out).toContain("to mend it: apt-get install -y g++\n");
    restore("PATH", PATH);
    for (const name of ["CC", "CXX"]) process.env[name] = broken;
    const bad = await unmoor(["doctor"]);
    expect(bad).toMatchObject({ status: 0, err: "" });
    expect(bad.out).toMatch(
      /compile: .*\(cc 0\.1\) cannot build the \S+ variant: works\.c:1: error: no headers\n +to mend it: install gcc/,
    );
    expect(bad.out).toMatch(
      /emulate: .*cannot build the kernels for the Ascend emulator: .*no headers\n +to mend it: install g\+\+/,
    );
  } finally {
    restore("PATH", PATH);
    restore("CC", CC);
    restore("CXX", CXX);
  }
});

test("help and version go to stdout; no command at all is an error", async () => {
  const help = await unmoor(["--help"]);
  expect(help).toMatchObject({ status: 0, err: "" });
  for (const command of ["compile", "check", "bench", "exec", "explain", "ascend", "doctor"])
    expect(help.out).toContain(command);
  expect((await unmoor(["check", "--help"])).out).toContain("--seed");
  expect((await unmoor(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(await unmoor([])).toMatchObject({ status: 2, out: "" });
});

test("bench --soc models a chip, kernel by kernel, and shows no other kind of figure", async () => {
  const html = join(temporaryFolder(), "report.html");
  const argv = ["bench", example, ...smallParams, "--target", "ascend", "--soc", "910B3", "--tokens", "1,4"];
  const ran = await unmoor([...argv, "--html", html]);
  expect(ran).toMatchObject({ status: 0, err: "" });
  expect(ran.out.match(/Modelled: longcatMoe/g)).toHaveLength(2);
  expect(ran.out).not.toMatch(/Measured|Emulated/);
  for (const text of ["bound by", "of roof", "grouped_linear", "layer", "Not in it: the launches"])
    expect(ran.out).toContain(text);
  const page = readFileSync(html, "utf8");
  expect(page).toContain('<section class="modelled">');
  expect(page).not.toMatch(/<section class="(measured|emulated)">/);
  const report = jsonOf(await unmoor([...argv, "--json"])) as {
    rows: unknown[];
    modelled: { kind: string; tokens: number; model: { soc: string; kernels: { bound: string; seconds: number }[] } }[];
  };
  expect(report.rows).toEqual([]);
  expect(report.modelled.map((m) => [m.kind, m.tokens, m.model.soc])).toEqual([
    ["modelled", 1, "910B3"],
    ["modelled", 4, "910B3"],
  ]);
  for (const { model } of report.modelled) for (const k of model.kernels) expect(k.seconds).toBeGreaterThan(0);
});

test.each([
  [
    "an unknown chip lists those that there are",
    ["--target", "ascend", "--soc", "910B9"],
    "910B1, 910B2, 910B3, 910B4, 910C",
  ],
  ["a chip without its target", ["--soc", "910B3"], "give it with --target ascend, and with no other target"],
  ["a chip beside a target that runs", ["--target", "all", "--soc", "910B3"], "give it with --target ascend"],
])("bench --soc: %s", async (_, options, message) => {
  const ran = await unmoor(["bench", example, ...smallParams, ...options]);
  expect(ran).toMatchObject({ status: 2, out: "" });
  expect(ran.err).toContain(message);
});
