/** The safetensors format: reading files and sharded checkpoints, writing them, and seeded random weights. */
export { openCheckpoint } from "./checkpoint.ts";
export { tensorBytes } from "./dtype.ts";
export type { TensorInfo } from "./header.ts";
export { openSafetensors, type SafetensorsFile } from "./reader.ts";
export { fillSeeded, type SeededDtype } from "./seeded.ts";
export { type SeededTensor, writeSeededCheckpoint } from "./seeded-checkpoint.ts";
export { type TensorData, writeSafetensors } from "./writer.ts";
