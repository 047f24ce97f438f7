/// <reference types="@webgpu/types" />
import { adapterName, isSoftware } from "../../backends/wgsl/adapter/info.ts";
import { burst } from "../burst.ts";
import { median } from "../statistics.ts";
import { type Contender, type Host, ready } from "./contenders.ts";
import type { Entry, RaceOptions, RaceResult, Ran, UnmoorEntry } from "./entry.ts";
import { counted, passClock } from "./instrument.ts";
import { multiplyAddRate } from "./roof.ts";

/** Runs by which the share of time outside kernels is taken. */
const STAMPED_RUNS = 30;
/** Runs of kernels that do nothing. */
const EMPTY_RUNS = 20;

/** Opens a device for Unmoor, with the sizes that the adapter offers; the other libraries open their own. */
async function open(gpu: GPU, entries: readonly Entry[]): Promise<{ adapter: GPUAdapter; device: GPUDevice }> {
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("there is no WebGPU adapter");
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = adapter.limits;
  const needed = entries.flatMap((entry) => (entry.kind === "unmoor" ? entry.loaded.plan.requires.features : []));
  const requiredFeatures = [...new Set([...needed, "timestamp-query"])].filter((name) => adapter.features.has(name));
  const device = await adapter.requestDevice({
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage },
    requiredFeatures: requiredFeatures as GPUFeatureName[],
  });
  return { adapter, device };
}

/** Lets all run in turns, round by round, after each had its first run. Works in Node and in a browser. */
export async function race(entries: readonly Entry[], host: Host, options: RaceOptions): Promise<RaceResult> {
  const { adapter, device } = await open(host.gpu, entries);
  try {
    const rate = await multiplyAddRate(device);
    const started: { readonly name: string; readonly contender: Contender | string }[] = [];
    for (const entry of entries) {
      const contender = await orReason(within(options.firstRun, firstRun(entry, device, host)));
      started.push({ name: entry.name, contender });
    }
    const running = started.flatMap(({ contender }) => (typeof contender === "string" ? [] : [contender]));
    const rounds = new Map(running.map((each) => [each, [] as number[]]));
    for (let round = 0; round < options.rounds; round++) {
      // Whoever is first finds the machine as another left it: they take turns in that too.
      const order = running.map((_, i) => running[(i + round) % running.length]);
      for (const each of order) {
        if (!each) continue;
        const nanoseconds = await burst([0], options.budgetMs, async () => 1e6 * (await each.run()));
        rounds.get(each)?.push(median(nanoseconds) / 1e6);
      }
    }
    const ran: Ran[] = [];
    for (const [i, { name, contender }] of started.entries()) {
      if (typeof contender === "string") ran.push({ name, failed: contender });
      else {
        const counts = await counted(() => contender.run());
        const entry = entries[i];
        const own = entry?.kind === "unmoor";
        const outside = own ? await timeOutside(contender, device) : undefined;
        const outputs = await contender.outputs();
        const empty = own ? (await timeEmpty(entry, device, host)) / median(rounds.get(contender) ?? []) : undefined;
        ran.push({
          name,
          ms: rounds.get(contender) ?? [],
          outputs,
          ...counts,
          ...(outside === undefined ? {} : { outside }),
          ...(empty === undefined ? {} : { empty }),
        });
        await contender.close();
      }
    }
    return { adapter: { name: adapterName(adapter.info), software: isSoftware(adapter.info) }, rate, ran };
  } finally {
    device.destroy();
  }
}

/** Milliseconds of a layer of as many dispatches with the same bindings, whose kernels do nothing: what no kernel can mend. */
async function timeEmpty(entry: UnmoorEntry, device: GPUDevice, host: Host): Promise<number> {
  const { plan } = entry.loaded;
  const modules = Object.fromEntries(
    [...plan.prepare, ...plan.kernels].map(({ module, entryPoint, workgroupSize }) => [
      module,
      `@compute @workgroup_size(${workgroupSize}) fn ${entryPoint}() {}`,
    ]),
  );
  const contender = await ready({ ...entry, loaded: { plan, modules } }, device, host);
  try {
    const times: number[] = [];
    for (let i = 0; i < EMPTY_RUNS; i++) times.push(await contender.run());
    return median(times);
  } finally {
    await contender.close();
  }
}

async function firstRun(entry: Entry, device: GPUDevice, host: Host): Promise<Contender> {
  const contender = await ready(entry, device, host);
  await contender.run();
  return contender;
}

async function timeOutside(contender: Contender, device: GPUDevice): Promise<number | undefined> {
  const clock = passClock(device);
  if (!clock) return undefined;
  const shares: number[] = [];
  // After others ran, caches and threads are not as they are between runs of one's own.
  await contender.run();
  for (let i = 0; i < STAMPED_RUNS; i++) {
    const { pass, result } = await clock.time(() => contender.run());
    if (pass !== undefined) shares.push(1 - pass / result);
  }
  clock.destroy();
  return shares.length === 0 ? undefined : median(shares);
}

async function orReason<T>(work: Promise<T>): Promise<T | string> {
  try {
    return await work;
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
  }
}

async function within<T>(seconds: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no result after ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
