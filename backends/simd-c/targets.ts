import type { VectorIsa } from "../../codegen/emit/c/index.ts";
import { storages as all, type RegisterMatmul, type Target } from "../../codegen/target.ts";
import { type BlockFormatName, formatOf, hasWholeRows, isBlockFormat } from "../../ir/core/block-formats.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import { avx2 } from "./isa/avx2.ts";
import { avx512 } from "./isa/avx512.ts";
import { avx512Bf16 } from "./isa/avx512-bf16.ts";
import { avx512Vnni } from "./isa/avx512-vnni.ts";
import { neon } from "./isa/neon.ts";
import { neonBf16 } from "./isa/neon-bf16.ts";
import { neonDotprod } from "./isa/neon-dotprod.ts";
import { scalar } from "./isa/scalar.ts";
import { wasmSimd128 } from "./isa/wasm-simd128.ts";

/** Sums are scaled block by block here: no storage of whole rows. */
const storages = all.filter((storage) => !(isBlockFormat(storage) && hasWholeRows(storage)));

interface Ahead {
  readonly f32?: number;
  readonly others: number;
}

/** One variant: its vectors, and the sizes that schedules take. */
interface Variant {
  readonly isa: VectorIsa;
  /** Rows of a register tile: sums, one vector of weights per column vector and one of activations fit the registers. */
  readonly rows: readonly number[];
  readonly bf16: RegisterMatmul["dot"]["bf16"];
  /** Rows of a tile of a block format: sums of both kinds, whole and scaled, and as many vectors beside them. */
  readonly blockRows: readonly number[];
  /**
   * Bytes ahead of which tiles ask for weights, of f32 and of others: where these take many instructions for each line, the lines
   * that the CPU's own window of instructions reaches do not hide the memory's latency. Absent means never.
   */
  readonly ahead?: Ahead;
  /** Absent means the next panel. */
  readonly prefetch?: RegisterMatmul["prefetch"];
  /** What `unmoor tune` tries instead: tiles with fewer rows where those leave registers for what is beside the sums, and with more. */
  readonly tried: { readonly rows: readonly number[]; readonly blockRows: readonly (readonly number[])[] };
}

/** Tiles of all sizes, so that rows go into equal ones. */
const upTo = (most: number): readonly number[] => Array.from({ length: most }, (_, i) => most - i);

const triedLarge = { rows: upTo(8), blockRows: [upTo(4), upTo(8)] };
const triedSmall = { rows: upTo(4), blockRows: [upTo(2), upTo(4), upTo(6)] };

const widened = { activations: "f32", depth: 1 } as const;
/** Two of bf16 in each lane, which a shift and a mask take apart: fewer instructions than widening one by one. */
const widenedPairs = { activations: "f32", depth: 2 } as const;

/** A core of these CPUs gets a quarter more of memory where it asks itself for what lies 2 to 8 KiB ahead (docs/cpu-schedules.md). */
const onIntel = {
  bf16: widenedPairs,
  ahead: { f32: 4096, others: 4096 },
  prefetch: { kind: "shares" },
} as const;

/** Best first; plain C last. */
const variants: readonly Variant[] = [
  // 12 × 2 sums + 2 + 1 of 32 registers.
  {
    isa: avx512Bf16,
    rows: upTo(12),
    bf16: { activations: "bf16", depth: 2 },
    blockRows: upTo(7),
    tried: triedLarge,
  },
  // 13 × 2 sums + 2 or 4 + 1.
  { isa: avx512Vnni, rows: upTo(13), blockRows: upTo(7), ...onIntel, tried: triedLarge },
  { isa: avx512, rows: upTo(13), blockRows: upTo(6), ...onIntel, tried: triedLarge },
  // 6 × 2 + 2 + 1 of 16 registers.
  {
    isa: avx2,
    rows: upTo(6),
    bf16: widened,
    blockRows: upTo(3),
    ahead: { others: 2048 },
    tried: triedSmall,
  },
  // 12 × 2 sums + 2 + 1 of 32 registers, as AVX-512.
  {
    isa: neonBf16,
    rows: upTo(12),
    bf16: { activations: "bf16", depth: 2 },
    blockRows: upTo(7),
    tried: triedLarge,
  },
  { isa: neonDotprod, rows: upTo(12), bf16: widened, blockRows: upTo(7), tried: triedLarge },
  { isa: neon, rows: upTo(12), bf16: widened, blockRows: upTo(6), tried: triedLarge },
  // 4 × 2 sums + 2 + 1 of the 16 registers that engines have on x86-64.
  { isa: wasmSimd128, rows: upTo(4), bf16: widened, blockRows: upTo(3), tried: triedSmall },
  {
    isa: scalar,
    rows: [4, 2, 1],
    bf16: widened,
    blockRows: [2, 1],
    tried: { rows: [2, 1], blockRows: [[1], [4, 2, 1]] },
  },
];

/** Column vectors of a register tile. A fused product of two weights gives each half of them. */
const columnVectors = 2;

/** What a core of a Zen 4 machine gets of memory: 5 to 7 bytes per cycle alone, 3 to 4 beside another. */
const nextPanel = { kind: "next panel", bytesPerCycle: 5, tile: 3 } as const;

/** Output panels of one block: enough work to outweigh taking a block, few enough to share a single row among all threads. */
const panelsPerBlock = 2;

/** A router has few columns: its rows are shared out too. Experts have enough columns. */
const rowBlocks = { linear: 16, grouped: 1 } as const;

/** An L1 cache of 32 KiB and 8 ways takes rows 4 KiB apart into one set of 8 lines; a tile has more rows. */
const rowPadding = { every: 1024, bytes: 64 } as const;

export const isaNames: readonly string[] = variants.map((v) => v.isa.name);

/** One lane, for indices and remainders in every variant. */
export { scalar };

/** The vectors of a variant. Throws IrError for an unknown name. */
export const vectorIsa = (name: string): VectorIsa => variant(name).isa;

function variant(name: string): Variant {
  const found = variants.find((v) => v.isa.name === name);
  if (!found) throw new IrError(`simd-c has no ISA "${name}"`, `Use one of: ${isaNames.join(", ")}.`);
  return found;
}

/** The default description of a variant for schedules and legality. Throws IrError for an unknown name. */
export const simdTarget = (name: string): Target => describe(variant(name), {});

/**
 * Descriptions that differ from the default in one size or two: which is fastest depends on the CPU's caches, its memory and the
 * layer. All compute the same, bit by bit. Throws IrError for an unknown name.
 */
export function simdTunings(name: string): readonly Target[] {
  const own = variant(name);
  const { rows, blockRows } = own.tried;
  const panels = [1, 4, 8].map((panelsPerBlock) => ({ [`panels ${panelsPerBlock}`]: { panelsPerBlock } }));
  const prefetches: readonly Readonly<Record<string, Partial<Sizes>>>[] = [
    { "prefetch never": { prefetch: undefined } },
    own.prefetch?.kind === "shares"
      ? { "prefetch next panel": { prefetch: nextPanel } }
      : { "prefetch shares": { prefetch: { kind: "shares" } } },
    // Memory that is slower than the default has it asks for more rows before it prefetches, faster memory for fewer.
    { "prefetch late": { prefetch: { ...nextPanel, bytesPerCycle: nextPanel.bytesPerCycle / 2 } } },
    { "prefetch early": { prefetch: { ...nextPanel, bytesPerCycle: nextPanel.bytesPerCycle * 4 } } },
  ];
  const both = panels.flatMap((p) => prefetches.map((q) => ({ ...p, ...q })));
  const others = [
    { [`rows ${rows[0]}`]: { rows } },
    ...blockRows.map((sizes) => ({ [`rows of blocks ${sizes[0]}`]: { blockRows: sizes } })),
    ...[undefined, 1024, 2048, 4096]
      .filter((bytes) => bytes !== own.ahead?.f32 || bytes !== own.ahead?.others)
      .map((bytes) => ({
        [`ahead ${bytes ?? "never"}`]: { ahead: bytes === undefined ? undefined : { f32: bytes, others: bytes } },
      })),
    { "row blocks 64": { rowBlocks: { ...rowBlocks, linear: 64 } } },
    { "row blocks 2": { rowBlocks: { ...rowBlocks, grouped: 2 } } },
  ];
  return [...panels, ...prefetches, ...others, ...both].map((changes: Readonly<Record<string, Partial<Sizes>>>) => ({
    ...describe(own, Object.assign({}, ...Object.values(changes)) as Partial<Sizes>),
    tuning: Object.keys(changes).join(", "),
  }));
}

/** What a description leaves open. */
interface Sizes {
  readonly rows: readonly number[];
  readonly blockRows: readonly number[];
  readonly panelsPerBlock: number;
  readonly rowBlocks: NonNullable<RegisterMatmul["rowBlocks"]>;
  readonly prefetch: RegisterMatmul["prefetch"];
  readonly ahead: Ahead | undefined;
}

function describe({ isa, bf16, ...usual }: Variant, changes: Partial<Sizes>): Target {
  const sizes: Sizes = {
    rows: usual.rows,
    blockRows: usual.blockRows,
    panelsPerBlock,
    rowBlocks,
    prefetch: usual.prefetch ?? nextPanel,
    ahead: usual.ahead,
    ...changes,
  };
  const costs = new Map(isa.instructions.map(({ op, cost }) => [op, cost]));
  const aheadOf = (kind: keyof Ahead) => {
    const bytes = sizes.ahead?.[kind];
    return bytes === undefined ? {} : { ahead: bytes };
  };
  const ahead = aheadOf("others");
  /** Cycles of a row of a tile for so many products of vectors with one instruction of those that the table has. */
  const cyclesOf = (products: number, ...ops: readonly string[]): number =>
    products * columnVectors * (ops.map((op) => costs.get(op)).find((cost) => cost !== undefined) ?? 1);
  const block = (name: BlockFormatName) => {
    const { codes, step } = formatOf(name, 0);
    const activations = codes === "f8" ? "f32" : step === 16 ? "q8_16" : "q8_0";
    const halves = codes === "u4" ? ["dot.halves"] : [];
    const cycles =
      codes === "f8" ? cyclesOf(step, "fma.f32") : cyclesOf(step / 4, ...halves, "dot.signed", "dot.quads");
    return {
      activations,
      depth: step,
      cycles,
      rows: sizes.blockRows,
      ...ahead,
      ...(codes === "u8" && costs.has("dot.signed") ? { signed: true as const } : {}),
    } as const;
  };
  const float = { ...widened, cycles: cyclesOf(1, "fma.f32") };
  const cyclesOfBf16 = ({ activations, depth }: NonNullable<Variant["bf16"]>): number =>
    activations === "bf16" ? cyclesOf(1, "dot.bf16") : cyclesOf(depth, "fma.f32");
  const { prefetch: own, ...given } = sizes;
  return {
    name: "simd-c",
    isa: isa.name,
    spaces: { register: { alignment: 4 * isa.lanes }, scratch: { alignment: 64 } },
    vector: { space: "register", width: 4 * isa.lanes, blockColumns: "row" },
    scratch: "scratch",
    matmul: {
      kind: "registers",
      rows: given.rows,
      columns: columnVectors * isa.lanes,
      dot: {
        f32: { ...float, ...aheadOf("f32") },
        f16: { ...float, ...ahead },
        ...(bf16 === undefined ? {} : { bf16: { ...bf16, cycles: cyclesOfBf16(bf16), ...ahead } }),
        ...Object.fromEntries(storages.flatMap((name) => (isBlockFormat(name) ? [[name, block(name)]] : []))),
      },
      packed: true,
      rowPadding,
      ...(own === undefined ? {} : { prefetch: own }),
      panelsPerBlock: given.panelsPerBlock,
      rowBlocks: given.rowBlocks,
    },
    storages,
    limits: {},
  };
}
