/// <reference types="@webgpu/types" />
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chooseAdapter, findAdapter } from "../../backends/wgsl/adapter/index.ts";
import { loadRunModule } from "../../backends/wgsl/support.ts";
import type { Host, Ort, Tf } from "./contenders.ts";
import type { RaceTrack } from "./entry.ts";
import { packages } from "./packages.ts";
import { race } from "./race.ts";

/** Races in this process, on Dawn, on the adapter that Unmoor's other commands use. */
export async function nodeTrack(): Promise<RaceTrack> {
  const host = await nodeHost();
  // Promises that Dawn keeps for onnxruntime-web do not keep the process alive, and would never be kept.
  const alive = setInterval(() => {}, 1000);
  return {
    where: `Node ${process.versions.node}`,
    race: (entries, options) => race(entries, host, options),
    close: async () => clearInterval(alive),
  };
}

/** An adapter lives no longer than the Dawn instance that it comes from. */
const kept: unknown[] = [];

/** Gives libraries for browsers what they look for. */
async function nodeHost(): Promise<Host> {
  const choice = chooseAdapter();
  // Fails here, in words, where there is none.
  const { gpu: dawn } = await findAdapter(choice);
  const gpu = {
    async requestAdapter() {
      const found = await findAdapter(choice);
      kept.push(found);
      return found.adapter;
    },
    getPreferredCanvasFormat: () => "bgra8unorm",
    wgslLanguageFeatures: dawn.wgslLanguageFeatures,
  } as unknown as GPU;
  const value = { gpu, userAgent: "Node", hardwareConcurrency: 1 };
  Object.defineProperty(globalThis, "navigator", { value, configurable: true });
  writeSharedMemory();
  return { gpu, runModule: loadRunModule, onnxruntime: once(loadOrt), tfjs: once(loadTf) };
}

function once<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined;
  return () => {
    loaded ??= load();
    return loaded;
  };
}

/** Dawn's queue takes no shared memory, as browsers' do, and that is where onnxruntime-web has what it writes. */
function writeSharedMemory(): void {
  const queue = GPUQueue.prototype;
  const write = queue.writeBuffer;
  queue.writeBuffer = function (this: GPUQueue, buffer, at, data, from = 0, size) {
    const view = ArrayBuffer.isView(data) ? data : new Uint8Array(data as ArrayBuffer);
    if (!(view.buffer instanceof SharedArrayBuffer)) return write.call(this, buffer, at, data, from, size);
    const bytes = "BYTES_PER_ELEMENT" in view ? Number(view.BYTES_PER_ELEMENT) : 1;
    const start = view.byteOffset + from * bytes;
    const length = size === undefined ? view.byteLength - from * bytes : size * bytes;
    return write.call(this, buffer, at, new Uint8Array(new Uint8Array(view.buffer, start, length)));
  };
}

async function loadOrt(): Promise<Ort> {
  const dist = join(packages.modules, "onnxruntime-web", "dist");
  const module: Ort = await import(pathToFileURL(join(dist, "ort.webgpu.bundle.min.mjs")).href);
  // It would fetch the file, which Node does not from a folder.
  module.env.wasm.wasmBinary = readFileSync(join(dist, "ort-wasm-simd-threaded.asyncify.wasm"));
  return module;
}

async function loadTf(): Promise<Tf> {
  const core = packages.require("@tensorflow/tfjs-core") as Tf;
  packages.require("@tensorflow/tfjs-backend-webgpu");
  return core;
}
