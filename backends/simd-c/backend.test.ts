import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compileLayer } from "../../codegen/compile.ts";
import { expectGolden } from "../../codegen/emit/testing.ts";
import type { Program, ProgramBuffer } from "../../codegen/program.ts";
import { kernelBuilder, range, view, whole } from "../../codegen/tile/builder.ts";
import { Dim } from "../../ir/core/dim.ts";
import { apply } from "../../ir/core/scalar.ts";
import type { Tensor } from "../../ir/core/tensor.ts";
import type { ElementType } from "../../ir/core/types.ts";
import { parseLayer } from "../../ir/text/index.ts";
import * as native from "../../runtime/native.ts";
import { readLayer } from "../../runtime/source.ts";
import { LackError } from "../backend.ts";
import { buildKey, cachedLibrary, cacheFolder } from "../toolchain/cache.ts";
import { createSimdC } from "./index.ts";
import { isaNames, vectorIsa } from "./targets.ts";
import { origin, testProgram } from "./testing.ts";
import { findCompiler } from "./toolchain.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "unmoor-backend-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const N = 20;

/** y = x·(2·w) + w, by way of a prepared buffer and a temporary. */
function scaled(): Program {
  const make = (
    name: string,
    dtype: ElementType,
    dims: readonly (string | number)[],
    role: ProgramBuffer["role"],
  ): ProgramBuffer => ({
    name,
    dtype,
    dims: dims.map((d) => Dim.of(d)),
    role,
  });
  const x = make("x", "f32", ["T", N], "input");
  const w = make("w", "f32", [N], "weight");
  const twice = make("twice", "f32", [N], "prepared");
  const product = make("product", "f32", ["T", N], "temporary");
  const y = make("y", "f32", ["T", N], "output");
  const p = kernelBuilder("double_w", origin);
  p.read(w);
  p.write(twice);
  p.map(whole(twice), { v: whole(w) }, ({ v }) => apply("add", v, v));
  const rows = (name: string, from: ProgramBuffer, by: ProgramBuffer, to: ProgramBuffer, op: "mul" | "add") => {
    const k = kernelBuilder(name, origin);
    for (const b of [from, by]) k.read(b);
    k.write(to);
    const row = k.grid("row", "T");
    k.map(view(to, row, range(0, N)), { a: view(from, row, range(0, N)), b: whole(by) }, ({ a, b }) => apply(op, a, b));
    return k.build();
  };
  return testProgram(
    "scaled",
    [x, w, twice, product, y],
    [rows("multiply", x, twice, product, "mul"), rows("shift", product, w, y, "add")],
    [p.build()],
  );
}

const tensor = (dims: readonly number[], f: (i: number) => number): Tensor => ({
  dtype: "f32",
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => f(i)),
});

describe("a loaded layer", () => {
  it("prepares its weights, grows with T, gives times, and can be closed", async () => {
    const backend = createSimdC(native, { env: { ...process.env, XDG_CACHE_HOME: folder } });
    const target = backend.target(await backend.bestIsa());
    const layer = await backend.load(scaled(), target);
    expect(layer.evidence).toBe("measured");
    expect(layer.device).toContain(native.cpuModel());
    const x = tensor([3, N], (i) => i);
    await expect(layer.run(new Map([["x", x]]), { T: 3 })).rejects.toThrow("the layer has no weights yet");
    await expect(layer.setWeights(new Map())).rejects.toThrow("expected weight w: f32[20], found none");
    await expect(layer.setWeights(new Map([["w", tensor([3], () => 1)]]))).rejects.toThrow("found f32[3]");
    await layer.setWeights(new Map([["w", tensor([N], (i) => i + 1)]]));
    for (const T of [3, 0, 1, 4000, 2]) {
      const given = tensor([T, N], (i) => i % 7);
      const { outputs, nanoseconds } = await layer.run(new Map([["x", given]]), { T }, { repeat: 3, threads: 2 });
      expect(nanoseconds.length).toBe(3);
      const y = outputs.get("y");
      expect(y?.dims).toEqual([T, N]);
      expect(y?.data).toEqual(Float32Array.from(given.data, (v, i) => v * 2 * ((i % N) + 1) + (i % N) + 1));
    }
    await expect(layer.run(new Map([["x", x]]), { T: 4 })).rejects.toThrow("with dimensions [4, 20], found f32[3, 20]");
    await expect(layer.run(new Map([["x", x]]), {})).rejects.toThrow("for T, found undefined");
    await layer.close();
  });

  it("is built once, and again where its file was damaged", async () => {
    const env = { ...process.env, XDG_CACHE_HOME: join(folder, "twice") };
    const backend = createSimdC(native, { env });
    const target = backend.target("scalar");
    const cache = cacheFolder("simd-c", env);
    const load = async () => (await backend.load(scaled(), target)).close();
    await load();
    const [name = ""] = readdirSync(cache);
    const path = join(cache, name);
    expect(statSync(cache).mode & 0o777).toBe(0o700);
    const time = statSync(path).mtimeMs;
    await load();
    expect(readdirSync(cache)).toEqual([name]);
    expect(statSync(path).mtimeMs).toBe(time);
    const damaged = readFileSync(path);
    damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] ?? 0) ^ 1;
    writeFileSync(path, damaged);
    await load();
    expect(readFileSync(path).equals(damaged)).toBe(false);
  });
});

describe("what a machine lacks", () => {
  it("is the compiler: said with the command that mends it", async () => {
    mkdirSync(join(folder, "empty"), { recursive: true });
    const path = process.env.PATH;
    process.env.PATH = join(folder, "empty");
    try {
      const error = await findCompiler({}).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(LackError);
      expect(error).toMatchObject({
        message: "expected a C compiler (gcc or clang), found none on the PATH",
        mend: "apt-get install -y gcc",
      });
    } finally {
      process.env.PATH = path;
    }
    const backend = createSimdC(native, { env: { CC: "/nonexistent/cc --fast" } });
    await expect(backend.load(scaled(), backend.target("scalar"))).rejects.toThrow(
      'found "/nonexistent/cc --fast", which does not run',
    );
    const { compile, run } = await backend.probe();
    expect(compile).toMatchObject({ ok: false, mend: "unset CC, or apt-get install -y gcc" });
    expect(run.ok).toBe(false);
  });

  it("is a compiler that works: its first error is shown", async () => {
    const broken = join(folder, "cc");
    writeFileSync(
      broken,
      '#!/bin/sh\n[ "$1" = --version ] && echo "cc 0.1" && exit 0\necho "x.c:1:1: error: I am broken" >&2\nexit 1\n',
      { mode: 0o755 },
    );
    const backend = createSimdC(native, { env: { CC: broken, XDG_CACHE_HOME: join(folder, "broken") } });
    const error = await backend.load(scaled(), backend.target("scalar")).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(LackError);
    expect(error).toMatchObject({
      message: expect.stringMatching(/\(cc 0\.1\) cannot build the scalar variant: x\.c:1:1: error: I am broken/),
    });
    const { compile, run } = await backend.probe();
    for (const ability of [compile, run])
      expect(ability).toMatchObject({
        ok: false,
        why: expect.stringContaining("I am broken"),
        mend: expect.stringContaining("gcc"),
      });
  });

  it("is a CPU feature: named", async () => {
    const host = {
      ...native,
      cpuFeatures: () => new Set(["avx2", "fma", "bmi2", "f16c"]),
      cpuModel: () => "an old CPU",
    };
    const backend = createSimdC(host);
    expect(await backend.bestIsa()).toBe("avx2");
    const error = await backend.load(scaled(), backend.target("avx512-bf16")).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(LackError);
    expect(error).toMatchObject({
      message:
        "this CPU (an old CPU) cannot run ISA avx512-bf16: it lacks avx512f, avx512bw, avx512dq, avx512vl, avx512_vnni, avx512_bf16",
      mend: "choose an ISA that it has: --isa avx2 or --isa scalar",
    });
  });

  it("is a folder for the cache: said", async () => {
    const file = join(folder, "a-file");
    writeFileSync(file, "");
    const error = await cachedLibrary(join(file, "x"), "0".repeat(32), async () => Buffer.from("")).catch(
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(LackError);
    expect(error).toMatchObject({ mend: expect.stringContaining("XDG_CACHE_HOME") });
  });
});

it.each([
  ["AuthenticAMD", "avx512-bf16"],
  ["GenuineIntel", "avx512-vnni"],
  [undefined, "avx512-bf16"],
])("takes the variant that is fastest on a CPU of %s: %s", async (vendor, best) => {
  const cpuFeatures = () => new Set(isaNames.flatMap((name) => vectorIsa(name).features));
  expect(await createSimdC({ ...native, cpuFeatures, cpuVendor: () => vendor }).bestIsa()).toBe(best);
});

/** Layers in the text form, beyond experts: bf16 meets bf16 where rows of a table are multiplied. */
const fixtures = new URL("../../codegen/fixtures/", import.meta.url);

it.each(isaNames)("%s has instructions for every layer of the fixtures in floats of each width", async (isa) => {
  const backend = createSimdC(native);
  for (const file of readdirSync(fixtures).filter((name) => name.endsWith(".moe"))) {
    const layer = parseLayer(readFileSync(new URL(file, fixtures), "utf8"), file);
    for (const storage of ["f32", "f16", "bf16"] as const) {
      const { program, target } = compileLayer(layer, backend.target(isa), storage);
      await expect(backend.emit(program, target), `${file} in ${storage}`).resolves.toBeDefined();
    }
  }
});

it("knows its variants, and says which there are", () => {
  const backend = createSimdC(native);
  expect(backend.isas).toEqual(isaNames);
  expect(() => backend.target("sse9")).toThrow('simd-c has no ISA "sse9"');
});

it("gives other keys to other sources and flags", () => {
  const keys = [
    buildKey(new Map([["a.c", "x"]]), ["-O3"]),
    buildKey(new Map([["a.c", "y"]]), ["-O3"]),
    buildKey(new Map([["a.c", "x"]]), ["-O2"]),
    buildKey(
      new Map([
        ["a.c", ""],
        ["x", ""],
      ]),
      ["-O3"],
    ),
  ];
  expect(new Set(keys).size).toBe(keys.length);
});

const golden = (name: string, text = ""): void => expectGolden(new URL(`./goldens/${name}`, import.meta.url), text);

describe("the sources", async () => {
  const backend = createSimdC(native);
  const tree = await backend.emit(scaled(), backend.target("avx2"));

  it("are these files", () => {
    expect([...tree.keys()].sort()).toEqual([
      "Makefile",
      "README.md",
      "scaled.c",
      "scaled.h",
      "selftest.c",
      "unmoor_avx2.h",
      "unmoor_scalar.h",
      "unmoor_threads.h",
    ]);
  });

  it.each(["scaled.c", "scaled.h"])("print %s as in goldens/ (UPDATE_GOLDENS=1 writes it)", (name) => {
    golden(name, tree.get(name));
  });

  it("print an MoE layer in blocks as in goldens/ (UPDATE_GOLDENS=1 writes it)", async () => {
    const layer = await readLayer({
      file: "examples/mixtral.ts",
      params: { H: 64, I: 96, E: 4, K: 2 },
      cache: undefined,
    });
    const { program } = compileLayer(layer, backend.target("avx2"), "q8_0");
    golden("mixtral_q8_0.c", (await backend.emit(program, backend.target("avx2"))).get("mixtralMoe.c"));
  });
});
