import type { Chip } from "./figures.ts";
import type { Transfer } from "./instructions.ts";
import type { Memory } from "./memory.ts";

/** Bytes of one buffer that a kernel transferred, and of those the ones that were not in L2. */
export interface Traffic {
  bytes: number;
  missed: number;
}

/**
 * What the L2 cache holds, by transfers: a transfer from where an earlier one began finds its bytes as long as no more than
 * the cache's size came in since. Buffers that earlier kernels touched count as held from their first touch on.
 */
export class L2 {
  readonly #capacity: number;
  /** Bytes that came in so far. */
  #clock = 0;
  readonly #held = new Map<number, number>();
  readonly #earlier = new Map<Memory, number>();
  readonly #first = new Map<Memory, number>();
  readonly #numbers = new Map<Memory, number>();

  constructor(chip: Chip) {
    this.#capacity = chip.l2Bytes;
  }

  /** Counts a transfer; says how many of its bytes have to come from memory. */
  touch({ global, bytes, write }: Transfer): number {
    const { memory, offset, size } = global;
    if (!this.#first.has(memory)) this.#first.set(memory, this.#clock);
    const key = this.#number(memory) * 2 ** 40 + offset * size;
    const last = this.#held.get(key) ?? this.#earlier.get(memory);
    const hit = last !== undefined && this.#clock - last + bytes <= this.#capacity;
    // What a kernel wrote goes to memory once, also where it writes over it soon.
    if (hit && (!write || this.#held.has(key))) {
      this.#held.set(key, this.#clock);
      return 0;
    }
    if (!Number.isNaN(key)) this.#held.set(key, this.#clock);
    this.#clock += bytes;
    return bytes;
  }

  /** The next transfers are another kernel's. */
  endKernel(): void {
    for (const [memory, since] of this.#first) this.#earlier.set(memory, since);
    this.#first.clear();
    this.#held.clear();
  }

  #number(memory: Memory): number {
    const known = this.#numbers.get(memory) ?? this.#numbers.size;
    this.#numbers.set(memory, known);
    return known;
  }
}
