import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, expectTypeOf, it } from "vitest";
import { compileLayer } from "../../codegen/compile.ts";
import { emitWgsl, type LaunchPlan } from "../../codegen/emit/wgsl/index.ts";
import type { Program } from "../../codegen/program.ts";
import { kernelBuilder, load, range, view, whole } from "../../codegen/tile/builder.ts";
import type { Kernel } from "../../codegen/tile/types.ts";
import { Dim } from "../../ir/core/dim.ts";
import { apply } from "../../ir/core/scalar.ts";
import { parseLayer } from "../../ir/text/index.ts";
import { LackError } from "../backend.ts";
import { openDevice } from "./adapter/index.ts";
import { createWgsl } from "./backend.ts";
import { wgslLanguage } from "./functions.ts";
import { defaultLimits } from "./limits.ts";
import type { LaunchPlan as RunPlan } from "./support/run.js";
import { loadRunModule } from "./support.ts";
import { wgslTarget } from "./target.ts";
import { f32s, i32s, programOf, random } from "./testing.ts";

const origin: Kernel["origin"] = {
  op: "map",
  summary: "x times w",
  span: { file: "layer.ts", line: 3, column: 5, length: 1 },
};
const dims = (...d: (number | string)[]) => d.map((x) => Dim.of(x));

/** y[t] = x[t] · w, and how often the weight was doubled by `prepare`. */
function scaling(): Program {
  const prepare = kernelBuilder("double", { ...origin, summary: "w twice" });
  const raw = prepare.read({ name: "w", dtype: "f32", dims: dims(4) });
  const doubled = prepare.write({ name: "w2", dtype: "f32", dims: dims(4) });
  prepare.map(whole(doubled), { v: whole(raw) }, ({ v }) => apply("add", v, v));
  const k = kernelBuilder("scale", origin);
  const x = k.read({ name: "x", dtype: "f32", dims: dims("T", 4) });
  const w = k.read({ name: "w2", dtype: "f32", dims: dims(4) });
  const y = k.write({ name: "y", dtype: "f32", dims: dims("T", 4) });
  const t = k.grid("t", "T");
  k.map(view(y, t, range(0, 4)), { v: view(x, t, range(0, 4)), s: whole(w) }, ({ v, s }) => apply("mul", v, s));
  const program = programOf([k.build()], { w2: "prepared" });
  return {
    ...program,
    name: "scaling",
    buffers: [...program.buffers, { name: "w", dtype: "f32", dims: dims(4), role: "weight" }],
    prepare: [prepare.build()],
    results: [{ name: "y", buffer: "y" }],
  };
}

/** y[t] = x[t] · w[0] · w[1], in two kernels. */
function scalingTwice(): Program {
  const step = (from: string, to: string, row: number): Kernel => {
    const k = kernelBuilder(`row_${row}`, origin);
    const x = k.read({ name: from, dtype: "f32", dims: dims("T", 4) });
    const w = k.read({ name: "w", dtype: "f32", dims: dims(2, 4) });
    const y = k.write({ name: to, dtype: "f32", dims: dims("T", 4) });
    const t = k.grid("t", "T");
    k.map(view(y, t, range(0, 4)), { v: view(x, t, range(0, 4)), s: view(w, row, range(0, 4)) }, ({ v, s }) =>
      apply("mul", v, s),
    );
    return k.build();
  };
  return { ...programOf([step("x", "z", 0), step("z", "y", 1)], { w: "weight", z: "temporary" }), name: "twice" };
}

const weights = new Map([["w", f32s([4], [1, 2, 3, 4])]]);
const expected = (x: Float32Array): number[] => [...x].map((v, i) => Math.fround(v * 2 * ((i % 4) + 1)));

describe("a loaded layer", () => {
  it("says what it runs on, runs with changing T, and repeats", async () => {
    const backend = createWgsl();
    expect(await backend.bestIsa()).toBe("wgsl");
    const layer = await backend.load(scaling(), backend.target("wgsl"));
    try {
      expect(layer.device).not.toBe("");
      expect(["emulated", "measured"]).toContain(layer.evidence);
      await layer.setWeights(weights);
      for (const [tokens, repeat] of [
        [3, 1],
        [1, 3],
        [200, 2],
        [0, 2],
        [7, 1],
      ] as const) {
        const x = random(tokens, tokens * 4);
        const { outputs, nanoseconds } = await layer.run(
          new Map([["x", f32s([tokens, 4], x)]]),
          { T: tokens },
          { repeat },
        );
        expect(outputs.get("y")).toEqual(f32s([tokens, 4], expected(x)));
        expect(nanoseconds.length).toBe(repeat);
        if (tokens > 0) expect(Math.min(...nanoseconds)).toBeGreaterThan(0);
      }
      // Weights may be given anew.
      await layer.setWeights(new Map([["w", f32s([4], [0, 0, 0, 1])]]));
      const { outputs } = await layer.run(new Map([["x", f32s([1, 4], [1, 2, 3, 4])]]), { T: 1 });
      expect(outputs.get("y")?.data).toEqual(Float32Array.of(0, 0, 0, 8));
    } finally {
      await layer.close();
    }
  });

  it("runs calls that are made at once one after the other", async () => {
    const layer = await createWgsl().load(scaling(), wgslTarget);
    try {
      await layer.setWeights(weights);
      const runs = [1, 90, 2].map(async (tokens) => {
        const x = random(tokens, tokens * 4);
        const { outputs } = await layer.run(new Map([["x", f32s([tokens, 4], x)]]), { T: tokens });
        return expect(Array.from(outputs.get("y")?.data ?? [])).toEqual(expected(x));
      });
      await Promise.all(runs);
    } finally {
      await layer.close();
    }
  });

  it("refuses wrong arguments in words, and works on", async () => {
    const layer = await createWgsl().load(scaling(), wgslTarget);
    const x = f32s([2, 4], random(1, 8));
    const run = (given: Record<string, typeof x>, symbols: Record<string, number>) =>
      layer.run(new Map(Object.entries(given)), symbols);
    try {
      await expect(run({ x }, { T: 2 })).rejects.toThrow("layer scaling has no weights yet");
      await expect(layer.setWeights(new Map())).rejects.toThrow("weight w is f32[4], and it was not given");
      await expect(layer.setWeights(new Map([["w", i32s([4], [1, 2, 3, 4])]]))).rejects.toThrow(
        "weight w is f32, found i32",
      );
      await layer.setWeights(weights);
      await expect(run({}, { T: 2 })).rejects.toThrow("input x is f32[2, 4], and it was not given");
      await expect(run({ x }, { T: 3 })).rejects.toThrow("input x is f32[3, 4] with 12 elements, found 8");
      await expect(run({ x }, {})).rejects.toThrow("T is a whole number of at least 0, found undefined");
      await expect(run({ x }, { T: -1 })).rejects.toThrow("T is a whole number of at least 0, found -1");
      expect((await run({ x }, { T: 2 })).outputs.get("y")?.dims).toEqual([2, 4]);
    } finally {
      await layer.close();
    }
    expect(() => createWgsl().target("wgsl-9")).toThrow("wgsl has no variant wgsl-9");
  });

  it("names the kernel and its place in the source where the device rejects it", async () => {
    const { createRunner } = await loadRunModule();
    const { plan, modules } = emitWgsl(scaling(), wgslLanguage);
    const opened = await openDevice();
    try {
      const text = (modules.get("kernels/scale.wgsl") ?? "").replace("let block = i32(", "let block = bool(");
      const broken = { ...Object.fromEntries(modules), "kernels/scale.wgsl": text };
      await expect(createRunner(opened.device, { plan, modules: broken })).rejects.toThrow(
        /the device rejects kernel scale \(map: x times w; layer\.ts:3:5\):\n {2}kernels\/scale\.wgsl:\d+:\d+: .+/,
      );
      // Right by itself, and no kernel of the plan: another entry point, another access, another binding.
      for (const [from, to] of [
        ["fn scale(", "fn other("],
        ["<storage, read> x", "<storage, read_write> x"],
        ["@binding(1)", "@binding(7)"],
      ] as const) {
        const text = (modules.get("kernels/scale.wgsl") ?? "").replace(from, to);
        const other = { ...Object.fromEntries(modules), "kernels/scale.wgsl": text };
        const error: unknown = await createRunner(opened.device, { plan, modules: other }).catch((e: unknown) => e);
        expect(error, to).toMatchObject({
          kind: "validation",
          message: expect.stringContaining("the device rejects kernel scale (map: x times w; layer.ts:3:5): "),
        });
      }
      await expect(createRunner(opened.device, { plan, modules: {} })).rejects.toThrow(
        "its module kernels/double.wgsl is missing",
      );
    } finally {
      opened.close();
    }
  });

  it("holds few weights twice while it lays them out", async () => {
    const layer = parseLayer(
      `layer @three {N = 64} (input fixed %x: f32[T, N], weight auto %a: f32[N, N], weight auto %b: f32[N, N], weight auto %c: f32[N, N]) {
        %u = linear(%x, %a) : f32[T, N]
        %v = linear(%u, %b) : f32[T, N]
        %y = linear(%v, %c) : f32[T, N]
        return y = %y
      }`,
      "three",
    );
    const { createRunner } = await loadRunModule();
    const { plan, modules } = emitWgsl(compileLayer(layer, wgslTarget, "f32").program, wgslLanguage);
    expect(plan.prepare.length).toBe(3);
    const opened = await openDevice();
    const { device } = opened;
    const runner = await createRunner(device, { plan, modules: Object.fromEntries(modules) });
    const create = device.createBuffer.bind(device);
    let [held, most] = [0, 0];
    device.createBuffer = (descriptor) => {
      const buffer = create(descriptor);
      held += descriptor.size;
      most = Math.max(most, held);
      const destroy = buffer.destroy.bind(buffer);
      buffer.destroy = () => {
        held -= descriptor.size;
        destroy();
      };
      return buffer;
    };
    const one = 64 * 64 * 4;
    const [a, b, c] = [1, 2, 3].map((seed) => random(seed, 64 * 64));
    await runner.setWeights({ a, b, c });
    expect(held).toBe(3 * one);
    expect(most).toBe(4 * one);
    opened.close();
  });

  it("reports that the device has no memory left, and works on when it has", async () => {
    const { createRunner } = await loadRunModule();
    const { plan, modules } = emitWgsl(scaling(), wgslLanguage);
    const opened = await openDevice();
    const { device } = opened;
    const runner = await createRunner(device, { plan, modules: Object.fromEntries(modules) });
    const pop = device.popErrorScope.bind(device);
    // Scopes are popped in threes, that of memory last.
    let pops = 0;
    device.popErrorScope = async () => {
      const error = await pop();
      return ++pops % 3 === 0 ? new GPUOutOfMemoryError("nothing left") : error;
    };
    const w = Float32Array.of(1, 2, 3, 4);
    await expect(runner.setWeights({ w })).rejects.toMatchObject({
      kind: "memory",
      message: "the weights of scaling: the device is out of memory: nothing left",
    });
    device.popErrorScope = pop;
    await runner.setWeights({ w });
    const { outputs } = await runner.run({ x: Float32Array.of(1, 1, 1, 1) }, { T: 1 });
    expect(outputs.y?.data).toEqual(Float32Array.of(2, 4, 6, 8));
    opened.close();
  });

  /** A runner of the program, with weights, and how often its device is submitted to. */
  const withCounter = async (program: Program, w: Float32Array) => {
    const { createRunner } = await loadRunModule();
    const { plan, modules } = emitWgsl(program, wgslLanguage);
    const opened = await openDevice();
    const { device } = opened;
    const runner = await createRunner(device, { plan, modules: Object.fromEntries(modules) });
    await runner.setWeights({ w });
    const count = { submissions: 0 };
    const submit = device.queue.submit.bind(device.queue);
    device.queue.submit = (commands) => {
      count.submissions++;
      return submit(commands);
    };
    return { opened, device, runner, count };
  };
  const storage = (device: GPUDevice, data: Float32Array): GPUBuffer => {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
    const buffer = device.createBuffer({ size: data.byteLength, usage });
    device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  };

  it("is recorded into a caller's commands: several layers, of several sizes, in one submission and without a copy", async () => {
    const { opened, device, runner, count } = await withCounter(scaling(), Float32Array.of(1, 2, 3, 4));
    const x = random(3, 12);
    const result = device.createBuffer({ size: 96, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const own = device.createBuffer({ size: 48, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
    const encoder = device.createCommandEncoder();
    const first = runner.encode(encoder, { x: storage(device, x), y: own }, { T: 3 });
    expect(first.y).toBe(own);
    const second = runner.encode(encoder, { x: own }, { T: 1 });
    if (second.y) encoder.copyBufferToBuffer(second.y, 0, result, 0, 16);
    // More than the memory that the commands before use.
    const third = runner.encode(encoder, { x: storage(device, x) }, { T: 3 });
    if (third.y) encoder.copyBufferToBuffer(third.y, 0, result, 48, 48);
    device.queue.submit([encoder.finish()]);
    await result.mapAsync(GPUMapMode.READ);
    const found = new Float32Array(result.getMappedRange());
    expect(Array.from(found.subarray(0, 4))).toEqual(expected(Float32Array.from(expected(x.subarray(0, 4)))));
    expect(Array.from(found.subarray(12))).toEqual(expected(x));
    expect(count.submissions).toBe(1);
    const fresh = device.createCommandEncoder();
    expect(() => runner.encode(fresh, {}, { T: 1 })).toThrow("input x of layer scaling takes a GPUBuffer");
    expect(() => runner.encode(fresh, { x: own }, { T: 4 })).toThrow(
      "of at least 64 bytes that may be storage, found 48",
    );
    expect(() => runner.encode(fresh, { x: result }, { T: 1 })).toThrow("not storage");
    opened.close();
  });

  it("takes one submission, or several where it is more work than one may hold", async () => {
    const { opened, runner, count } = await withCounter(scalingTwice(), Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    const run = async (tokens: number, operations?: number) => {
      count.submissions = 0;
      const x = new Float32Array(4 * tokens).fill(1);
      const { outputs } = await runner.run({ x }, { T: tokens }, operations === undefined ? {} : { operations });
      expect([...(outputs.y?.data ?? [])].slice(-4)).toEqual([5, 12, 21, 32]);
      // One of them copies the results.
      return count.submissions - 1;
    };
    expect(await run(3)).toBe(1);
    // Each kernel does two operations for each element of the matrix and each token.
    expect(await run(3, 2 * 48)).toBe(1);
    expect(await run(3, 48)).toBe(2);
    expect(await run(3, 1)).toBe(2);
    opened.close();
  });

  it("reports the loss of its device, and runs on another", async () => {
    const { createRunner } = await loadRunModule();
    const { plan, modules } = emitWgsl(scaling(), wgslLanguage);
    const open = async () => {
      const opened = await openDevice();
      const runner = await createRunner(opened.device, { plan, modules: Object.fromEntries(modules) });
      await runner.setWeights({ w: Float32Array.of(1, 2, 3, 4) });
      return { opened, runner };
    };
    const first = await open();
    first.opened.device.destroy();
    const x = new Float32Array(4).fill(1);
    await expect(first.runner.run({ x }, { T: 1 })).rejects.toMatchObject({
      kind: "lost",
      message: expect.stringContaining("open a device again"),
    });
    first.opened.close();
    const second = await open();
    const { outputs } = await second.runner.run({ x }, { T: 1 });
    expect(outputs.y?.data).toEqual(Float32Array.of(2, 4, 6, 8));
    second.opened.close();
  });

  it("takes shared memory", async () => {
    const layer = await createWgsl().load(scaling(), wgslTarget);
    await layer.setWeights(weights);
    const x = new Float32Array(new SharedArrayBuffer(16)).fill(1);
    const { outputs } = await layer.run(new Map([["x", { dtype: "f32", dims: [1, 4], data: x }]]), { T: 1 });
    expect(outputs.get("y")?.data).toEqual(Float32Array.of(2, 4, 6, 8));
    await layer.close();
  });
});

describe("limits", () => {
  const large = (elements: number): Program => {
    const k = kernelBuilder("first", { ...origin, summary: "the first weights" });
    const w = k.read({ name: "w", dtype: "f32", dims: dims(elements) });
    const y = k.write({ name: "y", dtype: "f32", dims: dims("T") });
    const t = k.grid("t", "T");
    k.set(y, t, load(w, apply("min", t, { kind: "const", type: "i32", value: elements - 1 })));
    return { ...programOf([k.build()], { w: "weight" }), name: "large" };
  };

  it("a weight that no binding holds and that cannot be cut is refused at load, with the need and the limit", async () => {
    const backend = createWgsl({ limits: "default" });
    const error: unknown = await backend.load(large(52_690_944), wgslTarget).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(LackError);
    expect(error instanceof LackError && error.message).toContain(
      "layer large needs 201.0 MiB in one piece for the weight w, this device allows 128.0 MiB (maxStorageBufferBindingSize)",
    );
    expect(error instanceof LackError && error.mend).toContain("UNMOOR_ADAPTER");
  });

  it("a T that is too large is refused at the run", async () => {
    const layer = await createWgsl({ limits: "default" }).load(large(4), wgslTarget);
    try {
      await layer.setWeights(new Map([["w", f32s([4], [1, 2, 3, 4])]]));
      await expect(layer.run(new Map(), { T: 40_000_000 })).rejects.toThrow(
        "layer large needs 152.6 MiB in one piece for the output y at T = 40000000, this device allows 128.0 MiB",
      );
      expect((await layer.run(new Map(), { T: 2 })).outputs.get("y")?.data).toEqual(Float32Array.of(1, 2));
    } finally {
      await layer.close();
    }
  });

  it("buffers per stage, invocations, elements and blocks are counted, too", async () => {
    const { lacks } = await loadRunModule();
    const { plan } = emitWgsl(scaling(), wgslLanguage);
    expect(lacks(plan, defaultLimits, { T: 1000 })).toEqual([]);
    expect(lacks(plan, { ...defaultLimits, maxStorageBuffersPerShaderStage: 2 })).toEqual([
      "x times w (layer.ts:3:5) needs 3 storage buffers, this device allows 2 (maxStorageBuffersPerShaderStage)",
    ]);
    expect(lacks(plan, { ...defaultLimits, maxComputeInvocationsPerWorkgroup: 32 })[0]).toContain(
      "needs 64 invocations",
    );
    const roomy = { ...defaultLimits, maxStorageBufferBindingSize: 2 ** 40, maxBufferSize: 2 ** 40 };
    expect(lacks(plan, roomy, { T: 2 ** 29 })[0]).toContain("WGSL counts elements up to 2147483647");
    const eights = { ...plan, requires: { ...plan.requires, subgroupMinSize: 8 } };
    expect(lacks(eights, defaultLimits, {})).toEqual([]);
    expect(lacks(eights, defaultLimits, {}, { subgroupMinSize: 16 })).toEqual([]);
    expect(lacks(eights, defaultLimits, {}, { subgroupMinSize: 4 })).toEqual([
      expect.stringContaining("needs subgroups of at least 8 lanes, this device has some of 4 (subgroupMinSize)"),
    ]);
    expect(lacks(eights, defaultLimits, {}, {})[0]).toContain("this device does not say how many (subgroupMinSize)");
    const narrow = { ...roomy, maxComputeWorkgroupsPerDimension: 2 };
    expect(lacks(plan, narrow, { T: 257 })).toEqual([
      "x times w (layer.ts:3:5) has 257 blocks at T = 257, and one dispatch takes 256",
    ]);
  });
});

describe("the emitted folder", () => {
  const folder = mkdtempSync(join(tmpdir(), "unmoor-wgsl-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("runs in a process of its own, with nothing but the package webgpu", async () => {
    const sources = await createWgsl().emit(scaling(), wgslTarget);
    expect([...sources.keys()].sort()).toEqual([
      "kernels/double.wgsl",
      "kernels/scale.wgsl",
      "plan.json",
      "run.d.ts",
      "run.js",
    ]);
    for (const [path, text] of sources) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    // The child finds the driver as the adapter's own code left it in this user's cache folder.
    const { installSwiftShader } = await import("./adapter/swiftshader.ts");
    const { systemHasVulkan } = await import("./adapter/loader.ts");
    const driver = await installSwiftShader();
    const root = fileURLToPath(new URL("../../", import.meta.url));
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(join(root, "node_modules", "webgpu"), join(folder, "node_modules", "webgpu"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    writeFileSync(
      join(folder, "main.js"),
      `import { readFile } from "node:fs/promises";
import { create } from "webgpu";
import { createRunner, fetchPlan } from "./run.js";
globalThis.fetch = async (url) => new Response(await readFile(url));
const gpu = create([]);
const adapter = await gpu.requestAdapter();
const device = await adapter.requestDevice();
const layer = await createRunner(device, await fetchPlan(new URL("./", import.meta.url)));
await layer.setWeights({ w: Float32Array.of(1, 2, 3, 4) });
const { outputs } = await layer.run({ x: Float32Array.of(1, 1, 1, 1, 2, 2, 2, 2) }, { T: 2 });
console.log(JSON.stringify([...outputs.y.data]));
layer.destroy();
device.destroy();
`,
    );
    const { status, stdout, stderr } = spawnSync(process.execPath, ["main.js"], {
      cwd: folder,
      encoding: "utf8",
      timeout: 60_000,
      env: {
        ...process.env,
        VK_DRIVER_FILES: driver.icd,
        VK_ICD_FILENAMES: driver.icd,
        ...(systemHasVulkan() ? {} : { LD_LIBRARY_PATH: driver.folder }),
      },
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual([2, 4, 6, 8, 4, 8, 12, 16]);
  });

  it("carries types that are those of the compiler", () => {
    expectTypeOf<LaunchPlan>().toEqualTypeOf<RunPlan>();
  });
});
