import { readFile } from "node:fs/promises";
import { DiagnosticError } from "../ir/core/diagnostic.ts";
import { noSpan } from "../ir/core/span.ts";

/** Element types that NumPy and Unmoor both know, by NumPy's little-endian name. */
const npyTypes = {
  "<f4": "f32",
  "<f2": "f16",
  "|i1": "i8",
  "|u1": "u8",
  "<i2": "i16",
  "<u2": "u16",
  "<i4": "i32",
  "<u4": "u32",
  "<i8": "i64",
  "<u8": "u64",
} as const;

export type NpyType = (typeof npyTypes)[keyof typeof npyTypes];

export interface NpyArray {
  readonly type: NpyType;
  readonly shape: readonly number[];
  /** Row by row, little-endian. */
  readonly bytes: Uint8Array;
}

const magic = Buffer.from("\x93NUMPY", "latin1");

/**
 * Reads NumPy's .npy format, versions 1 to 3 (numpy.lib.format): a header with the element type, order and shape, then the bytes.
 * @throws DiagnosticError where the file cannot be read, or holds something else
 */
export async function readNpy(path: string): Promise<NpyArray> {
  const file = await readFile(path).catch((error: unknown) => {
    throw unreadable(path, "a .npy file", error instanceof Error ? error.message : String(error));
  });
  if (file.length < 10 || !file.subarray(0, 6).equals(magic))
    throw unreadable(path, "a file that begins as .npy does", "other bytes");
  const wide = (file[6] ?? 0) >= 2;
  const start = wide ? 12 : 10;
  const length = wide ? file.readUInt32LE(8) : file.readUInt16LE(8);
  const header = file.toString("utf8", start, start + length);
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1] ?? "";
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1]?.match(/\d+/g)?.map(Number) ?? [];
  const type = Object.entries(npyTypes).find(([name]) => name === descr)?.[1];
  if (type === undefined)
    throw unreadable(path, `elements of type ${Object.values(npyTypes).join(", ")}`, descr || "no type");
  if (/'fortran_order':\s*True/.test(header)) throw unreadable(path, "rows one after the other", "Fortran's order");
  const bytes = file.subarray(start + length);
  const expected = shape.reduce((product, n) => product * n, 1) * Number(descr.at(-1));
  if (bytes.length !== expected) throw unreadable(path, `${expected} bytes of elements`, `${bytes.length}`);
  return { type, shape, bytes };
}

/** The bytes of a .npy file of version 1; undefined for an element type that NumPy lacks. */
export function npyFile(type: string, shape: readonly number[], bytes: Uint8Array): Buffer | undefined {
  const descr = Object.entries(npyTypes).find(([, name]) => name === type)?.[0];
  if (descr === undefined) return undefined;
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.map((n) => `${n},`).join(" ")}), }`;
  // The elements begin at a multiple of 64 bytes.
  const padded = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
  const head = Buffer.alloc(10);
  magic.copy(head);
  head[6] = 1;
  head.writeUInt16LE(padded.length, 8);
  return Buffer.concat([head, Buffer.from(padded, "latin1"), bytes]);
}

const unreadable = (path: string, expected: string, found: string): DiagnosticError =>
  new DiagnosticError([
    {
      code: "U311",
      span: noSpan,
      message: `${path} cannot be read`,
      expected,
      found,
      help: "Write it with numpy.save, as an array in C order of one of these types, or give raw bytes in a .bin file.",
    },
  ]);
