import type { VectorIsa } from "../../codegen/emit/c/index.ts";
import { type RegisterMatmul, storages, type Target } from "../../codegen/target.ts";
import { type BlockFormatName, blockFormats, isBlockFormat } from "../../ir/core/block-formats.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import { avx2 } from "./isa/avx2.ts";
import { avx512 } from "./isa/avx512.ts";
import { avx512Bf16 } from "./isa/avx512-bf16.ts";
import { neon } from "./isa/neon.ts";
import { neonBf16 } from "./isa/neon-bf16.ts";
import { scalar } from "./isa/scalar.ts";
import { wasmSimd128 } from "./isa/wasm-simd128.ts";

/** One variant: its vectors, and the sizes that schedules take. */
interface Variant {
  readonly isa: VectorIsa;
  /** Rows of a register tile: sums, one vector of weights per column vector and one of activations fit the registers. */
  readonly rows: readonly number[];
  readonly bf16: RegisterMatmul["dot"]["bf16"];
  /** Rows of a tile of a block format: sums of both kinds, whole and scaled, and as many vectors beside them. */
  readonly blockRows: readonly number[];
}

const widened = { activations: "f32", depth: 1 } as const;

/** Best first; plain C last. */
const variants: readonly Variant[] = [
  // 12 × 2 sums + 2 + 1 of 32 registers.
  {
    isa: avx512Bf16,
    rows: [12, 8, 6, 4, 3, 2, 1],
    bf16: { activations: "bf16", depth: 2 },
    blockRows: [7, 6, 5, 4, 3, 2, 1],
  },
  { isa: avx512, rows: [12, 8, 6, 4, 3, 2, 1], bf16: widened, blockRows: [6, 5, 4, 3, 2, 1] },
  // 6 × 2 + 2 + 1 of 16 registers.
  { isa: avx2, rows: [6, 5, 4, 3, 2, 1], bf16: widened, blockRows: [3, 2, 1] },
  // 12 × 2 sums + 2 + 1 of 32 registers, as AVX-512.
  {
    isa: neonBf16,
    rows: [12, 8, 6, 4, 3, 2, 1],
    bf16: { activations: "bf16", depth: 2 },
    blockRows: [7, 6, 5, 4, 3, 2, 1],
  },
  { isa: neon, rows: [12, 8, 6, 4, 3, 2, 1], bf16: widened, blockRows: [6, 5, 4, 3, 2, 1] },
  // 4 × 2 sums + 2 + 1 of the 16 registers that engines have on x86-64.
  { isa: wasmSimd128, rows: [4, 3, 2, 1], bf16: widened, blockRows: [3, 2, 1] },
  { isa: scalar, rows: [4, 2, 1], bf16: widened, blockRows: [2, 1] },
];

/** Column vectors of a register tile. A fused product of two weights gives each half of them. */
const columnVectors = 2;

/** Fewer than some 12 rows wait for memory, more for the arithmetic units. */
const prefetchRows = { matrix: 12, tile: 3 } as const;

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

/** The description of a variant for schedules and legality. Throws IrError for an unknown name. */
export function simdTarget(name: string): Target {
  const { isa, rows, bf16, blockRows } = variant(name);
  const block = (name: BlockFormatName) => {
    const { codes, step } = blockFormats[name];
    const activations = codes === "f8" ? "f32" : step === 16 ? "q8_16" : "q8_0";
    return { activations, depth: step, rows: blockRows } as const;
  };
  return {
    name: "simd-c",
    isa: isa.name,
    spaces: { register: { alignment: 4 * isa.lanes }, scratch: { alignment: 64 } },
    vector: { space: "register", width: 4 * isa.lanes, blockColumns: "row" },
    scratch: "scratch",
    matmul: {
      kind: "registers",
      rows,
      columns: columnVectors * isa.lanes,
      dot: {
        f32: widened,
        f16: widened,
        ...(bf16 === undefined ? {} : { bf16 }),
        ...Object.fromEntries(storages.flatMap((name) => (isBlockFormat(name) ? [[name, block(name)]] : []))),
      },
      packed: true,
      rowPadding,
      prefetchRows,
      panelsPerBlock,
      rowBlocks,
    },
    storages,
    limits: {},
  };
}
