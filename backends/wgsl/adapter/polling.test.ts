import { setImmediate as turn } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { pauseBetweenPolls } from "./polling.ts";
import { type Bench, makeBench } from "./testing.ts";

/** Settles what a class like Dawn's was asked for. */
let settle: { resolve: (value: string) => void; reject: (error: Error) => void };
const ask = (): Promise<string> =>
  new Promise((resolve, reject) => {
    settle = { resolve, reject };
  });

const makeClasses = () => ({
  GPUQueue: class {
    onSubmittedWorkDone(): Promise<string> {
      return ask();
    }
  },
  GPUBuffer: class {
    mapAsync(): Promise<string> {
      return ask();
    }
  },
  GPUDevice: class {
    createComputePipelineAsync(): Promise<string> {
      return ask();
    }
  },
});

describe("pauseBetweenPolls", () => {
  let now: number;
  let pauses: number[];
  let queue: { onSubmittedWorkDone(): Promise<string> };
  let buffer: { mapAsync(): Promise<string> };

  beforeEach(() => {
    now = 1000;
    pauses = [];
    const classes = makeClasses();
    pauseBetweenPolls(classes, {
      now: () => now,
      pause: (ms) => {
        pauses.push(ms);
        now += ms;
      },
    });
    queue = new classes.GPUQueue();
    buffer = new classes.GPUBuffer();
  });

  const turns = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await turn();
  };

  it("pauses while something is awaited, a share of the time waited so far, from 0.05 to 1 ms", async () => {
    const done = queue.onSubmittedWorkDone();
    await turns(2);
    expect(pauses).toEqual([0.05, 0.05]);
    now += 10;
    await turns(1);
    expect(pauses.at(-1)).toBeCloseTo(0.5, 1);
    now += 1000;
    await turns(1);
    expect(pauses.at(-1)).toBe(1);
    settle.resolve("done");
    expect(await done).toBe("done");
  });

  it("does nothing before something is awaited, nor after", async () => {
    now += 1000;
    await turns(3);
    expect(pauses).toEqual([]);
    const done = queue.onSubmittedWorkDone();
    settle.resolve("done");
    await done;
    now += 1000;
    await turns(3);
    expect(pauses).toEqual([]);
  });

  it("counts from the last that was asked for, and waits for all", async () => {
    const first = queue.onSubmittedWorkDone();
    const keepFirst = settle.resolve;
    now += 1000;
    const second = buffer.mapAsync();
    await turns(1);
    expect(pauses).toEqual([0.05]);
    settle.resolve("second");
    await second;
    now += 1000;
    await turns(1);
    expect(pauses.at(-1)).toBe(1);
    keepFirst("first");
    expect(await first).toBe("first");
  });

  it("passes errors on, and stops pausing", async () => {
    const done = buffer.mapAsync();
    settle.reject(new Error("lost"));
    await expect(done).rejects.toThrow("lost");
    now += 1000;
    await turns(3);
    expect(pauses).toEqual([]);
  });
});

describe("a process that awaits", () => {
  let bench: Bench;
  beforeAll(() => {
    bench = makeBench();
  });
  afterAll(() => bench.remove());

  it("ends by itself where nothing else keeps it alive", async () => {
    const ended = await bench.run(`
      import { pauseBetweenPolls } from "./polling.js";
      const never = () => new Promise(() => {});
      const classes = { GPUQueue: class {}, GPUBuffer: class {}, GPUDevice: class {} };
      classes.GPUQueue.prototype.onSubmittedWorkDone = never;
      classes.GPUBuffer.prototype.mapAsync = never;
      classes.GPUDevice.prototype.createComputePipelineAsync = never;
      pauseBetweenPolls(classes);
      new classes.GPUQueue().onSubmittedWorkDone().then(() => console.log("kept"));
      console.log("asked");
    `);
    expect(ended).toEqual({ status: 0, signal: null, stdout: "asked\n", stderr: "" });
  });
});
