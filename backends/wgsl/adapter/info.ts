/// <reference types="@webgpu/types" />

/** Where an adapter comes from: the system's own driver, or one of two software drivers; in the order in which they are tried. */
export const ADAPTER_KINDS = ["system", "swiftshader", "lavapipe"] as const;
export type AdapterKind = (typeof ADAPTER_KINDS)[number];

/** The variable that names the adapter to use, and no other. */
export const ADAPTER_VARIABLE = "UNMOOR_ADAPTER";

/** Whether an adapter computes on the CPU. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  const words = `${info.architecture} ${info.device} ${info.description}`;
  return info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(words);
}

/** What a driver calls its adapter, which in a browser often says little. */
export const adapterName = ({ description, device, architecture }: GPUAdapterInfo): string =>
  [description, device, architecture].find((word) => word !== "") ?? "an adapter without a name";
