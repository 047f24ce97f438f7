import { weightFormats } from "../ir/core/block-formats.ts";
import type { DType } from "../ir/core/types.ts";

export const targetNames = ["simd-c", "wgsl", "ascend"] as const;
export type TargetName = (typeof targetNames)[number];

/** How weights of products may be stored. In a block format, those of routers stay f32: they decide what is computed. */
export const storages = ["f32", "f16", "bf16", ...weightFormats] as const;
export type Storage = (typeof storages)[number];
export const isStorage = (dtype: string): dtype is Storage => (storages as readonly string[]).includes(dtype);

/** What schedules and the legality pass must know of a target. Data only: backends supply it. */
export interface Target {
  readonly name: TargetName;
  /** Variant: "avx512-bf16", "avx512-vnni", "avx512", "avx2", "scalar"; "wgsl"; "dav-2201". */
  readonly isa: string;
  /** The name of a description that is not the variant's default: "rows 8". It leads to other schedules and the same results. */
  readonly tuning?: string;
  /** Memory spaces for tiles. Capacity in bytes per block, where the target limits it; alignment of a tile's start and rows in bytes. */
  readonly spaces: Readonly<Record<string, { readonly capacity?: number; readonly alignment: number }>>;
  /** Elementwise work: the space of its tiles, elements per tile, and columns of one block ("row": the whole row). */
  readonly vector: { readonly space: string; readonly width: number; readonly blockColumns: number | "row" };
  /** The space of addressable per-block arrays, such as a row of logits or the counts of experts. */
  readonly scratch: string;
  /** Whether single elements of global memory are slow, and transfers to scratch memory come first. */
  readonly slowElements?: boolean;
  readonly matmul: RegisterMatmul | CubeMatmul;
  /**
   * For at most so many tokens as there are lanes, a router and the sort of its slots are one kernel, of one workgroup, where the
   * target takes it; for more, the lanes sort alone. Absent: there are always two kernels, and one block sorts. `bytes`: what all tiles in
   * scratch memory may take together, where they keep their places to the kernel's end.
   */
  readonly routing?: { readonly lanes: number; readonly bytes?: number };
  /** What kernels may use beyond what every device has, by the target's names: "subgroups". Emitters use it where it serves. */
  readonly features?: readonly string[];
  /** Lanes that every subgroup has, at least, where kernels may count on more than a quad. */
  readonly subgroupLanes?: 8;
  /** Storages that kernels can read. */
  readonly storages: readonly Storage[];
  /**
   * Storages that kernels read and do not write, because several blocks would write to one word. Temporaries that would be of
   * such a dtype are f32.
   */
  readonly onlyRead?: readonly Storage[];
  readonly limits: TargetLimits;
}

/** Products in registers: a tile of rows × columns sums, an epilogue, rows gathered in place. */
export interface RegisterMatmul {
  readonly kind: "registers";
  /**
   * Rows of activations in a register tile, largest first. Where the last is not 1, tiles may reach beyond the last row, which
   * they compute and store again.
   */
  readonly rows: readonly number[];
  /**
   * Where matrices have fewer than `below` rows, the experts' on average, a kernel of its own computes them in tiles of these rows:
   * code for large tiles costs time and registers even where no row needs it. It is chosen at run time, by the number of tokens.
   */
  readonly few?: { readonly below: number; readonly rows: readonly number[]; readonly stripes?: Stripes };
  /** How matrices with more rows are computed, where that differs. Packed weights only. */
  readonly staged?: StagedTile;
  /** Output columns of a register tile, over all weights of a fused product; of floats in `lanes`, of each weight unless `together`. */
  readonly columns: number;
  /** Whether the weights of a fused product share the columns of a tile in lanes. */
  readonly together?: true;
  /**
   * Per weight storage: dtype that activations are converted to, and elements of k of a step, for a block format those of a block or
   * of a part with its own scale. `cycles`: in how many one row of a register tile takes a step. `ahead`: how many bytes before they
   * are needed tiles ask for their weights, as `prefetch` says; absent where the CPU itself looks far enough ahead.
   * `signed`: codes of bytes lie in panels as signed bytes, without their offset.
   * `rows` and `packed` where this storage has others; with `rows` there is a kernel for few only where it has stripes.
   */
  readonly dot: Readonly<
    Partial<
      Record<
        Storage,
        {
          readonly activations: DType;
          readonly depth: number;
          readonly cycles?: number;
          readonly ahead?: number;
          readonly signed?: true;
          readonly rows?: readonly number[];
          readonly packed?: boolean;
        }
      >
    >
  >;
  /** Whether weights are packed into panels at load. */
  readonly packed: boolean;
  /**
   * Rows of activations a multiple of `every` bytes apart compete for the same few lines of a cache: buffers of the compiler's own
   * get `bytes` more per row there.
   */
  readonly rowPadding?: { readonly every: number; readonly bytes: number };
  /** What of packed weights is prefetched while they are multiplied; absent means nothing. */
  readonly prefetch?: NextPanel | PanelShares;
  /**
   * Whether blocks that differ in their columns alone run in step, and share rows of activations. Where weights are not packed,
   * their number of columns is one that leaves no rest.
   */
  readonly lanes?: true;
  /** Whether blocks of experts are listed by the device, which then starts those of experts that have rows alone. */
  readonly listed?: true;
  /** Output panels that one block computes; 1 where they are lanes. */
  readonly panelsPerBlock: number;
  /** Blocks that share the rows of one weight matrix; absent means 1. A plain product has all rows in one matrix. */
  readonly rowBlocks?: { readonly linear: number; readonly grouped: number };
}

/** Bytes of a line of a CPU's caches, which one hint fetches. */
export const lineBytes = 64;

/** Columns of a tile of floats in lanes for each of so many weights. */
export const columnsOfEach = ({ columns, together }: RegisterMatmul, weights: number): number =>
  together ? Math.max(1, Math.floor(columns / weights)) : columns;

/**
 * A product of an expert prefetches the next panel while it computes, in tiles of at least `tile` rows, where it has so many rows that
 * arithmetic takes longer than the weights take to arrive at `bytesPerCycle` for one thread. Fewer rows wait for memory all the
 * time: the CPU's own prefetching serves them better. Smaller tiles prefetch what lies `ahead`.
 */
export interface NextPanel {
  readonly kind: "next panel";
  readonly bytesPerCycle: number;
  readonly tile: number;
}

/**
 * For CPUs that get less of memory alone than by asking. An expert's only tile prefetches what lies `ahead`; where it has several, they
 * share the next panel by their rows, so that memory is busy all the time.
 */
export interface PanelShares {
  readonly kind: "shares";
}

/**
 * Lanes that share the inner dimension: of a workgroup's `panels` · `along` lanes, `along` take every so many-th step of k for one panel,
 * and then add their sums up, always in the same order.
 */
export interface Stripes {
  readonly panels: number;
  readonly along: number;
}

/**
 * Where matrices have at least `from` rows on average, a workgroup computes a tile of lanes[0] × lanes[1] register tiles: of each so
 * many `rows`, largest first, and one panel. `depth` elements of k at a time are copied to workgroup memory: of activations and,
 * where lanes lie along rows too, of weights.
 */
export interface StagedTile {
  readonly from: number;
  readonly lanes: readonly [rows: number, columns: number];
  readonly rows: readonly number[];
  readonly depth: number;
}

/**
 * Products on a matrix unit: tiles pass through its memories; results go to global memory. Tiles are made for the capacities of l1,
 * l0a, l0b and l0c. Where there is a space `exchange`, vector cores compute an epilogue of sums that the matrix unit gives them there.
 */
export interface CubeMatmul {
  readonly kind: "cube";
  /** Cores that blocks are dealt to. */
  readonly cores: number;
  /** The most rows and columns of a tile of sums, and the most depth of its factors in L0. */
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Output columns that a block has at least, where there are as many. */
  readonly leastColumns: number;
  /** Per weight storage: dtype that activations are converted to. Codes of bytes are multiplied as signed numbers. */
  readonly dot: Readonly<Partial<Record<Storage, { readonly activations: DType }>>>;
}

/** Whether the kernel of a product can go on with its sums: in registers, or on vector cores that get them from a matrix unit. */
export const hasEpilogues = ({ matmul, spaces }: Target): boolean =>
  matmul.kind === "registers" || spaces.exchange !== undefined;

/** Limits that the legality pass checks. Absent means unlimited. */
export interface TargetLimits {
  readonly buffersPerKernel?: number;
  /** Bytes of one buffer. */
  readonly bufferBytes?: number;
  /** Whether weights that take more are cut into several buffers, and kernels launched part by part. */
  readonly cutsWeights?: boolean;
  /** Blocks per grid. */
  readonly blocks?: number;
  /** Lanes that share memory. */
  readonly workgroupLanes?: number;
}
