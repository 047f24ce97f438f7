import { IrError } from "../../../ir/core/diagnostic.ts";
import type { DType } from "../../../ir/core/types.ts";
import { type SocName, socs } from "../target.ts";

/**
 * What the cost model knows of a chip. Sources, by the short names that comments below use:
 * - rules: asc-devkit, "architecture 2201", theoretical performance of Cube and of Vector instructions
 * - ini: cann/runtime, platform configuration of each SoC (rates that the vendor's own tiling uses)
 * - pages: asc-devkit, programming guide, analysis of performance data and cutting for the L2 cache
 * - case: asc-devkit, tuning case of Matmul on 20 cores (910B3): GM → L1 at 2491 GB/s with transfers of 16 and 32 KiB, at
 *   3406 GB/s with four times as much in each
 * - gemm: pto-isa, measured matrix products on 24 cores (A3): 6144³ in 1.506 ms, cube unit busy 86.7 %, L1 → L0 68.1 %,
 *   GM → L1 95.2 %, with tiles of 128 × 256 × 64
 * - fit: pto-isa, cost model, curves bw(B) = peak · B / (K + B) fitted on a 910B3
 */
export interface Chip {
  readonly soc: SocName;
  readonly cores: { readonly cube: number; readonly vector: number };
  readonly hertz: number;
  /** Bytes per second of high-bandwidth memory, all cores together. */
  readonly hbm: number;
  /** Bytes of high-bandwidth memory. */
  readonly hbmBytes: number;
  /** Bytes per second of the L2 cache, reading and writing together; and its size. */
  readonly l2: number;
  readonly l2Bytes: number;
}

/** HBM of the 910B1 to B3: 1.6 TB/s (pages). The 910C has 3.2 TB/s on two dies (CloudMatrix384, arXiv 2506.12708). */
const hbmRates: Readonly<Record<SocName, number>> = {
  "910B1": 1.6e12,
  "910B2": 1.6e12,
  "910B3": 1.6e12,
  // No page names it. Half the memory of the others: taken as half their rate, which is the 0.8 TB/s of an example in pages.
  "910B4": 0.8e12,
  "910C": 1.6e12,
};

/** L2: 7 TB/s, reads and writes mixed (pages; given for 192 MiB and not by SoC). */
const l2Rate = 7e12;

export const socNames = Object.keys(socs) as readonly SocName[];

/** The chip of a name. Throws IrError that lists the names. */
export function chipOf(name: string): Chip {
  const soc = socNames.find((s) => s === name);
  if (soc === undefined)
    throw new IrError(`there is no SoC "${name}" in the cost model`, `Use one of ${socNames.join(", ")}.`);
  const s = socs[soc];
  return {
    soc,
    cores: { cube: s.cube, vector: s.vector },
    hertz: s.cubeMhz * 1e6,
    hbm: hbmRates[soc],
    hbmBytes: s.hbmGiB * 2 ** 30,
    l2: l2Rate,
    l2Bytes: s.l2MiB * 2 ** 20,
  };
}

/** bw(B) = peak · B / (K + B), which is a start of K / peak and then peak. Peak in bytes per second, K in bytes. */
export interface Curve {
  readonly peak: number;
  readonly half: number;
}

const GiB = 2 ** 30;

/**
 * Transfers of one core with global memory.
 * GM → L1: 110 bytes per cycle from L2 (ini) at 1.8 GHz, and the K with which transfers of 24 KiB and of 96 KiB reach the two
 * rates of the case: it gives 127 and 174 GB/s per core, the case 125 and 170. The fit's own curve for this way (28.61 GiB/s)
 * is a fifth of both; it was fitted to small tiles of attention, where waiting counts as transfer.
 * L0C → GM: 86 bytes per cycle into L2 (ini), with the fit's K. Tiles of 128 KiB then leave at 127 GB/s per core; gemm's leave at
 * 129 to 135 GB/s for its four sizes (at 1.85 GHz). The fit's own peak, 41.25 GiB/s, is a quarter of that.
 */
export const curves = {
  gmToUb: { peak: 247.16 * GiB, half: 30643 },
  gmToL1: { peak: 110 * 1.8e9, half: 13.5 * 1024 },
  ubToGm: { peak: 28.19 * GiB, half: 1755 },
  l0cToGm: { peak: 86 * 1.8e9, half: 29104 },
} as const satisfies Record<string, Curve>;

/** No core takes more than that from L2, whatever the curve: bytes per cycle (ini). */
export const l2BytesPerCycle = { read: 110, write: 86 } as const;

/** Seconds of a transfer that nothing else slows down. */
export function transferSeconds(curve: Curve, bytes: number): number {
  return bytes === 0 ? 0 : (curve.half + bytes) / curve.peak;
}

/** L1 → L0: bytes per cycle (rules). */
export const loadRate = { l0a: 256, l0b: 128 } as const;

/**
 * Cycles that an L1 → L0 instruction takes beyond its bytes. gemm: L1 → L0 is busy 1.026 ms for 4608 pairs of 64 + 256 cycles
 * per core, which leaves 45 cycles for each instruction.
 */
export const loadStart = 45;

/** Cycles that a product takes beyond its fractals. gemm: busy 1.306 ms for 4608 products of 512 cycles leaves 12. */
export const mmadStart = 12;

/** Depth of one step of the cube unit: it multiplies 16 × 16 × depth per cycle (rules; float is a quarter of half). */
export const cubeDepth = (dtype: DType): number => (dtype === "f32" ? 4 : dtype === "i8" ? 32 : 16);

/**
 * Cycles that a vector instruction takes beyond its elements. fit: 42 for additions and 43 for products of more than one
 * repeat; a single repeat takes 25. Elements per cycle are in the table of instructions (rules).
 */
export const vectorStart = { one: 25, several: 42 } as const;

/** Instructions that a pipe holds before the scalar unit has to wait (pages, for MTE1 and M; taken for all). */
export const queueDepth = 32;

/**
 * What no source gives, in cycles of the scalar unit. Assumed; chosen high rather than low.
 * issue: to hand an instruction to its pipe. operation: of an expression. flag: to set or wait for an event.
 * local: to read or write an element of UB. global: of global memory that the data cache holds, and line: a line of 64 bytes
 * that it does not.
 */
export const assumed = { issue: 8, operation: 1, flag: 8, local: 8, global: 16, line: 400, cacheLine: 64 } as const;

/** Seconds from the launch of a kernel on all cores to its first instruction (pages: 20 to 21 µs for an empty kernel). */
export const launchSeconds = 20.5e-6;
