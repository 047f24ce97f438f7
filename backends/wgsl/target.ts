import type { WgslFeature } from "../../codegen/emit/wgsl/language.ts";
import type { RegisterMatmul, StagedTile, Target } from "../../codegen/target.ts";
import { defaultLimits, limitTarget } from "./limits.ts";

/** Register tiles, and what their columns and weights are laid out as. */
interface TileSize {
  readonly rows: readonly number[];
  readonly columns: number;
  /** Whether a workgroup is neighbouring columns of the same rows. */
  readonly lanes?: true;
  /** Whether the weights of a fused product share the columns. */
  readonly together?: true;
  /** Whether weights are read in the order of the panels that a tile takes. */
  readonly packed?: true;
  readonly few?: RegisterMatmul["few"];
  readonly staged?: StagedTile;
  /** Whether the device lists the experts that have rows, and starts workgroups for those alone. */
  readonly listed?: true;
  /** Lanes that route and sort tokens in one kernel. */
  readonly routing?: number;
}

/**
 * Codes and scales of all weights of a product are in one buffer each, because a kernel may bind few. A step of a block is long text,
 * and devices take long to compile more rows of it.
 */
const blocks = { activations: "q8_0", depth: 32, rows: [4, 1], packed: true } as const;

/** Per invocation, so much at module level and as much within a function (https://www.w3.org/TR/WGSL/#limits). */
const privateBytes = 8192;

/** One invocation per block, sums in named scalars. */
const described = (
  { rows, columns, lanes, together, few, staged, listed, packed, routing = 1 }: TileSize,
  features?: readonly WgslFeature[],
): Target => ({
  name: "wgsl",
  isa: "wgsl",
  ...(features ? { features } : {}),
  spaces: {
    register: { alignment: 4 },
    scratch: { capacity: 2 * privateBytes, alignment: 4 },
    workgroup: { alignment: 16 },
  },
  vector: { space: "register", width: 4, blockColumns: 4 },
  scratch: "scratch",
  routing: { lanes: routing, bytes: privateBytes },
  matmul: {
    kind: "registers",
    rows,
    columns,
    ...(lanes ? { lanes } : {}),
    ...(together ? { together } : {}),
    ...(few ? { few } : {}),
    ...(staged ? { staged } : {}),
    ...(listed ? { listed } : {}),
    dot: {
      f32: { activations: "f32", depth: 4 },
      f16: { activations: "f32", depth: 4 },
      bf16: { activations: "f32", depth: 4 },
      q8_0: blocks,
      q4_0: blocks,
      mxfp4: blocks,
    },
    packed: packed === true,
    panelsPerBlock: 1,
    // A plain product, such as the router's, has few columns: its rows are what keeps a device busy.
    rowBlocks: { linear: 32, grouped: 1 },
  },
  storages: ["f32", "f16", "bf16", "q8_0", "q4_0", "mxfp4"],
  onlyRead: ["f16", "bf16"],
  limits: { cutsWeights: true },
});

/** Columns in lanes and weights in panels, and a kernel of its own for few rows. */
const inPanels = (rows: readonly number[], few: Required<RegisterMatmul>["few"]): TileSize => ({
  rows,
  columns: 4,
  lanes: true,
  packed: true,
  few,
});
const usual = inPanels([4, 1], { below: 2, rows: [2, 1] });
/** Larger tiles take a device long to compile. */
const eight = inPanels([8, 4, 1], { below: 4, rows: [4, 1] });
const sixteen = inPanels([16, 4, 1], { below: 4, rows: [4, 1] });
/**
 * Where lanes read a row once for several, a tile that computes some rows twice is cheaper than several small ones, which read the
 * weights again.
 */
const withSharedRows = (rows: readonly number[]): TileSize => inPanels(rows, { below: 2, rows: [2, 1] });
/** Sums of 4 × 4 and fewer rows for each of so many lanes; the tile of activations and weights that they share is 16 deep. */
const inWorkgroups = (lanes: readonly [number, number], rows = [4, 1]): TileSize => ({
  ...usual,
  staged: { from: 8, lanes, rows, depth: 16 },
});
const striped = { below: 2, rows: [1], stripes: { panels: 4, along: 16 } };
const packedDot = "packed_4x8_integer_dot_product";

/** For devices with the limits that all have. */
export const wgslTarget = limitTarget(described(usual), defaultLimits);

/** A description by what it does otherwise than the default. */
const tuning = (name: string, size: TileSize, features?: readonly WgslFeature[], subgroupLanes?: 8): Target => ({
  ...limitTarget(described(size, features), defaultLimits),
  ...(subgroupLanes ? { subgroupLanes } : {}),
  tuning: name,
});

/**
 * What may be faster on some device. More sums take each element more often, and more registers. Lanes that read a row together take
 * larger tiles without more reads for each. Words of four bytes are multiplied as they are, and elements of f16 read without
 * being taken out of words, where an implementation has that.
 */
export const wgslTunings: readonly Target[] = [
  ...[
    [4, 4],
    [4, 8],
    [8, 8],
    [1, 4],
  ].map(([rows = 1, columns = 4]) => tuning(`${rows}×${columns}`, { rows: rows === 1 ? [1] : [rows, 1], columns })),
  tuning("4 1 × 4 in lanes", { rows: [4, 1], columns: 4, lanes: true }),
  tuning("8 4 1 × 4", eight),
  tuning("16 4 1 × 4", sixteen),
  tuning("4 × 4, rows shared", withSharedRows([4]), ["subgroups", packedDot]),
  tuning("8 4 × 4, rows shared", withSharedRows([8, 4]), ["subgroups", packedDot]),
  tuning("8 4 × 4 together, rows shared", { ...withSharedRows([8, 4]), together: true }, ["subgroups", packedDot]),
  tuning("16 4 × 4 together, rows shared", { ...withSharedRows([16, 4]), together: true }, ["subgroups", packedDot]),
  tuning(
    "16 8 4 × 4 together, rows shared by eight",
    { ...withSharedRows([16, 8, 4]), together: true },
    ["subgroups", packedDot],
    8,
  ),
  tuning("32 × 32 staged", inWorkgroups([8, 8])),
  tuning("64 × 64 staged", inWorkgroups([16, 16])),
  tuning("16 × 256, rows staged", inWorkgroups([1, 64], [16, 4])),
  tuning("k in 16 stripes", { ...usual, few: striped }),
  tuning("experts listed", { ...usual, listed: true }),
  tuning("k in 16 stripes, experts listed", { ...usual, few: striped, listed: true }),
  tuning("32 × 32 staged, k in 16 stripes", { ...inWorkgroups([8, 8]), few: striped }),
  tuning("64 × 64 staged, k in 16 stripes, packed dot products", { ...inWorkgroups([16, 16]), few: striped }, [
    packedDot,
  ]),
  tuning("64 tokens routed at once", { ...usual, routing: 64 }),
  tuning("packed dot products", usual, [packedDot]),
  tuning("f16 elements", usual, ["shader-f16"]),
  tuning("f16 elements, 8 4 × 4, rows shared", withSharedRows([8, 4]), ["subgroups", "shader-f16"]),
];
