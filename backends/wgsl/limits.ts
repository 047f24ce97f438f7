import type { Target } from "../../codegen/target.ts";
import { DiagnosticError } from "../../ir/core/diagnostic.ts";
import { noSpan } from "../../ir/core/span.ts";

/** Limits of a device that a layer is laid out for, by WebGPU's names (https://www.w3.org/TR/webgpu/#limits). */
export type WgslLimits = {
  readonly maxStorageBuffersPerShaderStage: number;
  /** Bytes of one storage binding, and of one buffer. */
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  /** Bytes of workgroup memory. */
  readonly maxComputeWorkgroupStorageSize: number;
};

/** What every WebGPU device has, and what a layer is compiled for unless others are given. */
export const defaultLimits: WgslLimits = {
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxBufferSize: 256 * 2 ** 20,
  maxComputeWorkgroupsPerDimension: 65_535,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 16_384,
};

/**
 * Those of a small phone: the invocations of WebGPU's compatibility mode, which older mobile GPUs have
 * (https://github.com/gpuweb/gpuweb/blob/main/proposals/compatibility-mode.md), and half of the default's piece of memory.
 */
export const phoneLimits: WgslLimits = {
  ...defaultLimits,
  maxStorageBufferBindingSize: 64 * 2 ** 20,
  maxBufferSize: 64 * 2 ** 20,
  maxComputeInvocationsPerWorkgroup: 128,
};

/** Limits that have a name on the command line. */
export const namedLimits: Readonly<Record<string, WgslLimits>> = { default: defaultLimits, phone: phoneLimits };

/** The description of a target for devices with these limits. */
export const limitTarget = (target: Target, limits: WgslLimits): Target => ({
  ...target,
  spaces: Object.fromEntries(
    Object.entries(target.spaces).map(([name, space]) => [
      name,
      name === "workgroup" ? { ...space, capacity: limits.maxComputeWorkgroupStorageSize } : space,
    ]),
  ),
  limits: {
    ...target.limits,
    buffersPerKernel: limits.maxStorageBuffersPerShaderStage,
    workgroupLanes: limits.maxComputeInvocationsPerWorkgroup,
    bufferBytes: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
    // Workgroups are numbered along two dimensions of a dispatch, blocks by an i32.
    blocks: Math.min(2 ** 31 - 1, limits.maxComputeWorkgroupsPerDimension ** 2),
  },
});

/**
 * Limits from a device's: those that are asked for and known replace the defaults.
 * @param where what they are read from, for messages
 * @param workgroupSize invocations per workgroup of the kernels
 * @throws DiagnosticError for anything that is no limit
 */
export function limitsOf(given: unknown, where: string, workgroupSize: number): WgslLimits {
  const fail = (message: string, expected: string, found: string): never => {
    const help = `Write the limits that differ from WebGPU's defaults as JSON, such as {"maxStorageBufferBindingSize": ${2 ** 30}}.`;
    throw new DiagnosticError([{ code: "U409", span: noSpan, message, expected, found, help }]);
  };
  if (typeof given !== "object" || given === null || Array.isArray(given))
    return fail(`${where} holds no limits`, "an object", JSON.stringify(given));
  const limits: Record<keyof WgslLimits, number> = { ...defaultLimits };
  const isLimit = (name: string): name is keyof WgslLimits => Object.hasOwn(defaultLimits, name);
  for (const [name, value] of Object.entries(given)) {
    // A device tells many limits, of which a layer meets some.
    if (!isLimit(name)) {
      if (/^m(ax|in)[A-Z]/.test(name)) continue;
      return fail(`${where} has the unknown limit ${name}`, Object.keys(defaultLimits).join(", "), name);
    }
    if (!(Number.isSafeInteger(value) && value >= 1))
      return fail(`the limit ${name} in ${where} is a whole number`, "at least 1", JSON.stringify(value));
    limits[name] = value;
  }
  if (limits.maxComputeInvocationsPerWorkgroup < workgroupSize)
    return fail(
      `kernels run ${workgroupSize} invocations in a workgroup, more than ${where} allows`,
      `a maxComputeInvocationsPerWorkgroup of at least ${workgroupSize}`,
      String(limits.maxComputeInvocationsPerWorkgroup),
    );
  return limits;
}
