/// <reference types="@webgpu/types" />
import { LackError } from "../../backend.ts";
import { type AdapterChoice, chooseAdapter, type FoundAdapter, findAdapter } from "./find.ts";
import { type AdapterKind, adapterName } from "./info.ts";

/** An adapter in words and numbers, as reports and the command line show it. */
export interface AdapterDescription {
  readonly kind: AdapterKind;
  /** As the driver calls it: "SwiftShader driver 5.0.0". */
  readonly name: string;
  readonly vendor: string;
  /** The API below WebGPU: Vulkan, Metal or Direct3D. */
  readonly backend: string;
  /** Whether it computes on the CPU: figures taken on it are emulated. */
  readonly software: boolean;
  /** What the adapter offers, which is more than a device has by default. */
  readonly limits: Record<string, number>;
  readonly features: string[];
}

/** What to open a device with. */
export interface DeviceOptions {
  /** Default: UNMOOR_ADAPTER, else a real GPU, else a software adapter. */
  readonly adapter?: AdapterChoice;
  /** "adapter" raises every limit to what the adapter offers. */
  readonly limits?: "default" | "adapter";
  /** "adapter" enables every feature that the adapter offers. */
  readonly features?: "default" | "adapter";
  /** Limits that the device must have. */
  readonly requiredLimits?: Readonly<Record<string, number>>;
  /** Features that the device must have. */
  readonly requiredFeatures?: readonly GPUFeatureName[];
  /** Hears of each error that no error scope caught, and of the device's loss. */
  readonly onError?: (error: Error) => void;
}

/** A device that is ready for use. */
export interface OpenedDevice {
  readonly device: GPUDevice;
  readonly adapter: GPUAdapter;
  readonly description: AdapterDescription;
  /** Never resolves; rejects with the first uncaught error or with the device's loss. For `Promise.race`. */
  readonly failed: Promise<never>;
  /** Destroys the device. May be called twice. */
  close(): void;
}

const BACKENDS: Partial<Record<NodeJS.Platform, string>> = { darwin: "Metal", win32: "Direct3D" };

/**
 * Dawn lives as long as the object that `create` returned is reachable, and a device must not outlive it. Closing a device
 * lets go of it. The process ends by itself also when a device was not closed.
 */
const alive = new Set<GPU>();

/**
 * Opens a device on the adapter asked for, or on the best there is.
 * @throws LackError where there is no adapter, or where it lacks a required limit or feature
 */
export async function openDevice(options: DeviceOptions = {}): Promise<OpenedDevice> {
  const found = await findAdapter(chooseAdapter(options.adapter));
  const description = describeAdapter(found);
  const descriptor = requirements(description, found.adapter, options);
  alive.add(found.gpu);
  let device: GPUDevice;
  try {
    device = await found.adapter.requestDevice(descriptor);
  } catch (error) {
    alive.delete(found.gpu);
    const reason = error instanceof Error ? error.message : String(error);
    throw new LackError(
      `${description.name} opens no device: ${reason}`,
      "set UNMOOR_ADAPTER to another adapter: system, swiftshader or lavapipe",
    );
  }
  let closed = false;
  const failed = watch(device, description.name, () => closed, options.onError);
  const close = () => {
    if (closed) return;
    closed = true;
    device.destroy();
    alive.delete(found.gpu);
  };
  return { device, adapter: found.adapter, description, failed, close };
}

/** An adapter in words and numbers. */
export function describeAdapter({ kind, adapter, software }: FoundAdapter): AdapterDescription {
  return {
    kind,
    name: adapterName(adapter.info),
    vendor: adapter.info.vendor,
    backend: BACKENDS[process.platform] ?? "Vulkan",
    software,
    limits: readLimits(adapter.limits),
    features: [...adapter.features].sort(),
  };
}

function readLimits(limits: GPUSupportedLimits): Record<string, number> {
  const found: Record<string, number> = {};
  // The limits are getters of the prototype, which only `in` sees.
  for (const name in limits) {
    const value: unknown = Reflect.get(limits, name);
    if (typeof value === "number") found[name] = value;
  }
  return found;
}

function requirements(
  offered: AdapterDescription,
  adapter: GPUAdapter,
  options: DeviceOptions,
): { requiredLimits: Record<string, number>; requiredFeatures: GPUFeatureName[] } {
  const wanted = Object.entries(options.requiredLimits ?? {});
  const lacks = wanted.flatMap(([name, value]) => {
    const limit = offered.limits[name];
    if (limit === undefined) return [`${name} is no limit that it knows`];
    // An alignment is the better the smaller it is.
    const enough = name.startsWith("min") ? limit <= value : limit >= value;
    return enough ? [] : [`${name} must be ${value}, and is ${limit}`];
  });
  const features = [...(options.requiredFeatures ?? [])];
  for (const name of features)
    if (!adapter.features.has(name)) lacks.push(`the feature ${name} is needed, and missing`);
  if (lacks.length > 0)
    throw new LackError(
      `${offered.name} offers less than is needed:\n${lacks.map((lack) => `  - ${lack}`).join("\n")}`,
      "use another adapter: set UNMOOR_ADAPTER to system, swiftshader or lavapipe",
    );
  return {
    requiredLimits: { ...(options.limits === "adapter" ? offered.limits : {}), ...Object.fromEntries(wanted) },
    requiredFeatures: options.features === "adapter" ? [...adapter.features].filter(isFeatureName) : features,
  };
}

/** Dawn knows features that are not yet in the published types; all that it lists it also accepts. */
function isFeatureName(name: string): name is GPUFeatureName {
  return name !== "";
}

function watch(
  device: GPUDevice,
  name: string,
  isClosed: () => boolean,
  onError: ((error: Error) => void) | undefined,
): Promise<never> {
  const failed = new Promise<never>((_, reject) => {
    const report = (error: Error) => {
      if (isClosed()) return;
      reject(error);
      onError?.(error);
    };
    device.addEventListener("uncapturederror", (event) => {
      // Dawn else prints it on stdout, where --json promises one document and nothing more.
      event.preventDefault();
      report(new Error(`${name} reports an error: ${event.error.message}`));
    });
    void device.lost.then((info) => report(new Error(`${name} was lost (${info.reason}): ${info.message}`)));
  });
  // Who does not race against it hears of it by onError, and must not die of an unhandled rejection.
  failed.catch(() => undefined);
  return failed;
}
