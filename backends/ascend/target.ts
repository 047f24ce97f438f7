import type { AscendIsa } from "../../codegen/emit/ascend/index.ts";
import type { Target } from "../../codegen/target.ts";
import { instructions } from "./instructions.ts";

/**
 * NPU architecture 2201. Sizes: hardware pages of the Ascend C guide (asc-devkit, architecture 2201): UB 192 KiB per vector core, of
 * which Ascend C keeps 256 bytes and the compiler 8 KiB; L1 512 KiB per cube core less 256 bytes; L0A and L0B 64 KiB; L0C
 * 128 KiB. Alignment: UB and L1 32 bytes, L0A and L0B one fractal of 512 bytes, L0C 64 bytes.
 */
const spaces = {
  ub: { capacity: 192 * 1024 - 256 - 8 * 1024, alignment: 32 },
  l1: { capacity: 512 * 1024 - 256, alignment: 32 },
  l0a: { capacity: 64 * 1024, alignment: 512 },
  l0b: { capacity: 64 * 1024, alignment: 512 },
  l0c: { capacity: 128 * 1024, alignment: 64 },
  // Global memory between the cube core and the vector cores of a group.
  exchange: { alignment: 512 },
} as const;

/** Figures of the SoCs of the architecture: platform configuration of cann/runtime (src/platform/platform_config). */
export const socs = {
  "910B1": { cube: 24, vector: 48, cubeMhz: 1850, l2MiB: 192, hbmGiB: 64 },
  "910B2": { cube: 24, vector: 48, cubeMhz: 1800, l2MiB: 192, hbmGiB: 64 },
  "910B3": { cube: 20, vector: 40, cubeMhz: 1800, l2MiB: 192, hbmGiB: 64 },
  "910B4": { cube: 20, vector: 40, cubeMhz: 1500, l2MiB: 96, hbmGiB: 32 },
  /** One of the two dies of a 910C package; the driver says 910_9391. */
  "910C": { cube: 24, vector: 48, cubeMhz: 1850, l2MiB: 192, hbmGiB: 64 },
} as const;

export type SocName = keyof typeof socs;

/** Ascend 910B and 910C: vector work in UB, products on the cube unit, results of which go to global memory, cut for a SoC. */
export const ascendTargetOf = (soc: SocName): Target => ({
  name: "ascend",
  isa: "dav-2201",
  spaces,
  // 2048 floats are 8 KiB: half of the 16 KiB from which on transfers have full bandwidth, so that a map of several
  // inputs still fits UB twice.
  vector: { space: "ub", width: 2048, blockColumns: "row" },
  scratch: "ub",
  slowElements: true,
  matmul: {
    kind: "cube",
    cores: socs[soc].cube,
    // 256 × 128 sums fill L0C. Tall rather than wide: L0B takes twice as long to fill as L0A.
    rows: 256,
    columns: 128,
    depth: 128,
    leastColumns: 48,
    dot: {
      f32: { activations: "f32" },
      f16: { activations: "f16" },
      bf16: { activations: "bf16" },
      int8: { activations: "int8" },
    },
  },
  storages: ["f32", "f16", "bf16", "int8"],
  limits: {},
});

/** The target that is meant where no SoC is named. */
export const ascendTarget = ascendTargetOf("910B3");

/** Names that aclrtGetSocName gives, with cube and vector cores: platform configuration of cann/runtime. */
const driverNames: readonly (readonly [name: string, cube: number, vector: number])[] = [
  ["Ascend910B1", 24, 48],
  ["Ascend910B2", 24, 48],
  ["Ascend910B2C", 24, 48],
  ["Ascend910B3", 20, 40],
  ["Ascend910B4", 20, 40],
  ["Ascend910B4-1", 20, 40],
  ["Ascend910_9391", 24, 48],
  ["Ascend910_9392", 24, 48],
  ["Ascend910_9381", 24, 48],
  ["Ascend910_9382", 24, 48],
  ["Ascend910_9372", 20, 40],
  ["Ascend910_9362", 20, 40],
  ["Ascend910_9363", 20, 40],
];

/** What the emitter must know. */
export const ascendIsa = (soc: SocName = "910B3"): AscendIsa => ({
  name: "dav-2201",
  instructions,
  spaces,
  soc: soc === "910C" ? { emulated: "910C_DIE", name: "Ascend910_9391" } : { emulated: soc, name: `Ascend${soc}` },
  socs: driverNames.map(([name, cube, vector]) => ({ name, cube, vector })),
});
