/** Memory that a tensor lies in. Integers that a kernel decides by are known; all else is NaN. */
export class Memory {
  readonly name: string;
  readonly space: string;
  /** Global memory: its integers, NaN where unknown. */
  readonly #array: Float64Array | undefined;
  #local: Map<number, number> | undefined;
  /** What elements hold that nobody set alone. */
  #filled = Number.NaN;

  /** Integers that are given, and that kernels do not change for the model. */
  readonly #given: boolean;

  constructor(name: string, space: string, array?: Float64Array, given = false) {
    this.name = name;
    this.space = space;
    this.#array = array;
    this.#given = given;
  }

  get(i: number): number {
    if (this.#array) return this.#array[i] ?? Number.NaN;
    return this.#local?.get(i) ?? this.#filled;
  }

  set(i: number, value: number): void {
    if (this.#given) return;
    if (Number.isNaN(i)) this.forget();
    else if (this.#array) this.#array[i] = value;
    else if (this.space !== "gm") {
      this.#local ??= new Map();
      this.#local.set(i, value);
    }
  }

  /** Nothing is known any more. */
  forget(): void {
    this.fill(Number.NaN);
  }

  fill(value: number): void {
    if (this.#given) return;
    if (this.#array) this.#array.fill(value);
    this.#local = undefined;
    this.#filled = value;
  }

  /** Whether any element may be known. */
  get tracked(): boolean {
    return this.#array !== undefined || this.#local !== undefined || !Number.isNaN(this.#filled);
  }
}

/** A tensor from an offset on, in elements of `size` bytes. */
export interface Tensor {
  readonly memory: Memory;
  readonly offset: number;
  readonly type: string;
  readonly size: number;
}

const elementSizes: Readonly<Record<string, number>> = {
  float: 4,
  half: 2,
  bfloat16_t: 2,
  int8_t: 1,
  uint8_t: 1,
  int16_t: 2,
  uint16_t: 2,
  int32_t: 4,
  uint32_t: 4,
  int64_t: 8,
  uint64_t: 8,
};

/** Bytes of an element of a C++ type. */
export const sizeOfType = (type: string): number => elementSizes[type] ?? 4;
