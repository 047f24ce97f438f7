import { readFile, writeFile } from "node:fs/promises";
import type { KernelEntry } from "../backends/ascend/kernel-source.ts";
import type { KernelArgument } from "../backends/ascend/run-kernel.ts";
import { type Diagnostic, DiagnosticError } from "../ir/core/diagnostic.ts";
import { decodeBf16, decodeF16, encodeBf16, encodeF16 } from "../ir/core/float16.ts";
import { noSpan } from "../ir/core/span.ts";
import { npyFile, readNpy } from "./npy.ts";
import { fillSeeded, openSafetensors, writeSafetensors } from "./safetensors/index.ts";

/** Element types of a kernel's memory: bytes, and how a DataView writes one. */
const elementTypes = {
  f32: { bytes: 4, put: (v: DataView, at: number, x: number) => v.setFloat32(at, x, true) },
  f16: { bytes: 2, put: (v: DataView, at: number, x: number) => v.setUint16(at, half(x), true) },
  bf16: { bytes: 2, put: (v: DataView, at: number, x: number) => v.setUint16(at, brain(x), true) },
  i8: { bytes: 1, put: (v: DataView, at: number, x: number) => v.setInt8(at, x) },
  u8: { bytes: 1, put: (v: DataView, at: number, x: number) => v.setUint8(at, x) },
  i16: { bytes: 2, put: (v: DataView, at: number, x: number) => v.setInt16(at, x, true) },
  u16: { bytes: 2, put: (v: DataView, at: number, x: number) => v.setUint16(at, x, true) },
  i32: { bytes: 4, put: (v: DataView, at: number, x: number) => v.setInt32(at, x, true) },
  u32: { bytes: 4, put: (v: DataView, at: number, x: number) => v.setUint32(at, x, true) },
  i64: { bytes: 8, put: (v: DataView, at: number, x: number) => v.setBigInt64(at, BigInt(x), true) },
  u64: { bytes: 8, put: (v: DataView, at: number, x: number) => v.setBigUint64(at, BigInt(x), true) },
} as const;

export type ElementType = keyof typeof elementTypes;

const half = (x: number): number => {
  const out = new Uint16Array(1);
  encodeF16(Float32Array.of(x), out);
  return out[0] ?? 0;
};
const brain = (x: number): number => {
  const out = new Uint16Array(1);
  encodeBf16(Float32Array.of(x), out);
  return out[0] ?? 0;
};

/** What is known of the elements of a parameter's memory; nothing for a .bin file. */
export interface Elements {
  readonly type: ElementType;
  readonly shape: readonly number[];
}

export interface GivenArguments {
  /** One per parameter, in their order. */
  readonly arguments: readonly KernelArgument[];
  readonly elements: ReadonlyMap<string, Elements>;
}

const types = Object.keys(elementTypes).join(", ");
const forms = [
  "NAME=FILE.npy, FILE.bin or FILE.safetensors:TENSOR",
  "NAME=f32[64,128] (seeded values)",
  "NAME=i64:4,7 (these values)",
  "NAME=out:f32[64] (a result)",
  "NAME=work:u8[4096] (scratch memory)",
  "NAME=12 (a number)",
].join("; ");

const problem = (message: string, expected: string, found: string, help: string): Diagnostic => ({
  code: "U408",
  span: noSpan,
  message,
  expected,
  found,
  help,
});

/**
 * What the texts NAME=… give to a kernel's parameters. Seeded values depend on the seed and the parameter's name: floats between
 * -1 and 1, whole numbers from 0 to 7.
 * @throws DiagnosticError naming every text that says nothing, and every parameter that is missing or of the other kind
 */
export async function kernelArguments(
  kernel: KernelEntry,
  texts: readonly string[],
  seed: number,
): Promise<GivenArguments> {
  const given = new Map(texts.map((text) => [text.slice(0, Math.max(0, text.indexOf("="))), text] as const));
  const signature = `${kernel.name}(${kernel.parameters.map((p) => p.name).join(", ")})`;
  const known = new Set(kernel.parameters.map((p) => p.name));
  const problems: Diagnostic[] = [];
  for (const [name, text] of given)
    if (!known.has(name))
      problems.push(problem(`--arg ${text} fits no parameter`, `a parameter of ${signature}`, name, `Write ${forms}.`));
  const elements = new Map<string, Elements>();
  const found: KernelArgument[] = [];
  for (const { name, pointer } of kernel.parameters) {
    const text = given.get(name);
    if (text === undefined) {
      const example = pointer ? `${name}=f32[1024]` : `${name}=1024`;
      problems.push(
        problem(
          `parameter ${name} has no argument`,
          `--arg for each of ${signature}`,
          "none",
          `Give --arg ${example}.`,
        ),
      );
      continue;
    }
    const one = await argumentOf(name, text.slice(name.length + 1), seed);
    if (!one) {
      problems.push(problem(`--arg ${text} is not understood`, forms, text, `Element types are ${types}.`));
      continue;
    }
    if ((one.argument.kind === "value") === pointer) {
      const [wanted, other] = pointer ? ["memory", "a number"] : ["a number", "memory"];
      problems.push(problem(`parameter ${name} is ${wanted}`, wanted, other, `Write ${forms}.`));
      continue;
    }
    found.push(one.argument);
    if (one.elements) elements.set(name, one.elements);
  }
  if (problems.length > 0) throw new DiagnosticError(problems);
  return { arguments: found, elements };
}

async function argumentOf(
  name: string,
  text: string,
  seed: number,
): Promise<{ readonly argument: KernelArgument; readonly elements?: Elements } | undefined> {
  if (/^-?(\d+(\.\d+)?(e-?\d+)?|0x[0-9a-f]+)$/i.test(text)) return { argument: { kind: "value", number: text } };
  const shaped = /^(?:(out|work):)?([a-z]+\d+)\[(\d+(?:\s*,\s*\d+)*)\]$/.exec(text);
  if (shaped) {
    const [, kind, type = "", list = ""] = shaped;
    if (!isElementType(type)) return undefined;
    const elements = { type, shape: list.split(",").map(Number) };
    const count = elements.shape.reduce((product, n) => product * n, 1);
    if (kind === "out" || kind === "work")
      return { argument: { kind, bytes: count * elementTypes[type].bytes }, elements };
    return { argument: { kind: "in", bytes: seededBytes(type, count, seed, name) }, elements };
  }
  const listed = /^([a-z]+\d+):(.+)$/.exec(text);
  if (listed && isElementType(listed[1] ?? "")) {
    const bytes = listedBytes(text);
    return bytes && { argument: { kind: "in", bytes } };
  }
  const tensor = /^(.+\.safetensors):(.+)$/.exec(text);
  if (tensor) {
    const file = await openSafetensors(tensor[1] ?? "");
    try {
      const { dtype, shape } = file.info(tensor[2] ?? "");
      const type = dtype.toLowerCase();
      const argument = { kind: "in", bytes: await file.read(tensor[2] ?? "") } as const;
      return isElementType(type) ? { argument, elements: { type, shape } } : { argument };
    } finally {
      await file.close();
    }
  }
  if (text.endsWith(".npy")) {
    const { type, shape, bytes } = await readNpy(text);
    return { argument: { kind: "in", bytes }, elements: { type, shape } };
  }
  if (text.endsWith(".bin")) {
    const bytes = await readFile(text).catch((error: unknown) => {
      throw new DiagnosticError([
        {
          code: "U311",
          span: noSpan,
          message: `${text} cannot be read`,
          expected: "a file of raw bytes",
          found: error instanceof Error ? error.message : String(error),
          help: "Check the path.",
        },
      ]);
    });
    return { argument: { kind: "in", bytes } };
  }
  return undefined;
}

const isElementType = (name: string): name is ElementType => Object.hasOwn(elementTypes, name);

function seededBytes(type: ElementType, count: number, seed: number, name: string): Uint8Array {
  const values = new Float32Array(count);
  const isFloat = type === "f32" || type === "f16" || type === "bf16";
  fillSeeded(values, { seed, name, dtype: "F32", scale: isFloat ? 1 : 8 });
  return bytesOf(values, type, (x) => (isFloat ? x : Math.floor(Math.abs(x))));
}

function bytesOf(values: ArrayLike<number>, type: ElementType, change: (x: number) => number): Uint8Array {
  const { bytes, put } = elementTypes[type];
  const view = new DataView(new ArrayBuffer(values.length * bytes));
  for (let i = 0; i < values.length; i++) put(view, i * bytes, change(values[i] ?? 0));
  return new Uint8Array(view.buffer);
}

/** "u32:4,7,f32:0.5": a type holds until another one is named, as the fields of a struct do. */
function listedBytes(text: string): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  let type: ElementType | undefined;
  for (const item of text.split(",")) {
    const [, named, digits = ""] = /^\s*(?:([a-z]+\d+):)?\s*(-?[\d.]+(?:e-?\d+)?)\s*$/.exec(item) ?? [];
    if (named !== undefined) type = isElementType(named) ? named : undefined;
    const value = Number(digits);
    if (type === undefined || digits === "" || !Number.isFinite(value)) return undefined;
    if (!type.includes("f") && !Number.isInteger(value)) return undefined;
    parts.push(bytesOf([value], type, (x) => x));
  }
  return Buffer.concat(parts);
}

/**
 * Writes a kernel's memory by what the file's name ends in: .npy, .safetensors (one tensor, by the parameter's name), or any other
 * name for the raw bytes.
 * @throws DiagnosticError where a format needs an element type that is not known, or lacks it
 */
export async function saveMemory(
  path: string,
  name: string,
  elements: Elements | undefined,
  bytes: Buffer,
): Promise<void> {
  if (path.endsWith(".safetensors") && elements) {
    const dtype = elements.type.toUpperCase() as Uppercase<ElementType>;
    await writeSafetensors(path, new Map([[name, { dtype, shape: elements.shape, data: bytes }]]));
  } else if (/\.(npy|safetensors)$/.test(path)) {
    const file = elements && npyFile(elements.type, elements.shape, bytes);
    if (file === undefined)
      throw new DiagnosticError([
        problem(
          `${name} cannot be saved as ${path}`,
          "an element type that the format has",
          elements?.type ?? "bytes without a type",
          "Save it as .bin, or bf16 as .safetensors.",
        ),
      ]);
    await writeFile(path, file);
  } else await writeFile(path, bytes);
}

/** The first elements of a kernel's memory, in words. */
export function preview({ type }: Elements, bytes: Buffer): string {
  const some = bytes.subarray(0, 4 * elementTypes[type].bytes);
  const values = valuesOf(type, new Uint8Array(some).buffer);
  const shown = values.map((v) => (typeof v === "bigint" ? String(v) : String(Number(v.toPrecision(6)))));
  return `${shown.join(", ")}${some.length < bytes.length ? ", …" : ""}`;
}

function valuesOf(type: ElementType, buffer: ArrayBuffer): readonly (number | bigint)[] {
  if (type === "f16" || type === "bf16") {
    const bits = new Uint16Array(buffer);
    const out = new Float32Array(bits.length);
    (type === "f16" ? decodeF16 : decodeBf16)(bits, out);
    return [...out];
  }
  const arrays = {
    f32: Float32Array,
    i8: Int8Array,
    u8: Uint8Array,
    i16: Int16Array,
    u16: Uint16Array,
    i32: Int32Array,
    u32: Uint32Array,
    i64: BigInt64Array,
    u64: BigUint64Array,
  };
  return [...new arrays[type](buffer)];
}
