/** The safetensors format: reading files and sharded checkpoints, writing them, and seeded random weights. */
export { openCheckpoint } from "./checkpoint.ts";
export { DTYPE_BITS, type Dtype, tensorBytes } from "./dtype.ts";
export { SafetensorsError } from "./error.ts";
export type { TensorInfo } from "./header.ts";
export { openSafetensors, type SafetensorsFile } from "./reader.ts";
export {
  fillSeeded,
  type SeededDtype,
  type SeededOptions,
  type SeededTensor,
  writeSeededCheckpoint,
} from "./seeded.ts";
export { SafetensorsWriter, type TensorData, type TensorSpec, type WriteOptions, writeSafetensors } from "./writer.ts";
