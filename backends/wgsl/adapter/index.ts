// WebGPU adapters for Node: finding one, making one, opening a device on it.
export {
  type AdapterDescription,
  type DeviceOptions,
  describeAdapter,
  type OpenedDevice,
  openDevice,
} from "./device.ts";
export { type AdapterChoice, chooseAdapter, findAdapter } from "./find.ts";
export type { AdapterKind } from "./info.ts";
export { type AdapterReport, ensureSoftwareAdapter, listAdapters, probeWebGpu } from "./probe.ts";
