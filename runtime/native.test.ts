import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildAddon } from "./addon/build.js";
import { Workshop } from "./addon/testing.ts";
import { type NativeLibrary, NativeMemory, openLibrary, type RunBuffer } from "./native.ts";

const SOURCE = `
#include <pthread.h>
#include <stdint.h>
#include <stddef.h>
#include <unistd.h>

int32_t table[4] = {1, 2, 3, 4};

int32_t add(void *const *buffers, const int64_t *dims, int32_t threads) {
  const float *a = buffers[0], *b = buffers[1];
  float *out = buffers[2];
  for (int64_t i = 0; i < dims[0]; i++) out[i] = a[i] + b[i];
  return threads < 0;
}

int32_t sleep_200ms(void *const *buffers, const int64_t *dims, int32_t threads) {
  usleep(200 * 1000);
  if (dims[0]) *(int32_t *)buffers[0] = 42;
  return 0;
}

/* Counts its calls; fails with 7 at the call numbered dims[0]. */
int32_t count(void *const *buffers, const int64_t *dims, int32_t threads) {
  int32_t *calls = buffers[0];
  return ++*calls == dims[0] ? 7 : 0;
}

int32_t write_dims(void *const *buffers, const int64_t *dims, int32_t threads) {
  int64_t *out = buffers[0];
  out[0] = dims[0]; out[1] = dims[1]; out[2] = threads;
  return 0;
}

int32_t are_addresses(void *const *buffers, const int64_t *dims, int32_t threads) {
  for (int64_t i = 0; i < dims[0]; i++) if (buffers[i] == NULL) return 1;
  return 0;
}

struct part { pthread_t thread; int32_t index; int64_t *out; pthread_barrier_t *barrier; };
static void *work(void *arg) {
  struct part *part = arg;
  pthread_barrier_wait(part->barrier); /* passes only when all threads are there at once */
  part->out[part->index] = part->index + 1;
  return NULL;
}
int32_t spawn(void *const *buffers, const int64_t *dims, int32_t threads) {
  struct part parts[16];
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, NULL, threads);
  for (int32_t i = 0; i < threads; i++) {
    parts[i].index = i; parts[i].out = buffers[0]; parts[i].barrier = &barrier;
    if (pthread_create(&parts[i].thread, NULL, work, &parts[i])) return 1;
  }
  for (int32_t i = 0; i < threads; i++) pthread_join(parts[i].thread, NULL);
  pthread_barrier_destroy(&barrier);
  return 0;
}

/* Two runs at once: each waits to see the other's mark. Gives up after 10 s. */
int32_t meet(void *const *buffers, const int64_t *dims, int32_t threads) {
  volatile int32_t *marks = buffers[0];
  marks[dims[0]] = 1;
  for (int i = 0; i < 10000; i++) { if (marks[1 - dims[0]]) return 0; usleep(1000); }
  return 1;
}

const char *describe(void) { return "{\\"name\\": \\"gr\\u00fcn\\"}"; }
const char *nothing(void) { return NULL; }
`;

const workshop = new Workshop();
let libraryPath: string;
let library: NativeLibrary;

beforeAll(async () => {
  await buildAddon();
  libraryPath = workshop.compile(SOURCE);
  library = openLibrary(libraryPath);
});

afterAll(() => workshop.dispose());

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
}

describe("NativeMemory", () => {
  it("is zeroed, aligned and shared by its views", async () => {
    const memory = NativeMemory.allocate(1000);
    const first = memory.bytesView();
    expect(first.length).toBe(1000);
    expect(first.every((byte) => byte === 0)).toBe(true);
    memory.bytesView(10, 5).fill(7);
    expect([...first.subarray(8, 17)]).toEqual([0, 0, 7, 7, 7, 7, 7, 0, 0]);
    memory.free();
  });

  it("holds more than 4 GiB", async () => {
    if (totalmem() < 6 * 2 ** 30) return; // the system refuses what it could never give
    const bytes = 5 * 2 ** 30;
    const memory = NativeMemory.allocate(bytes);
    memory.bytesView(0, 4096).fill(1);
    const last = memory.bytesView(bytes - 4096, 4096);
    new Float32Array(last.buffer, last.byteOffset, 1024)[1023] = 1.5;
    const sum = new Float32Array(1);
    const { status } = await library.run("add", [{ memory, offset: bytes - 4 }, new Float32Array([1]), sum], [1]);
    expect([status, sum[0]]).toEqual([0, 2.5]);
    expect(() => memory.bytesView()).toThrow(/length of the view must be an integer from 0 to 2147483647/);
    memory.free();
  });

  it("throws after free, and empties its views instead of crashing", async () => {
    const memory = NativeMemory.allocate(3 << 20);
    const view = memory.bytesView();
    memory.free();
    memory.free();
    expect(memory.freed).toBe(true);
    expect(view.length).toBe(0);
    expect(view[0]).toBeUndefined();
    expect(() => memory.bytesView()).toThrow("this memory of 3145728 bytes was freed");
    await expect(library.run("add", [memory, memory, memory], [0])).rejects.toThrow(
      "buffers[0] is NativeMemory that was freed",
    );
  });

  it("is given back by free, and by the garbage collector once no view is left", async () => {
    const bytes = 64 << 20;
    const before = NativeMemory.bytesInUse;
    const memory = NativeMemory.allocate(bytes);
    expect(NativeMemory.bytesInUse).toBe(before + bytes);
    memory.free();
    expect(NativeMemory.bytesInUse).toBe(before);

    let view: Uint8Array | undefined = NativeMemory.allocate(bytes).bytesView(5, 10);
    collectGarbage();
    await sleep(10);
    view.fill(3);
    expect(view[9]).toBe(3);
    expect(NativeMemory.bytesInUse).toBe(before + bytes);
    view = undefined;
    for (let i = 0; i < 50 && NativeMemory.bytesInUse > before; i++) {
      collectGarbage();
      await sleep(20);
    }
    expect(NativeMemory.bytesInUse).toBe(before);
  });

  it("cannot be transferred away from its owner", () => {
    const memory = NativeMemory.allocate(100);
    const view = memory.bytesView();
    try {
      structuredClone(view, { transfer: [view.buffer] });
    } catch (error) {
      expect(error).toHaveProperty("name", "DataCloneError"); // since node 21; before, it was copied
    }
    view[0] = 1;
    expect(memory.bytesView()[0]).toBe(1);
  });

  it("may be empty", async () => {
    const memory = NativeMemory.allocate(0);
    expect(memory.bytesView().length).toBe(0);
    const buffers = [memory, new Uint8Array(0), { memory: NativeMemory.allocate(8), offset: 8 }];
    expect((await library.run("are_addresses", buffers, [3])).status).toBe(0);
    memory.free();
    expect(() => memory.bytesView()).toThrow("freed");
  });

  it("maps a range of a file without ever writing to it", () => {
    const path = join(workshop.folder, "data.bin");
    const data = Uint8Array.from({ length: 10_000 }, (_, i) => i % 251);
    writeFileSync(path, data);
    const memory = NativeMemory.mapFile(path, { offset: 4099, bytes: 3000 });
    expect(memory.bytes).toBe(3000);
    expect(memory.bytesView()).toEqual(data.slice(4099, 7099));
    memory.bytesView().fill(0);
    expect(new Uint8Array(readFileSync(path))).toEqual(data);
    expect(NativeMemory.mapFile(path).bytes).toBe(10_000);
    expect(NativeMemory.mapFile(path, { offset: 10_000 }).bytes).toBe(0);
    memory.free();
  });

  it("says what is wrong with its arguments", () => {
    const path = join(workshop.folder, "short.bin");
    writeFileSync(path, "12345");
    expect(() => NativeMemory.allocate(-1)).toThrow("the number of bytes to allocate must be an integer of at least 0");
    expect(() => NativeMemory.allocate(1.5)).toThrow(TypeError);
    expect(() => NativeMemory.allocate(2 ** 46)).toThrow(
      /cannot allocate 70368744177664 bytes: Cannot allocate memory/,
    );
    expect(() => NativeMemory.allocate(2 ** 52)).toThrow(/cannot allocate .*out of range/);
    expect(() => NativeMemory.mapFile("/no/such/file")).toThrow("cannot map /no/such/file: no such file");
    expect(() => NativeMemory.mapFile(workshop.folder)).toThrow("not a regular file");
    expect(() => NativeMemory.mapFile(path, { offset: 3, bytes: 3 })).toThrow("bytes 3 to 6 were asked for");
    expect(() => NativeMemory.mapFile(path, { offset: 9 })).toThrow("the file has 5");
    expect(() => NativeMemory.allocate(10).bytesView(11)).toThrow("the offset of the view");
    expect(() => NativeMemory.allocate(10).bytesView(5, 6)).toThrow(
      "the length of the view must be an integer from 0 to 5; found 6",
    );
  });
});

describe("NativeLibrary", () => {
  it("runs a kernel on all kinds of buffers", async () => {
    const memory = NativeMemory.allocate(64);
    new Float32Array(memory.bytesView().buffer, 32, 3).set([10, 20, 30]);
    const a = new Float32Array([0, 1, 2, 3]).subarray(1);
    const out = new DataView(new ArrayBuffer(20), 8);
    const result = await library.run("add", [a, { memory, offset: 32 }, out], [3], { threads: 2 });
    expect(result.status).toBe(0);
    expect(result.nanoseconds).toHaveLength(1);
    expect([...new Float32Array(out.buffer)]).toEqual([0, 0, 11, 22, 33]);
  });

  it("accepts a SharedArrayBuffer and refuses a resizable one", async () => {
    const shared = new Int32Array(new SharedArrayBuffer(8));
    expect((await library.run("count", [shared], [9])).status).toBe(0);
    expect(shared[0]).toBe(1);
    const options = { maxByteLength: 64 };
    const resizable: ArrayBuffer = Reflect.construct(ArrayBuffer, [8, options]);
    await expect(library.run("count", [new Int32Array(resizable)], [9])).rejects.toThrow("resizable");
  });

  it("leaves the main thread free", async () => {
    let turns = 0;
    let done = false;
    const run = library.run("sleep_200ms", [], [0]).finally(() => {
      done = true;
    });
    while (!done) {
      await new Promise((resolve) => setImmediate(resolve));
      turns++;
    }
    const { nanoseconds } = await run;
    expect(turns).toBeGreaterThan(0);
    expect(nanoseconds[0]).toBeGreaterThan(150e6);
  });

  it("lets a kernel run real threads", async () => {
    const out = new BigInt64Array(8);
    expect((await library.run("spawn", [out], [], { threads: 8 })).status).toBe(0);
    expect([...out]).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n]);
  });

  it("has two runs in flight at once", async () => {
    const marks = new Int32Array(2);
    const results = await Promise.all([library.run("meet", [marks], [0]), library.run("meet", [marks], [1])]);
    expect(results.map((result) => result.status)).toEqual([0, 0]);
  });

  it("repeats, times each call, and stops at the first failure", async () => {
    const calls = new Int32Array(1);
    const all = await library.run("count", [calls], [-1], { repeat: 5 });
    expect(all.status).toBe(0);
    expect(all.nanoseconds).toHaveLength(5);
    expect(all.nanoseconds.every((time) => time >= 0)).toBe(true);
    calls[0] = 0;
    const failing = await library.run("count", [calls], [3], { repeat: 5 });
    expect(failing.status).toBe(7);
    expect(failing.nanoseconds).toHaveLength(3);
    expect(calls[0]).toBe(3);
  });

  it("passes dims as 64-bit integers", async () => {
    const out = new BigInt64Array(3);
    await library.run("write_dims", [out], [Number.MAX_SAFE_INTEGER, -(2 ** 40)], { threads: 3 });
    expect([...out]).toEqual([BigInt(Number.MAX_SAFE_INTEGER), -(2n ** 40n), 3n]);
  });

  it("keeps memory that is freed or detached while it runs", async () => {
    const memory = NativeMemory.allocate(4 << 20);
    const array = new Int32Array(1 << 20);
    const runs = [library.run("sleep_200ms", [memory], [1]), library.run("sleep_200ms", [array], [1])];
    memory.free();
    structuredClone(array, { transfer: [array.buffer] });
    collectGarbage();
    expect((await Promise.all(runs)).map((result) => result.status)).toEqual([0, 0]);
  });

  it("returns texts", () => {
    expect(library.text("describe")).toBe('{"name": "grün"}');
    expect(library.text("nothing")).toBeNull();
    expect(library.text("absent")).toBeNull();
  });

  it("sees only the functions of the library itself", async () => {
    expect(library.has("add")).toBe(true);
    expect(library.has("absent")).toBe(false);
    expect(library.has("usleep")).toBe(false);
    expect(library.has("table")).toBe(false);
    for (const symbol of ["absent", "usleep", "table"]) {
      await expect(library.run(symbol, [], [])).rejects.toThrow(
        `the library ${libraryPath} does not define the function ${symbol}`,
      );
    }
  });

  it("turns a C++ exception into an error", async () => {
    const path = workshop.compile(
      `#include <stdexcept>
       extern "C" int fail(void *const *, const long *, int) { throw std::runtime_error("queue is full"); }
       extern "C" const char *fail_text() { throw 1; }`,
      "g++",
    );
    const throwing = openLibrary(path);
    await expect(throwing.run("fail", [], [])).rejects.toThrow(/fail in .* failed: .*queue is full/);
    expect(() => throwing.text("fail_text")).toThrow("it threw a C++ exception");
    throwing.close();
  });

  it("refuses to close while it runs, and to run when it is closed", async () => {
    const own = openLibrary(workshop.compile(SOURCE));
    const run = own.run("sleep_200ms", [], [0]);
    expect(() => own.close()).toThrow(/1 of its runs are still in flight/);
    await run;
    own.close();
    own.close();
    await expect(own.run("add", [], [0])).rejects.toThrow("is closed");
    expect(() => own.has("add")).toThrow("is closed");
    expect(() => own.text("describe")).toThrow("is closed");
  });

  it("survives the end of a thread that had a run in flight", async () => {
    const addon = fileURLToPath(new URL("./addon/build/Release/unmoor.node", import.meta.url));
    const script = `
      const { parentPort, workerData } = require("node:worker_threads");
      const addon = require(workerData.addon);
      const id = addon.openLibrary(workerData.library);
      addon.run(id, "sleep_200ms", [addon.allocateMemory(4096)], [0], [1], 1, 2, () => {});
      parentPort.postMessage(id);
      setInterval(() => {}, 1000);`;
    const worker = new Worker(script, { eval: true, workerData: { addon, library: libraryPath } });
    await new Promise((resolve) => worker.once("message", resolve));
    expect(await worker.terminate()).toBe(1);
    expect((await library.run("count", [new Int32Array(1)], [9])).status).toBe(0);
  });

  it("says what is wrong with its arguments", async () => {
    const buffers = [new Int32Array(1)];
    const bad = (value: unknown) => value as RunBuffer[];
    await expect(library.run("", buffers, [1])).rejects.toThrow('must be the name of a function; found ""');
    await expect(library.run("count", bad("x"), [1])).rejects.toThrow('buffers must be an array; found "x"');
    await expect(library.run("count", bad([3]), [1])).rejects.toThrow(/buffers\[0\] must be a typed array.*found 3/);
    await expect(library.run("count", bad(new Array(1)), [1])).rejects.toThrow("found undefined");
    await expect(library.run("count", bad([new ArrayBuffer(8)]), [1])).rejects.toThrow(
      "found a value of type ArrayBuffer",
    );
    await expect(library.run("count", buffers, [1.5])).rejects.toThrow(/dims\[0\] must be an integer .*found 1\.5/);
    await expect(library.run("count", buffers, [Number.NaN])).rejects.toThrow(TypeError);
    await expect(library.run("count", buffers, [1], { threads: 0 })).rejects.toThrow(
      "threads must be an integer from 1",
    );
    await expect(library.run("count", buffers, [1], { repeat: 0 })).rejects.toThrow("repeat must be an integer from 1");
    const memory = NativeMemory.allocate(8);
    await expect(library.run("count", [{ memory, offset: 9 }], [1])).rejects.toThrow(
      "the offset of buffers[0] must be an integer from 0 to 8; found 9",
    );
  });
});

describe("openLibrary", () => {
  it("says what is wrong with the file", () => {
    const at = (name: string) => join(workshop.folder, name);
    expect(() => openLibrary("/no/such/library.so")).toThrow(
      "cannot open the library /no/such/library.so: no such file",
    );
    expect(() => openLibrary(workshop.folder)).toThrow("not a regular file");
    writeFileSync(at("text.so"), "hello".repeat(100));
    expect(() => openLibrary(at("text.so"))).toThrow("it is not a shared library (no ELF header)");
    writeFileSync(at("empty.so"), "");
    expect(() => openLibrary(at("empty.so"))).toThrow("no ELF header");
    const image = readFileSync(libraryPath);
    const foreign = Buffer.from(image);
    foreign.writeUInt16LE(8, 18); // MIPS
    writeFileSync(at("foreign.so"), foreign);
    expect(() => openLibrary(at("foreign.so"))).toThrow("it is for another kind of machine (ELF machine 8)");
    expect(() => openLibrary(process.execPath)).toThrow(/not a shared library \(compile it|dynamically load/);
    for (const length of [64, 100, 4096, 8192]) {
      writeFileSync(at(`cut${length}.so`), image);
      truncateSync(at(`cut${length}.so`), length);
      expect(() => openLibrary(at(`cut${length}.so`))).toThrow("it is cut short");
    }
    const unresolved = workshop.compile("int gone(void); int call(void) { return gone(); }");
    expect(() => openLibrary(unresolved)).toThrow(/cannot open the library .*: undefined symbol: gone/);
  });
});
