import { isSoftware } from "../../backends/wgsl/adapter/info.ts";
import type { LaunchPlan } from "../../backends/wgsl/support/run.js";

/** A WebGPU device of the visitor's. */
export interface OpenedGpu {
  readonly device: GPUDevice;
  /** As the browser calls it, which often says little. */
  readonly name: string;
  /** Whether it computes on the CPU: figures taken on it are emulated. */
  readonly software: boolean;
  readonly info: Readonly<Record<string, string>>;
}

/** The visitor's GPU; in words why there is none. */
async function findAdapter(): Promise<GPUAdapter | string> {
  if (!isSecureContext)
    return "Browsers give WebGPU to pages from https or localhost only, and this page comes from elsewhere.";
  if (!navigator.gpu)
    return "This browser has no WebGPU. Chrome, Edge and Safari 26 have it, Firefox on Windows and macOS; on Linux, Chromium may need chrome://flags/#enable-unsafe-webgpu.";
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  return (
    adapter ??
    "This browser has WebGPU, and found no adapter: no GPU that it trusts. In Chromium, chrome://gpu says why; on Linux, it may need chrome://flags/#enable-unsafe-webgpu."
  );
}

/** Why nothing can be run here, in words; undefined where it can. */
export async function missing(): Promise<string | undefined> {
  const found = await findAdapter();
  return typeof found === "string" ? found : undefined;
}

/**
 * Opens a device with the adapter's own limits where a plan names them.
 * @throws Error in words for a visitor
 */
export async function openGpu(plan: LaunchPlan): Promise<OpenedGpu> {
  const adapter = await findAdapter();
  if (typeof adapter === "string") throw new Error(adapter);
  const requiredLimits: Record<string, number> = {};
  for (const name of Object.keys(plan.requires.limits)) {
    const limit: unknown = Reflect.get(adapter.limits, name);
    if (typeof limit === "number") requiredLimits[name] = limit;
  }
  const device = await adapter.requestDevice({ requiredLimits });
  const { vendor, architecture, device: model, description } = adapter.info;
  const name = [description, [vendor, model || architecture].filter((word) => word !== "").join(" ")].find(
    (word) => word !== "",
  );
  return {
    device,
    name: name ?? "an adapter without a name",
    software: isSoftware(adapter.info),
    info: { vendor, architecture, device: model, description },
  };
}
