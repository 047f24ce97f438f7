/// <reference types="@webgpu/types" />

/** From the first poll on: the thread that starts the work may be waiting for this core. */
const SHORTEST_PAUSE_MS = 0.05;
const LONGEST_PAUSE_MS = 1;
/** Of the time waited so far: results of longer work come late by no more. */
const PAUSE_SHARE = 1 / 20;

/** Methods whose promises Dawn keeps after work of the adapter. */
const AWAITED = [
  ["GPUQueue", "onSubmittedWorkDone"],
  ["GPUBuffer", "mapAsync"],
  ["GPUDevice", "createComputePipelineAsync"],
] as const;

type Awaited = (typeof AWAITED)[number];
type Asynchronous = (this: unknown, ...args: never[]) => Promise<unknown>;
/** Dawn's classes, as the package gives them. */
export type DawnClasses = { readonly [Class in Awaited[0]]: { readonly prototype: object } };

/** Time, and how to let it pass. */
export interface Clock {
  now(): number;
  pause(ms: number): void;
}

const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));
const realClock: Clock = {
  now: () => performance.now(),
  pause: (ms) => void Atomics.wait(nobodyWakes, 0, 0, ms),
};

/**
 * Lets the main thread rest between polls. While something is awaited, Dawn in Node asks again and again whether it is done, which
 * takes a whole core: one of those on which a software adapter computes. A GPU does not miss it, so this is for software adapters
 * alone; it then holds for all devices of the process. Has no effect while nothing is awaited, and keeps no process alive.
 */
export function pauseBetweenPolls(classes: DawnClasses, clock: Clock = realClock): void {
  let waiting = 0;
  let since = 0;
  let running = false;
  const turn = (): void => {
    running = waiting > 0;
    if (!running) return;
    const share = PAUSE_SHARE * (clock.now() - since);
    clock.pause(Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, share)));
    setImmediate(turn).unref();
  };
  const begin = (): void => {
    since = clock.now();
    waiting++;
    if (running) return;
    running = true;
    setImmediate(turn).unref();
  };
  for (const [name, method] of AWAITED) {
    const prototype = classes[name].prototype as Record<string, Asynchronous>;
    const original = prototype[method];
    if (!original) throw new Error(`Dawn's ${name} has no ${method}`);
    prototype[method] = function (this: unknown, ...args: never[]): Promise<unknown> {
      const promise = original.apply(this, args);
      begin();
      return promise.finally(() => {
        waiting--;
      });
    };
  }
}
