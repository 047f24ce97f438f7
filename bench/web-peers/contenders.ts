/// <reference types="@webgpu/types" />
import type { Tensor } from "../../ir/core/tensor.ts";
import type { Entry, Matrix, OnnxEntry, TensorFlowEntry, UnmoorEntry } from "./entry.ts";

// Entries made ready to run on a device. Runs in Node and in a browser.

/** One that computes, with weights and inputs on the device. */
export interface Contender {
  /** ms of one run, from its first command until the device is done; nothing is copied in or out. */
  run(): Promise<number>;
  /** What the last run gave. */
  outputs(): Promise<Readonly<Record<string, Tensor>>>;
  close(): Promise<void>;
}

/** What Node and a browser give in different ways. */
export interface Host {
  readonly gpu: GPU;
  /** The module that compiled layers carry, which is no part of the build. */
  runModule(): Promise<typeof import("../../backends/wgsl/support/run.js")>;
  onnxruntime(): Promise<Ort>;
  tfjs(): Promise<Tf>;
}

export function ready(entry: Entry, device: GPUDevice, host: Host): Promise<Contender> {
  if (entry.kind === "unmoor") return unmoor(entry, device, host);
  return entry.kind === "onnxruntime" ? onnxRuntime(entry, host) : tensorFlow(entry, host);
}

async function timed(device: GPUDevice, submit: () => Promise<void>): Promise<number> {
  await device.queue.onSubmittedWorkDone();
  const start = performance.now();
  await submit();
  await device.queue.onSubmittedWorkDone();
  return performance.now() - start;
}

/** A buffer with these elements in it; sizes are multiples of 16 bytes. */
function upload(device: GPUDevice, data: ArrayBufferView): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const size = Math.max(16, Math.ceil(data.byteLength / 16) * 16);
  const buffer = device.createBuffer({ size, usage, mappedAtCreation: true });
  new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  buffer.unmap();
  return buffer;
}

async function download(device: GPUDevice, buffer: GPUBuffer, size: number): Promise<ArrayBuffer> {
  const mapped = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, mapped, 0, size);
  device.queue.submit([encoder.finish()]);
  await mapped.mapAsync(GPUMapMode.READ);
  const bytes = mapped.getMappedRange().slice(0);
  mapped.destroy();
  return bytes;
}

async function unmoor(entry: UnmoorEntry, device: GPUDevice, host: Host): Promise<Contender> {
  const { loaded, weights, inputs, symbols } = entry;
  const { createRunner, evaluate } = await host.runModule();
  const runner = await createRunner(device, loaded);
  await runner.setWeights(weights);
  const given = Object.fromEntries(Object.entries(inputs).map(([name, data]) => [name, upload(device, data)]));
  let made: Readonly<Record<string, GPUBuffer>> = {};
  return {
    run: () =>
      timed(device, async () => {
        const encoder = device.createCommandEncoder();
        made = runner.encode(encoder, given, symbols);
        device.queue.submit([encoder.finish()]);
      }),
    async outputs() {
      const outputs: Record<string, Tensor> = {};
      for (const [name, buffer] of Object.entries(made)) {
        const described = loaded.plan.buffers.find((each) => each.name === name);
        const dims = described?.dims.map((d) => evaluate(d, symbols)) ?? [];
        const bytes = await download(device, buffer, 4 * dims.reduce((a, b) => a * b, 1));
        // Kernels write no other elements.
        outputs[name] =
          described?.dtype === "i32"
            ? { dtype: "i32", dims, data: new Int32Array(bytes) }
            : { dtype: "f32", dims, data: new Float32Array(bytes) };
      }
      return outputs;
    },
    async close() {
      for (const buffer of Object.values(given)) buffer.destroy();
      runner.destroy();
    },
  };
}

const result = ({ dims, data }: Matrix) => ({ y: { dtype: "f32", dims, data } }) as const;

// What is used of onnxruntime-web.

export interface Ort {
  readonly env: {
    logLevel: string;
    wasm: { numThreads: number; wasmBinary?: Uint8Array; wasmPaths?: string };
    webgpu: { device: Promise<GPUDevice> };
  };
  readonly Tensor: { fromGpuBuffer(buffer: GPUBuffer, options: object): OrtTensor };
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<OrtSession> };
}
interface OrtTensor {
  readonly location: string;
  readonly dims: readonly number[];
  readonly data: Float32Array;
  getData(): Promise<Float32Array>;
  dispose(): void;
}
interface OrtSession {
  run(inputs: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}

async function onnxRuntime(entry: OnnxEntry, host: Host): Promise<Contender> {
  const { env, Tensor, InferenceSession } = await host.onnxruntime();
  env.logLevel = "error";
  // More threads share their memory, which WebGPU does not read from: each upload would be copied once more.
  env.wasm.numThreads = 1;
  const session = await InferenceSession.create(entry.model, {
    executionProviders: ["webgpu"],
    preferredOutputLocation: "gpu-buffer",
    externalData: Object.entries(entry.files).map(([path, data]) => ({ path, data })),
    // What it says of operators without a kernel for WebGPU is counted as read-backs, and else noise.
    logSeverityLevel: 3,
  });
  const device = await env.webgpu.device;
  const buffer = upload(device, entry.x.data);
  const x = Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims: entry.x.dims });
  let y: OrtTensor | undefined;
  return {
    run: () =>
      timed(device, async () => {
        y?.dispose();
        y = (await session.run({ x })).y;
      }),
    async outputs() {
      if (!y) throw new Error("nothing was run");
      const data = y.location === "gpu-buffer" ? await y.getData() : y.data;
      return result({ dims: y.dims, data });
    },
    async close() {
      y?.dispose();
      await session.release();
      buffer.destroy();
    },
  };
}

// What is used of tfjs.

export interface Tf {
  backend(): { readonly device: GPUDevice; endComputePassEncoder(): void; submitQueue(): void };
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  matMul(a: TfTensor, b: TfTensor): TfTensor;
}
interface TfTensor {
  readonly shape: readonly number[];
  data(): Promise<Float32Array>;
  dispose(): void;
}

async function tensorFlow(entry: TensorFlowEntry, host: Host): Promise<Contender> {
  const tf = await host.tfjs();
  if (!(await tf.setBackend("webgpu"))) throw new Error("tfjs finds no WebGPU");
  await tf.ready();
  const backend = tf.backend();
  const [x, w] = [entry.x, entry.w].map(({ dims, data }) => tf.tensor(data, dims));
  if (!x || !w) throw new Error("nothing to multiply");
  let y: TfTensor | undefined;
  return {
    run: () =>
      timed(backend.device, async () => {
        y?.dispose();
        y = tf.matMul(x, w);
        // What is recorded is not yet submitted.
        backend.endComputePassEncoder();
        backend.submitQueue();
      }),
    async outputs() {
      if (!y) throw new Error("nothing was run");
      return result({ dims: y.shape, data: await y.data() });
    },
    async close() {
      for (const each of [x, w, y]) each?.dispose();
    },
  };
}
