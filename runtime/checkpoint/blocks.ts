import type { TensorFormat } from "../../ir/core/bindings.ts";
import { type BlockFormatName, blockMultiple, formatOf } from "../../ir/core/block-formats.ts";
import { putFp8Scale } from "../../ir/core/blocks/float-codes.ts";
import { e8m0 } from "../../ir/core/float8.ts";
import type { SafetensorsFile } from "../safetensors/index.ts";
import { type NumericLayout, scatter } from "./layout.ts";
import type { WeightMatch } from "./match.ts";

/** The block format that holds the codes and scales of each published one as they are. */
const same = { mxfp4: "mxfp4", "fp8-128": "fp8", int8: "int8" } as const satisfies Record<
  TensorFormat,
  BlockFormatName
>;

/** Bytes of blocks that are read at a time. */
const PIECE = 2 ** 23;

/** A block format whose codes and scales checkpoints may hold. */
type HeldFormat = (typeof same)[TensorFormat];

/** Whether a weight's published codes and scales are those of the block format, and rows of its tensors are rows of the weight. */
export function holdsBlocks({ source, layout }: WeightMatch, dtype: BlockFormatName): dtype is HeldFormat {
  const { size = 0, step } = layout.factors.at(-1) ?? {};
  const whole = step === 1 && size === layout.shape.at(-1) && size % blockMultiple(dtype) === 0;
  return source.format !== undefined && same[source.format] === dtype && whole;
}

/** The published bytes of a weight in blocks, from the codes and scales of its tensors: no number is rounded. */
export async function copyBlocks(
  file: SafetensorsFile,
  { keys, scales, layout }: WeightMatch,
  dtype: HeldFormat,
  elements: number,
): Promise<Uint8Array> {
  const format = formatOf(dtype, layout.shape.at(-1) ?? 0);
  const perKey = elements / format.elements / Math.max(1, keys.length);
  const places = placesOf(layout, format.elements, perKey);
  const out = new Uint8Array(keys.length * perKey * format.bytes);
  for (const [e, key] of keys.entries()) {
    const from = await sources[dtype](file, key, scales[e] ?? "", layout.shape);
    const piece = Math.max(1, Math.floor(PIECE / format.bytes));
    for (let start = 0; start < places.length; start += piece) {
      const count = Math.min(piece, places.length - start);
      const write = await from(start, count);
      for (let i = 0; i < count; i++) {
        const place = places[start + i] ?? -1;
        if (place >= 0) write(i, out, (e * perKey + place) * format.bytes);
      }
    }
  }
  return out;
}

/** For each block of a tensor its number in the tensor's part of the weight; −1 where it belongs to another weight. */
function placesOf(layout: NumericLayout, elements: number, count: number): Int32Array {
  const factors = layout.factors.map(({ size, step }, i) =>
    i === layout.factors.length - 1
      ? { size: size / elements, step }
      : { size, step: step === undefined ? undefined : step / elements },
  );
  const blocks = layout.shape.reduce((a, b) => a * b, 1) / elements;
  const sources = new Int32Array(count);
  scatter(
    { ...layout, factors },
    Int32Array.from({ length: blocks }, (_, i) => i),
    0,
    sources,
    0,
  );
  const places = new Int32Array(blocks).fill(-1);
  sources.forEach((source, place) => {
    places[source] = place;
  });
  return places;
}

/** Reads so many blocks from a number on; what it gives writes the i-th of them. */
type BlockSource = (start: number, count: number) => Promise<(i: number, out: Uint8Array, at: number) => void>;

/** How the blocks of each format are read: from a tensor of codes, one of scales, and the shape of what they mean. */
const sources: Readonly<
  Record<
    HeldFormat,
    (file: SafetensorsFile, key: string, scales: string, shape: readonly number[]) => Promise<BlockSource>
  >
> = { mxfp4: mxfp4Blocks, fp8: fp8Blocks, int8: int8Blocks };

/** Published: two neighbours in a byte. In the block: the second half of its numbers in the high halves. */
async function mxfp4Blocks(file: SafetensorsFile, key: string, scales: string): Promise<BlockSource> {
  return async (start, count) => {
    const [codes, powers] = [new Uint8Array(16 * count), new Uint8Array(count)];
    await file.readRange(key, 16 * start, codes);
    await file.readRange(scales, start, powers);
    const half = (block: number, element: number): number => {
      const byte = codes[16 * block + (element >> 1)] ?? 0;
      return element % 2 === 0 ? byte & 15 : byte >> 4;
    };
    return (i, out, at) => {
      out[at] = powers[i] ?? 0;
      for (let j = 0; j < 16; j++) out[at + 1 + j] = half(i, j) | (half(i, j + 16) << 4);
    };
  };
}

/** Each row of a block gets the factor of its 128 × 128. */
async function fp8Blocks(
  file: SafetensorsFile,
  key: string,
  scales: string,
  shape: readonly number[],
): Promise<BlockSource> {
  const factors =
    file.info(scales).dtype === "F8_E8M0"
      ? Float32Array.from(await file.read(scales), (bits) => e8m0[bits] ?? 0)
      : await file.readF32(scales);
  const [rows = 1, columns = 1] = shape.slice(-2);
  const [across, down] = [columns / 128, Math.ceil(rows / 128)];
  return async (start, count) => {
    const codes = new Uint8Array(128 * count);
    await file.readRange(key, 128 * start, codes);
    return (i, out, at) => {
      const row = Math.floor((start + i) / across);
      const factor = (Math.floor(row / rows) * down + Math.floor((row % rows) / 128)) * across + ((start + i) % across);
      putFp8Scale(out, at, factors[factor] ?? 0);
      out.set(codes.subarray(128 * i, 128 * (i + 1)), at + 4);
    };
  };
}

/** A row's scale in f32, then its bytes. */
async function int8Blocks(
  file: SafetensorsFile,
  key: string,
  scales: string,
  shape: readonly number[],
): Promise<BlockSource> {
  const factors = await file.readF32(scales);
  const [row = 1] = shape.slice(-1);
  return async (start, count) => {
    const codes = new Uint8Array(row * count);
    await file.readRange(key, row * start, codes);
    return (i, out, at) => {
      new DataView(out.buffer, out.byteOffset).setFloat32(at, factors[start + i] ?? 0, true);
      out.set(codes.subarray(row * i, row * (i + 1)), at + 4);
    };
  };
}
