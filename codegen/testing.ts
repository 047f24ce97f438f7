import type { Target } from "./target.ts";

/** Descriptions of imagined devices for tests: one per kind of schedule, with small tiles so that edges are met. */

/** Packed weights, bf16 pairs, register tiles with several row sizes. */
export const packedTarget: Target = {
  name: "simd-c",
  isa: "test-packed",
  spaces: { register: { alignment: 16 }, scratch: { alignment: 16 } },
  vector: { space: "register", width: 16, blockColumns: "row" },
  scratch: "scratch",
  matmul: {
    kind: "registers",
    rows: [8, 4, 3, 2, 1],
    columns: 8,
    dot: { f32: { activations: "f32", depth: 1, cycles: 1 }, bf16: { activations: "bf16", depth: 2, cycles: 1 } },
    packed: true,
    rowPadding: { every: 16, bytes: 4 },
    prefetch: { kind: "next panel", bytesPerCycle: 5.5, tile: 3 },
    panelsPerBlock: 2,
    rowBlocks: { linear: 3, grouped: 1 },
  },
  storages: ["f32", "bf16"],
  limits: {},
};

/** Weights read in place, one panel per block, elementwise work in single tiles. */
export const plainTarget: Target = {
  ...packedTarget,
  name: "wgsl",
  isa: "test-plain",
  vector: { space: "register", width: 4, blockColumns: 4 },
  matmul: {
    kind: "registers",
    rows: [4, 1],
    columns: 4,
    dot: { f32: { activations: "f32", depth: 4 }, bf16: { activations: "f32", depth: 4 } },
    packed: false,
    panelsPerBlock: 1,
    rowBlocks: { linear: 2, grouped: 2 },
  },
};

/** Products of few rows in stripes of k, and of many by workgroups that stage both factors: of four lanes each. */
export const workgroupTarget: Target = {
  ...plainTarget,
  isa: "test-workgroup",
  routing: { lanes: 4 },
  spaces: { ...plainTarget.spaces, workgroup: { capacity: 16_384, alignment: 16 } },
  matmul: {
    kind: "registers",
    rows: [2, 1],
    columns: 4,
    few: { below: 2, rows: [1], stripes: { panels: 1, along: 4 } },
    staged: { from: 3, lanes: [2, 2], rows: [2, 1], depth: 8 },
    dot: {
      f32: { activations: "f32", depth: 4 },
      bf16: { activations: "f32", depth: 4 },
      f16: { activations: "f32", depth: 4 },
      q8_0: { activations: "q8_0", depth: 32, rows: [2, 1] },
      q4_0: { activations: "q8_0", depth: 32, rows: [2, 1] },
      mxfp4: { activations: "q8_0", depth: 32, rows: [2, 1] },
      q4_k: { activations: "q8_0", depth: 32, rows: [2, 1] },
      fp8: { activations: "f32", depth: 128, rows: [2, 1] },
    },
    packed: true,
    lanes: true,
    panelsPerBlock: 1,
    rowBlocks: { linear: 2, grouped: 1 },
  },
  storages: ["f32", "bf16", "f16", "q8_0", "q4_0", "mxfp4", "q4_k", "fp8"],
};

/** A matrix unit that hands its sums to vector cores. */
export const cubeTarget: Target = {
  ...packedTarget,
  name: "ascend",
  isa: "test-cube",
  spaces: {
    ub: { capacity: 2 ** 17, alignment: 32 },
    l1: { capacity: 2 ** 19, alignment: 32 },
    l0a: { capacity: 2 ** 16, alignment: 512 },
    l0b: { capacity: 2 ** 16, alignment: 512 },
    l0c: { capacity: 2 ** 17, alignment: 64 },
    exchange: { alignment: 32 },
  },
  vector: { space: "ub", width: 64, blockColumns: "row" },
  scratch: "ub",
  slowElements: true,
  matmul: {
    kind: "cube",
    cores: 3,
    rows: 16,
    columns: 16,
    depth: 16,
    leastColumns: 16,
    dot: { f32: { activations: "f32" }, bf16: { activations: "bf16" }, int8: { activations: "int8" } },
  },
  storages: ["f32", "bf16", "int8"],
};
