/// <reference types="@webgpu/types" />

/** Whether an adapter computes on the CPU. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  const words = `${info.architecture} ${info.device} ${info.description}`;
  return info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(words);
}

/** What a driver calls its adapter, which in a browser often says little. */
export const adapterName = ({ description, device, architecture }: GPUAdapterInfo): string =>
  [description, device, architecture].find((word) => word !== "") ?? "an adapter without a name";
