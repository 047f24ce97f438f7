import { e4m3, f32ToE4m3 } from "../../ir/core/float8.ts";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "../../ir/core/float16.ts";
import { elementArrays } from "../../ir/core/tensor.ts";
import type { ElementType } from "../../ir/core/types.ts";

/** Elements of a buffer: bf16 and f16 as their bits, bool as 0 or 1. */
export type TypedArray = Float32Array | Uint16Array | Int32Array | Uint32Array | Int8Array | Uint8Array;

/** Zeros, in the storage of a dtype. */
export const makeArray = (dtype: ElementType, length: number): TypedArray => new elementArrays[dtype](length);

/** Whether an array is the storage of a dtype. */
export const storesDType = (array: TypedArray, dtype: ElementType): boolean => array instanceof elementArrays[dtype];

/** Where an access goes wrong, as told to the author of a schedule. Never returns. */
export type Trap = (problem: string) => never;

/** A launch's bookkeeping of who touched an element: block + 1; 0 for nobody. */
interface Marks {
  readonly writer: Int32Array;
  /** −1 for several blocks. Absent where the kernel does not read the buffer. */
  readonly reader: Int32Array | undefined;
}

/** How what is stored becomes a number, and back, where it is none. */
const codings: Readonly<
  Partial<Record<ElementType, { decode(stored: number): number; encode?(value: number): number }>>
> = {
  bf16: { decode: bf16ToF32, encode: f32ToBf16 },
  f16: { decode: f16ToF32, encode: f32ToF16 },
  f8: { decode: (bits) => e4m3[bits] ?? Number.NaN, encode: f32ToE4m3 },
  u32: { decode: (v) => v | 0 },
};

/** A buffer or tile while a kernel runs. Elements are numbers: floats of any width as f32 values. */
export class Memory {
  readonly name: string;
  readonly dtype: ElementType;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
  readonly #data: TypedArray;
  readonly #decode: (stored: number) => number;
  readonly #encode: (value: number) => number;
  readonly #exact: boolean;
  readonly #trap: Trap;
  /** Per element of a tile, whether it has a value. Absent for buffers. */
  readonly #defined: Uint8Array | undefined;
  readonly #marks: Marks | undefined;
  /** Whether a copy to it fills with zeros what lies beyond its valid counts. */
  readonly padded: boolean;
  readonly #who: "block" | "lane";
  /** The block or lane that runs, plus 1. */
  block = 0;

  constructor(
    name: string,
    dtype: ElementType,
    dims: readonly number[],
    data: TypedArray,
    options: {
      readonly trap: Trap;
      readonly local: boolean;
      readonly padded?: boolean;
      readonly races?: "writes" | "all" | undefined;
      /** Who races; default blocks. */
      readonly who?: "block" | "lane";
    },
  ) {
    this.name = name;
    this.dtype = dtype;
    this.dims = dims;
    this.strides = dims.map((_, d) => dims.slice(d + 1).reduce((a, b) => a * b, 1));
    this.#data = data;
    const { decode, encode } = codings[dtype] ?? {};
    this.#decode = decode ?? ((v) => v);
    this.#encode = encode ?? ((v) => v);
    this.#exact = dtype === "i8" || dtype === "u8";
    this.#trap = options.trap;
    this.padded = options.padded ?? false;
    this.#who = options.who ?? "block";
    this.#defined = options.local ? new Uint8Array(data.length) : undefined;
    this.#marks = options.races && {
      writer: new Int32Array(data.length),
      reader: options.races === "all" ? new Int32Array(data.length) : undefined,
    };
  }

  get local(): boolean {
    return this.#defined !== undefined;
  }

  /** All elements of a tile become undefined. */
  undefineAll(): void {
    this.#defined?.fill(0);
  }

  /** What was touched before is ordered before what follows. */
  forgetRaces(): void {
    this.#marks?.writer.fill(0);
    this.#marks?.reader?.fill(0);
  }

  /** Elements of a tile become undefined. */
  undefine(offsets: Int32Array): void {
    if (this.#defined) for (const o of offsets) if (o >= 0) this.#defined[o] = 0;
  }

  load(offset: number): number {
    if (this.#defined !== undefined && this.#defined[offset] === 0)
      this.#trap(`${this.#where(offset)} is read before it has a value`);
    const marks = this.#marks;
    if (marks?.reader !== undefined) {
      const writer = marks.writer[offset];
      if (writer !== 0 && writer !== this.block)
        this.#trap(`${this.#where(offset)} is read by one ${this.#who} and written by another`);
      const reader = marks.reader[offset];
      marks.reader[offset] = reader === 0 || reader === this.block ? this.block : -1;
    }
    return this.#decode(this.#data[offset]);
  }

  store(offset: number, value: number): void {
    if (this.#defined !== undefined) this.#defined[offset] = 1;
    const marks = this.#marks;
    if (marks !== undefined) {
      const writer = marks.writer[offset];
      if (writer !== 0 && writer !== this.block) this.#trap(`${this.#where(offset)} is written by two ${this.#who}s`);
      marks.writer[offset] = this.block;
      const reader = marks.reader?.[offset] ?? 0;
      if (reader !== 0 && reader !== this.block)
        this.#trap(`${this.#where(offset)} is read by one ${this.#who} and written by another`);
    }
    this.#data[offset] = this.#encode(value);
    if (this.#exact && this.#data[offset] !== value) this.#trap(`${value} does not fit ${this.dtype}`);
  }

  /** Elements at offsets; zero where an offset is negative. */
  gather(offsets: Int32Array, out: Float64Array): void {
    for (let i = 0; i < offsets.length; i++) out[i] = offsets[i] < 0 ? 0 : this.load(offsets[i]);
  }

  /** Stores values at the offsets that are not negative. */
  scatter(offsets: Int32Array, values: Float64Array): void {
    for (let i = 0; i < offsets.length; i++) if (offsets[i] >= 0) this.store(offsets[i], values[i]);
  }

  #where(offset: number): string {
    const index = this.strides.map((stride, d) => Math.floor(offset / stride) % this.dims[d]);
    return `${this.name}[${index.join(", ")}]`;
  }
}
