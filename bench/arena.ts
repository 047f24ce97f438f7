import { NativeMemory } from "../runtime/native.ts";

/** Memory outside the JavaScript heap that is freed at once; addresses are multiples of 64. */
export class Arena {
  readonly #memories: NativeMemory[] = [];

  /** Zeroed bytes. */
  allocate(bytes: number): Uint8Array<ArrayBuffer> {
    const memory = NativeMemory.allocate(bytes);
    this.#memories.push(memory);
    return memory.bytesView();
  }

  free(): void {
    for (const memory of this.#memories.splice(0)) memory.free();
  }
}
