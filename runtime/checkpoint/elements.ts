import type { TensorFormat } from "../../ir/core/bindings.ts";
import { DiagnosticError } from "../../ir/core/diagnostic.ts";
import { decodeBf16, decodeF16, encodeBf16, encodeF16 } from "../../ir/core/float16.ts";
import { noSpan } from "../../ir/core/span.ts";
import type { DType } from "../../ir/core/types.ts";
import type { SafetensorsFile } from "../safetensors/index.ts";

export type ElementArray = Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** A published tensor, read piece by piece in the dtype of a weight. */
export interface Elements {
  /** Elements `start` to `start + count`, row-major. Both are multiples of 32 where the tensor has a format. */
  read(start: number, count: number): Promise<ElementArray>;
}

/** A tensor of a checkpoint with the coding of its elements. */
export interface CodedTensor {
  readonly key: string;
  /** The shape of what it means, which is not that of its bytes where it is coded. */
  readonly shape: readonly number[];
  readonly format?: TensorFormat;
  /** The tensor with the scales of `format`. */
  readonly scales?: string;
}

const plain: Readonly<Partial<Record<DType, string>>> = { f32: "F32", bf16: "BF16", f16: "F16", i32: "I32" };

/** Whether a tensor's bytes are those of a weight of this dtype. */
export const isVerbatim = (file: SafetensorsFile, { key, format }: CodedTensor, dtype: DType): boolean =>
  format === undefined && file.info(key).dtype === plain[dtype];

/** Reads a tensor as a weight of this dtype. Widening is exact, narrowing rounds to nearest even. */
export async function openElements(file: SafetensorsFile, tensor: CodedTensor, dtype: DType): Promise<Elements> {
  if (dtype === "i32") return integers(file, tensor.key);
  const floats = await floatsOf(file, tensor);
  const verbatim = isVerbatim(file, tensor, dtype);
  return {
    async read(start, count) {
      if (verbatim && dtype !== "f32") return new Uint16Array(await bytesOf(file, tensor.key, 2 * start, 2 * count));
      const values = await floats.read(start, count);
      if (dtype === "f32") return values;
      const narrow = new Uint16Array(count);
      (dtype === "bf16" ? encodeBf16 : encodeF16)(values, narrow);
      return narrow;
    },
  };
}

async function bytesOf(file: SafetensorsFile, key: string, offset: number, length: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  await file.readRange(key, offset, bytes);
  return bytes.buffer;
}

/** I32, or I64 whose values fit. */
function integers(file: SafetensorsFile, key: string): Elements {
  return {
    async read(start, count) {
      if (file.info(key).dtype === "I32") return new Int32Array(await bytesOf(file, key, 4 * start, 4 * count));
      return narrowIntegers(new BigInt64Array(await bytesOf(file, key, 8 * start, 8 * count)), key, file.path, start);
    },
  };
}

/** 64-bit integers as 32-bit ones. @throws DiagnosticError U309 for one that does not fit */
export function narrowIntegers(values: BigInt64Array, key: string, path: string, start = 0): Int32Array<ArrayBuffer> {
  return Int32Array.from(values, (value, i) => {
    if (BigInt.asIntN(32, value) === value) return Number(value);
    throw new DiagnosticError([
      {
        code: "U309",
        span: noSpan,
        message: `element ${start + i} of the tensor ${key} in ${path} does not fit 32 bits`,
        expected: "a whole number from -2147483648 to 2147483647",
        found: String(value),
        help: "Give ids that exist.",
      },
    ]);
  });
}

interface Floats {
  read(start: number, count: number): Promise<Float32Array<ArrayBuffer>>;
}

async function floatsOf(file: SafetensorsFile, { key, shape, format, scales }: CodedTensor): Promise<Floats> {
  if (format !== undefined && scales !== undefined) {
    if (format === "mxfp4") return mxfp4(file, key, scales);
    return format === "int8" ? int8(file, key, scales, shape) : fp8(file, key, scales, shape);
  }
  const raw = file.info(key).dtype;
  return {
    async read(start, count) {
      if (raw === "F32") return new Float32Array(await bytesOf(file, key, 4 * start, 4 * count));
      const halves = new Uint16Array(await bytesOf(file, key, 2 * start, 2 * count));
      const values = new Float32Array(count);
      (raw === "F16" ? decodeF16 : decodeBf16)(halves, values);
      return values;
    },
  };
}

/** The numbers of 4 bits: 1 sign, 2 exponent and 1 fraction bits (OCP Microscaling Formats 1.0, E2M1). */
const e2m1 = Float32Array.from(
  { length: 16 },
  (_, bits) => [0, 0.5, 1, 1.5, 2, 3, 4, 6][bits & 7] * (bits < 8 ? 1 : -1),
);

/** Powers of two, 2^(bits - 127); 255 is NaN (E8M0). */
const e8m0 = Float32Array.from({ length: 256 }, (_, bits) => (bits === 255 ? Number.NaN : 2 ** (bits - 127)));

/** The numbers of 8 bits: 1 sign, 4 exponent and 3 fraction bits, no infinity (OCP 8-bit Floating Point 1.0, E4M3). */
const e4m3 = Float32Array.from({ length: 256 }, (_, bits) => {
  const [exponent, fraction] = [(bits >> 3) & 15, bits & 7];
  if ((bits & 127) === 127) return Number.NaN;
  const magnitude = exponent === 0 ? fraction * 2 ** -9 : (8 + fraction) * 2 ** (exponent - 10);
  return bits < 128 ? magnitude : -magnitude;
});

/** Blocks of 32 elements, two in a byte, the even one in its low half; a scale for each block. */
function mxfp4(file: SafetensorsFile, key: string, scales: string): Floats {
  return {
    async read(start, count) {
      const codes = new Uint8Array(await bytesOf(file, key, start / 2, count / 2));
      const powers = new Uint8Array(await bytesOf(file, scales, start / 32, count / 32));
      const values = new Float32Array(count);
      for (let i = 0; i < count; i += 2) {
        const scale = e8m0[powers[i >> 5]];
        const code = codes[i >> 1];
        values[i] = e2m1[code & 15] * scale;
        values[i + 1] = e2m1[code >> 4] * scale;
      }
      return values;
    },
  };
}

/** Elements times the scale of their block of 128 rows and 128 columns. */
async function fp8(file: SafetensorsFile, key: string, scales: string, shape: readonly number[]): Promise<Floats> {
  const [rows = 1, columns = 1] = shape.slice(-2);
  const [blockRows, blockColumns] = [Math.ceil(rows / 128), Math.ceil(columns / 128)];
  const powers = file.info(scales).dtype === "F8_E8M0";
  const factors = powers
    ? Float32Array.from(await file.read(scales), (bits) => e8m0[bits])
    : await file.readF32(scales);
  return {
    async read(start, count) {
      const codes = new Uint8Array(await bytesOf(file, key, start, count));
      const values = new Float32Array(count);
      let row = Math.floor(start / columns);
      let column = start % columns;
      for (let i = 0; i < count; i++) {
        const blockRow = Math.floor(row / rows) * blockRows + ((row % rows) >> 7);
        values[i] = e4m3[codes[i]] * factors[blockRow * blockColumns + (column >> 7)];
        if (++column === columns) {
          column = 0;
          row++;
        }
      }
      return values;
    },
  };
}

/** Signed bytes times the scale of their row. */
async function int8(file: SafetensorsFile, key: string, scales: string, shape: readonly number[]): Promise<Floats> {
  const [columns = 1] = shape.slice(-1);
  const factors = await file.readF32(scales);
  return {
    async read(start, count) {
      const codes = new Int8Array(await bytesOf(file, key, start, count));
      return Float32Array.from(codes, (code, i) => code * (factors[Math.floor((start + i) / columns)] ?? 0));
    },
  };
}

/**
 * Holds that zero points of int8 are all 0, as they are where codes are symmetric.
 * @throws DiagnosticError U303 for one that is not
 */
export async function checkZeros(file: SafetensorsFile, key: string): Promise<void> {
  const values = file.info(key).dtype === "I8" ? new Int8Array(await file.read(key)) : await file.readF32(key);
  const at = values.findIndex((value) => value !== 0);
  if (at < 0) return;
  throw new DiagnosticError([
    {
      code: "U303",
      span: noSpan,
      message: `the tensor ${key} in ${file.path} has zero points, and codes of int8 are read without any`,
      expected: "0 everywhere: codes with a scale for each row and no zero point (symmetric)",
      found: `${values[at]} for row ${at}`,
      help: "Quantise the weights symmetrically, or give a checkpoint that is not quantised.",
    },
  ]);
}
