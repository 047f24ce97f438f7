import { isSoftware } from "../../backends/wgsl/adapter/software.ts";
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

/** Why there is no WebGPU here, in words; undefined where there may be. */
export function missing(): string | undefined {
  if (navigator.gpu) return undefined;
  return isSecureContext
    ? "This browser has no WebGPU. Chrome, Edge and Safari 26 have it, Firefox on Windows and macOS; on Linux, Chromium may need chrome://flags/#enable-unsafe-webgpu."
    : "Browsers give WebGPU to pages from https or localhost only, and this page comes from elsewhere.";
}

/**
 * Opens a device with the adapter's own limits where a plan names them.
 * @throws Error in words for a visitor
 */
export async function openGpu(plan: LaunchPlan): Promise<OpenedGpu> {
  const lack = missing();
  if (lack) throw new Error(lack);
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter)
    throw new Error(
      "This browser has WebGPU, and found no adapter: no GPU that it trusts. In Chromium, chrome://gpu says why.",
    );
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
