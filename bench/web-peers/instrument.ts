/// <reference types="@webgpu/types" />

/** What happened on devices during some work. */
export interface Counts {
  readonly submissions: number;
  readonly readBacks: number;
}

/** Puts a method in the place of another while some work is done. */
async function replaced<K extends string, T>(
  holder: Record<K, (...args: never[]) => unknown>,
  name: K,
  make: (original: (...args: never[]) => unknown) => (...args: never[]) => unknown,
  work: () => Promise<T>,
): Promise<T> {
  const original = holder[name];
  holder[name] = make(original);
  try {
    return await work();
  } finally {
    holder[name] = original;
  }
}

type Methods<K extends string> = Record<K, (...args: never[]) => unknown>;

/** Counts submissions, and buffers mapped for reading, of all devices of this process. */
export async function counted(work: () => Promise<unknown>): Promise<Counts> {
  let submissions = 0;
  let readBacks = 0;
  const counting = (count: () => void) => (original: (...args: never[]) => unknown) =>
    function (this: unknown, ...args: never[]): unknown {
      count();
      return original.apply(this, args);
    };
  await replaced(
    GPUQueue.prototype as Methods<"submit">,
    "submit",
    counting(() => submissions++),
    () =>
      replaced(
        GPUBuffer.prototype as unknown as Methods<"mapAsync">,
        "mapAsync",
        counting(() => readBacks++),
        work,
      ),
  );
  return { submissions, readBacks };
}

/** Milliseconds by the device's clock. */
export interface PassClock {
  /** ms from the first kernel's begin to the last one's end, of the one pass that some work records; undefined where it records none. */
  time<T>(work: () => Promise<T>): Promise<{ readonly pass: number | undefined; readonly result: T }>;
  destroy(): void;
}

/** Undefined where the device has no timestamps. The pass stays one: a pass for each kernel would take time of its own. */
export function passClock(device: GPUDevice): PassClock | undefined {
  if (!device.features.has("timestamp-query")) return undefined;
  const querySet = device.createQuerySet({ type: "timestamp", count: 2 });
  const size = 16;
  const resolved = device.createBuffer({ size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
  const mapped = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const timestampWrites = { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
  const read = async (): Promise<number> => {
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, mapped, 0, size);
    device.queue.submit([encoder.finish()]);
    await mapped.mapAsync(GPUMapMode.READ);
    const [begin = 0n, end = 0n] = new BigUint64Array(mapped.getMappedRange());
    mapped.unmap();
    return Number(end - begin) / 1e6;
  };
  return {
    async time(work) {
      let passes = 0;
      const stamped = (original: (...args: never[]) => unknown) =>
        function (this: GPUCommandEncoder, descriptor?: GPUComputePassDescriptor): unknown {
          passes++;
          const begin = original as unknown as GPUCommandEncoder["beginComputePass"];
          return begin.call(this, { ...descriptor, timestampWrites });
        };
      const prototype = GPUCommandEncoder.prototype as unknown as Methods<"beginComputePass">;
      const result = await replaced(prototype, "beginComputePass", stamped, work);
      if (passes > 1) throw new Error(`one pass is timed, found ${passes}`);
      return { pass: passes === 0 ? undefined : await read(), result };
    },
    destroy() {
      for (const each of [querySet, resolved, mapped]) each.destroy();
    },
  };
}
