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

/** Kernels of one submission that can be told apart. */
const mostKernels = 256;

/**
 * Milliseconds that the kernels of one layer's submission take, by timestamps: each dispatch gets a pass of its own. What the work
 * submits later, such as copies out, has no kernels. Undefined where the device has no timestamps.
 */
export async function kernelTime<T>(
  work: () => Promise<T>,
): Promise<{ readonly kernels: number | undefined; readonly result: T }> {
  let timed: { device: GPUDevice; queries: GPUQuerySet; count: number } | undefined;
  const devices = new WeakMap<object, GPUDevice>();
  const split = (original: (...args: never[]) => unknown) =>
    function (this: GPUCommandEncoder): unknown {
      const begin = original as unknown as (d?: GPUComputePassDescriptor) => GPUComputePassEncoder;
      const device = devices.get(this);
      if (!device?.features.has("timestamp-query")) return begin.call(this);
      const own = { device, queries: device.createQuerySet({ type: "timestamp", count: 2 * mostKernels }), count: 0 };
      timed = own;
      let pipeline: GPUComputePipeline | undefined;
      let group: GPUBindGroup | undefined;
      const dispatch = (start: (pass: GPUComputePassEncoder) => void): void => {
        const pass = begin.call(this, {
          timestampWrites: {
            querySet: own.queries,
            beginningOfPassWriteIndex: 2 * own.count,
            endOfPassWriteIndex: 2 * own.count + 1,
          },
        });
        own.count++;
        if (pipeline) pass.setPipeline(pipeline);
        if (group) pass.setBindGroup(0, group);
        start(pass);
        pass.end();
      };
      return {
        setPipeline: (given: GPUComputePipeline) => {
          pipeline = given;
        },
        setBindGroup: (_: number, given: GPUBindGroup) => {
          group = given;
        },
        dispatchWorkgroups: (...counts: [number, number?, number?]) =>
          dispatch((pass) => pass.dispatchWorkgroups(...counts)),
        dispatchWorkgroupsIndirect: (buffer: GPUBuffer, offset: number) =>
          dispatch((pass) => pass.dispatchWorkgroupsIndirect(buffer, offset)),
        end: () => {},
      };
    };
  const remember = (original: (...args: never[]) => unknown) =>
    function (this: GPUDevice, ...args: never[]): unknown {
      const encoder = original.apply(this, args) as object;
      devices.set(encoder, this);
      return encoder;
    };
  const result = await replaced(
    GPUDevice.prototype as unknown as Methods<"createCommandEncoder">,
    "createCommandEncoder",
    remember,
    () =>
      replaced(GPUCommandEncoder.prototype as unknown as Methods<"beginComputePass">, "beginComputePass", split, work),
  );
  return { kernels: timed && (await readTimes(timed)), result };
}

async function readTimes(timed: { device: GPUDevice; queries: GPUQuerySet; count: number }): Promise<number> {
  const { device, queries, count } = timed;
  const size = count * 16;
  const resolved = device.createBuffer({ size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
  const mapped = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.resolveQuerySet(queries, 0, 2 * count, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, mapped, 0, size);
  device.queue.submit([encoder.finish()]);
  await mapped.mapAsync(GPUMapMode.READ);
  const stamps = new BigUint64Array(mapped.getMappedRange().slice(0));
  let sum = 0;
  for (let i = 0; i < count; i++) sum += Number((stamps[2 * i + 1] ?? 0n) - (stamps[2 * i] ?? 0n));
  for (const each of [resolved, mapped]) each.destroy();
  queries.destroy();
  return sum / 1e6;
}
