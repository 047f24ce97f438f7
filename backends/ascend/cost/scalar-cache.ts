import { assumed } from "./figures.ts";
import type { Tensor } from "./memory.ts";

/** The scalar unit's data cache: 32 KiB, taken as directly mapped. */
export class ScalarCache {
  readonly #tags = new Float64Array(512);

  /** Forgets all lines. */
  clear(): void {
    this.#tags.fill(-1);
  }

  /** The cycles to reach an element; its line is in the cache afterwards. */
  reach(t: Tensor, at: number): number {
    if (t.memory.space !== "gm") return assumed.local;
    const line = Math.floor((at * t.size) / assumed.cacheLine);
    const slot = Number.isNaN(line) ? 0 : line % this.#tags.length;
    const tag = line * 64 + (t.memory.name.length % 64);
    const known = this.#tags[slot] === tag;
    this.#tags[slot] = tag;
    return known ? assumed.global : assumed.line;
  }
}
