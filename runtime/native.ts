/**
 * The door to native code: memory outside the V8 heap, shared libraries whose kernels run off the main thread, and what
 * this machine's processor can do. All but the processor's features need the addon that `npm run setup` builds.
 */
export { cpuFeatures, cpuModel, cpuVendor } from "./addon/cpu.ts";
export { NativeLibrary, openLibrary, type RunBuffer, type RunOptions, type RunResult } from "./addon/library.ts";
export { NativeMemory } from "./addon/memory.ts";
