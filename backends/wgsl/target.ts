import type { WgslFeature } from "../../codegen/emit/wgsl/language.ts";
import type { Target } from "../../codegen/target.ts";
import { defaultLimits, limitTarget } from "./limits.ts";

/** Codes and scales of all weights of a product in one buffer each: a kernel may bind few. */
const blocks = { activations: "q8_0", depth: 32, packed: true } as const;

/** Rows and columns of a register tile, and whether lanes along the columns share rows. */
interface TileSize {
  readonly rows: readonly number[];
  readonly columns: number;
  readonly lanes?: true;
}

/** One invocation per block, sums in named scalars. */
const described = ({ rows, columns, lanes }: TileSize, features?: readonly WgslFeature[]): Target => ({
  name: "wgsl",
  isa: "wgsl",
  ...(features ? { features } : {}),
  // 8192 bytes per invocation at module level and as many within a function (https://www.w3.org/TR/WGSL/#limits).
  spaces: { register: { alignment: 4 }, scratch: { capacity: 2 * 8192, alignment: 4 } },
  vector: { space: "register", width: 4, blockColumns: 4 },
  scratch: "scratch",
  matmul: {
    kind: "registers",
    rows,
    columns,
    ...(lanes ? { lanes } : {}),
    dot: {
      f32: { activations: "f32", depth: 4 },
      f16: { activations: "f32", depth: 4 },
      bf16: { activations: "f32", depth: 4 },
      q8_0: blocks,
      q4_0: blocks,
      mxfp4: blocks,
    },
    packed: false,
    panelsPerBlock: 1,
    // A plain product, such as the router's, has few columns: its rows are what keeps a device busy.
    rowBlocks: { linear: 32, grouped: 1 },
  },
  storages: ["f32", "f16", "bf16", "q8_0", "q4_0", "mxfp4"],
  onlyRead: ["f16", "bf16"],
  limits: { cutsWeights: true },
});

const usual: TileSize = { rows: [4, 1], columns: 4 };
const packedDot = "packed_4x8_integer_dot_product";

/** For devices with the limits that all have. */
export const wgslTarget = limitTarget(described(usual), defaultLimits);

/** A description by what it does otherwise than the default. */
const tuning = (name: string, size: TileSize, features?: readonly WgslFeature[]): Target => ({
  ...limitTarget(described(size, features), defaultLimits),
  tuning: name,
});

/**
 * What may be faster on some device. More sums take each element more often, and more registers. Lanes that read a row together take
 * larger tiles without more reads for each. Words of four bytes are multiplied as they are, and elements of f16 read without
 * being taken out of words, where an implementation has that.
 */
export const wgslTunings: readonly Target[] = [
  ...[
    [4, 8],
    [8, 4],
    [8, 8],
    [2, 4],
    [1, 4],
  ].map(([rows = 1, columns = 4]) => tuning(`${rows}×${columns}`, { rows: rows === 1 ? [1] : [rows, 1], columns })),
  ...[
    { rows: [4, 1], columns: 4 },
    { rows: [8, 4, 1], columns: 4 },
    { rows: [16, 4, 1], columns: 4 },
  ].map((size) =>
    tuning(`${size.rows.join(" ")} × ${size.columns} in lanes that share rows`, { ...size, lanes: true }, [
      "subgroups",
      packedDot,
    ]),
  ),
  tuning("packed dot products", usual, [packedDot]),
  tuning("f16 elements", usual, ["shader-f16"]),
  tuning("f16 elements, 8 4 1 × 4 in lanes that share rows", { rows: [8, 4, 1], columns: 4, lanes: true }, [
    "subgroups",
    "shader-f16",
  ]),
];
