/** The package layout of Hugging Face's WebGPU kernels: read back and run by what is known of it, against its own test case. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { expect, onTestFinished, test } from "vitest";
import { openDevice } from "../backends/wgsl/adapter/index.ts";
import { sha256 } from "../ir/core/hash.ts";
import { example, small, temporaryFolder, unmoor } from "./support.ts";

/** What the test reads of a manifest, of schema version 1. */
interface Manifest {
  readonly domain: string;
  readonly name: string;
  readonly args: Readonly<Record<string, { readonly role: string; readonly dtype: string }>>;
  readonly inputs: readonly { readonly role: string; readonly dtype: string }[];
  readonly outputs: readonly {
    readonly role: string;
    readonly dtype: string;
    readonly shape: readonly (string | number)[];
  }[];
  readonly derive: Readonly<Record<string, string>>;
  readonly variants: readonly {
    readonly requiredLimits: Readonly<Record<string, number>>;
    readonly intermediates: readonly { readonly id: string; readonly shape: readonly string[] }[];
    readonly passes: readonly {
      readonly source: { readonly shader: string };
      readonly entryPoint: string;
      readonly dispatch: { readonly x: string; readonly y: string };
      readonly bindings: readonly {
        readonly name: string;
        readonly role?: string;
        readonly binding: number;
        readonly buffer: { readonly type: GPUBufferBindingType };
        readonly struct?: { readonly fields: readonly { readonly name: string; readonly value: string | number }[] };
      }[];
    }[];
  }[];
}
interface Given {
  readonly dtype: "float32" | "int32" | "uint32";
  readonly shape: readonly number[];
  readonly data: readonly number[];
  readonly bound?: readonly number[];
}
interface TestCase {
  readonly inputs: Readonly<Record<string, Given>>;
  readonly outputs: Readonly<Record<string, Given>>;
}

const arrays = { float32: Float32Array, int32: Int32Array, uint32: Uint32Array };
const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Evaluates an expression of a manifest, with the functions that those of this test use. */
function evaluate(expression: string | number, scope: Readonly<Record<string, unknown>>): number {
  const functions = {
    // Elements of a list come as Jinja's own values.
    dim: (shape: readonly { readonly value: number }[], d: number) => shape[d]?.value,
    ceilDiv: (a: number, b: number) => Math.ceil(a / b),
    max: (...all: number[]) => Math.max(...all),
  };
  return Number(new Template(`{{ ${expression} }}`).render({ ...functions, ...scope }));
}

test.each([
  ["f32", []],
  ["q4_0, whose blocks are repacked", ["--storage", "q4_0", "--param", "I=32"]],
])(
  "a package in %s says all that it takes to run it, and its own case agrees",
  async (_, options) => {
    const out = join(temporaryFolder(), "package");
    mkdirSync(out);
    const params = Object.entries(small).flatMap(([name, value]) => ["--param", `${name}=${value}`]);
    const ran = await unmoor([
      "compile",
      example,
      ...params,
      ...options,
      "--target",
      "wgsl",
      "--layout",
      "hf-kernels",
      "--out",
      out,
    ]);
    expect([ran.err, ran.status]).toEqual(["", 0]);
    const read = (name: string): string => readFileSync(join(out, "build", "webgpu", name), "utf8");
    const manifest: Manifest = JSON.parse(read("manifest.json"));
    const metadata: { id: string; digest: { files: Record<string, string> } } = JSON.parse(read("metadata.json"));
    expect(metadata.id).toBe(`${manifest.domain}.${manifest.name}`);
    for (const [name, digest] of Object.entries(metadata.digest.files))
      expect(sha256(new TextEncoder().encode(read(name))), name).toBe(digest);
    expect(readFileSync(join(out, "README.md"), "utf8")).toContain("trustRemoteCode: true");
    expect(JSON.parse(read("bench.json")).cases).toHaveLength(3);

    const [given] = (JSON.parse(read("test.json")) as { cases: readonly TestCase[] }).cases;
    if (!given) throw new Error("there is no test case");
    const { device, close } = await openDevice({ limits: "adapter" });
    onTestFinished(close);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const memory = new Map<string, GPUBuffer>();
    const reserve = (name: string, words: number): GPUBuffer => {
      const buffer = device.createBuffer({ size: Math.max(16, words * 4), usage });
      memory.set(name, buffer);
      return buffer;
    };
    for (const { role, dtype } of manifest.inputs) {
      const { data, ...tensor } = given.inputs[role] ?? { dtype: "float32", shape: [], data: [] };
      expect(tensor.dtype).toBe(dtype);
      expect(data).toHaveLength(count(tensor.shape));
      device.queue.writeBuffer(reserve(role, data.length), 0, arrays[tensor.dtype].from(data));
    }
    const shapes = Object.fromEntries(Object.entries(given.inputs).map(([name, { shape }]) => [name, shape]));
    const base = { shapes, device: { limits: { maxComputeWorkgroupsPerDimension: 65_535 } } };
    const scope = {
      ...base,
      ...Object.fromEntries(Object.entries(manifest.derive).map(([n, e]) => [n, evaluate(e, base)])),
    };
    const [variant] = manifest.variants;
    for (const { role, shape } of manifest.outputs) reserve(role, count(shape.map((e) => evaluate(e, scope))));
    for (const { id, shape } of variant?.intermediates ?? []) reserve(id, count(shape.map((e) => evaluate(e, scope))));

    const encoder = device.createCommandEncoder();
    for (const { source, entryPoint, bindings, dispatch } of variant?.passes ?? []) {
      const module = device.createShaderModule({ code: new Template(read(source.shader)).render({}) });
      const layout = device.createBindGroupLayout({
        entries: bindings.map((b) => ({ binding: b.binding, visibility: 4, buffer: b.buffer })),
      });
      const entries = bindings.map((b) => {
        const found = memory.get(b.role ?? "");
        if (found) return { binding: b.binding, resource: { buffer: found } };
        const fields = b.struct?.fields ?? [];
        const size = Math.ceil(fields.length / 4) * 16;
        const uniform = device.createBuffer({ size, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
        device.queue.writeBuffer(
          uniform,
          0,
          Int32Array.from(fields, (f) => evaluate(f.value, scope)),
        );
        return { binding: b.binding, resource: { buffer: uniform } };
      });
      const pass = encoder.beginComputePass();
      pass.setPipeline(
        device.createComputePipeline({
          layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
          compute: { module, entryPoint },
        }),
      );
      pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
      pass.dispatchWorkgroups(evaluate(dispatch.x, scope), evaluate(dispatch.y, scope));
      pass.end();
    }
    device.queue.submit([encoder.finish()]);
    for (const [name, { dtype, data, bound }] of Object.entries(given.outputs)) {
      const staging = device.createBuffer({
        size: data.length * 4,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      const copy = device.createCommandEncoder();
      copy.copyBufferToBuffer(memory.get(name) as GPUBuffer, 0, staging, 0, data.length * 4);
      device.queue.submit([copy.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      const found = new arrays[dtype](staging.getMappedRange());
      data.forEach((want, i) => {
        expect(Math.abs((found[i] ?? Number.NaN) - want), `${name}[${i}]`).toBeLessThanOrEqual(bound?.[i] ?? 0);
      });
    }
    expect(Object.keys(given.outputs).length).toBeGreaterThan(1);
  },
  120_000,
);

test("no other target has the layout", async () => {
  const { status, err } = await unmoor(["compile", example, "--target", "all", "--layout", "hf-kernels", "--out", "x"]);
  expect([status, err]).toEqual([
    2,
    expect.stringContaining("error[U410]: the layout hf-kernels is one of WebGPU kernels"),
  ]);
});
