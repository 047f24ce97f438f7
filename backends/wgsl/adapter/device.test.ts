import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasSwiftShader } from "./swiftshader.ts";
import { type Bench, makeBench } from "./testing.ts";

/** Runs a[i] = 2 a[i] + i over 1, 1, 1 … and prints what came out. */
const KERNEL = `
  const module = device.createShaderModule({ code: \`
    @group(0) @binding(0) var<storage, read_write> a: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      a[id.x] = a[id.x] * 2.0 + f32(id.x);
    }\` });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ size: 512, usage });
  const result = device.createBuffer({ size: 512, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(buffer, 0, new Float32Array(128).fill(1));
  const entries = [{ binding: 0, resource: { buffer } }];
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(2);
  pass.end();
  encoder.copyBufferToBuffer(buffer, 0, result, 0, 512);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  console.log([...new Float32Array(result.getMappedRange())].every((value, i) => value === 2 + i));
`;

describe.skipIf(!hasSwiftShader())("openDevice", () => {
  let bench: Bench;
  beforeAll(() => {
    bench = makeBench();
  });
  afterAll(() => bench.remove());

  const run = (body: string, environment?: Record<string, string | undefined>) =>
    bench.run(`import { listAdapters, openDevice, probeWebGpu } from "./index.js";\n${body}`, environment);

  it.each([
    ["closed", "close();"],
    ["left open", ""],
  ])("computes rightly, and the process ends by itself with the device %s", async (_, last) => {
    const ended = await run(`
      const { device, close } = await openDevice({ adapter: "swiftshader" });
      ${KERNEL}
      ${last}
    `);
    expect(ended).toEqual({ status: 0, signal: null, stdout: "true\n", stderr: "" });
  });

  it("describes the adapter, and gives a device all that the adapter offers when asked", async () => {
    const ended = await run(`
      const opened = await openDevice({ adapter: "swiftshader", limits: "adapter", features: "adapter" });
      const { name, vendor, backend, software, limits, features } = opened.description;
      const same = Object.entries(limits).every(([key, value]) => opened.device.limits[key] === value);
      console.log(JSON.stringify({ name, vendor, backend, software, same, all: features.length <= opened.device.features.size }));
      opened.close();
      opened.close();
    `);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      vendor: "google",
      backend: "Vulkan",
      software: true,
      same: true,
      all: true,
    });
    expect(ended.stdout).toContain("SwiftShader");
  });

  it("opens many devices, one after the other and at once", async () => {
    const ended = await run(`
      for (let i = 0; i < 5; i++) {
        const { device, close } = await openDevice({ adapter: "swiftshader" });
        ${KERNEL}
        close();
      }
      const both = await Promise.all([openDevice({ adapter: "swiftshader" }), openDevice({ adapter: "swiftshader" })]);
      for (const { device } of both) {
        ${KERNEL}
      }
    `);
    expect(ended).toEqual({ status: 0, signal: null, stdout: "true\n".repeat(7), stderr: "" });
  });

  it("leaves the environment as it was, also for child processes", async () => {
    const ended = await run(
      `
      await openDevice({ adapter: "swiftshader" });
      console.log(process.env.VK_DRIVER_FILES, process.env.VK_ICD_FILENAMES, process.env.VK_ADD_DRIVER_FILES);
    `,
      { VK_ICD_FILENAMES: undefined, VK_DRIVER_FILES: undefined, VK_ADD_DRIVER_FILES: "/nowhere.json" },
    );
    expect(ended.stdout).toBe("undefined undefined /nowhere.json\n");
  });

  it("reports an uncaught error to both listeners, and prints nothing itself", async () => {
    const ended = await run(`
      const heard = [];
      const opened = await openDevice({ adapter: "swiftshader", onError: (error) => heard.push(error.message) });
      opened.device.createBuffer({ size: 2 ** 50, usage: GPUBufferUsage.STORAGE });
      const rejected = await opened.failed.catch((error) => error.message);
      console.log(JSON.stringify([rejected, heard]));
    `);
    const [rejected, heard] = JSON.parse(ended.stdout);
    expect(rejected).toContain("max buffer size limit");
    expect(heard).toEqual([rejected]);
  });

  it.each(["UNMOOR_ADAPTER", "option"])("refuses an unknown adapter (%s)", async (how) => {
    const ended = await run(
      `await openDevice(${how === "option" ? '{ adapter: "voodoo" }' : ""}).catch((error) => console.log(error.name, error.message));`,
      how === "option" ? {} : { UNMOOR_ADAPTER: "voodoo" },
    );
    expect(ended.stdout).toMatch(
      /^LackError the (option adapter|environment variable UNMOOR_ADAPTER) names the unknown WebGPU adapter "voodoo": expected system, swiftshader, lavapipe, auto\n$/,
    );
  });

  it("names each limit and feature that is lacking", async () => {
    const ended = await run(`
      const requiredLimits = { maxComputeInvocationsPerWorkgroup: 100000, minStorageBufferOffsetAlignment: 1, maxNonsense: 1 };
      const options = { adapter: "swiftshader", requiredLimits, requiredFeatures: ["shader-f16"] };
      await openDevice(options).catch((error) => console.log(error.name, error.message));
    `);
    expect(ended.stdout).toMatch(/LackError SwiftShader .* offers less than is needed:/);
    expect(ended.stdout).toMatch(/maxComputeInvocationsPerWorkgroup must be 100000, and is \d+/);
    expect(ended.stdout).toMatch(/minStorageBufferOffsetAlignment must be 1, and is \d+/);
    expect(ended.stdout).toContain("maxNonsense is no limit that it knows");
    expect(ended.stdout).toContain("the feature shader-f16 is needed, and missing");
  });

  it("says what lavapipe lacks where it is not installed, and takes no other adapter in its stead", async () => {
    const ended = await run(
      `await openDevice().catch((error) => console.log(error.name, error.message, error.mend));`,
      { UNMOOR_ADAPTER: "lavapipe", VK_DRIVER_FILES: "/nowhere.json" },
    );
    expect(ended.stdout).toMatch(/^LackError lavapipe: not installed .*Mesa 25/);
  });

  it("lists every source of adapters, and what this machine can do", async () => {
    const ended = await run(`console.log(JSON.stringify([await listAdapters(), await probeWebGpu()]));`);
    const [adapters, capability] = JSON.parse(ended.stdout);
    expect(adapters.map((each: { kind: string }) => each.kind)).toEqual(["system", "swiftshader", "lavapipe"]);
    expect(adapters[1].ok).toBe(true);
    for (const each of adapters) if (!each.ok) expect([each.why, each.mend]).not.toContain("");
    expect(capability).toMatchObject({ target: "wgsl", compile: { ok: true }, emulate: { ok: true } });
  });
});
