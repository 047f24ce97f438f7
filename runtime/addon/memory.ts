import { statSync } from "node:fs";
import { resolve } from "node:path";
import { markAsUntransferable } from "node:worker_threads";
import { checkInteger, describe } from "./arguments.ts";
import { addon } from "./load.ts";

const VIEW_LIMIT = 2 ** 31 - 1;

/** Lets library.ts reach the private buffer of a NativeMemory. */
let bufferOf: (memory: NativeMemory) => ArrayBuffer;

/**
 * Memory outside the V8 heap, of any size; zeroed, and given real pages only where it is touched.
 *
 * It starts at a multiple of 64 bytes (in fact of a page), and of 2 MiB with huge pages asked for when it is that large;
 * mapFile with an offset starts where the offset says. It goes with `free()`, or when the garbage collector finds that
 * neither it nor any view of it is in use.
 */
export class NativeMemory {
  /** The size in bytes; it stays after `free()`. */
  readonly bytes: number;
  #buffer: ArrayBuffer | undefined;

  static {
    bufferOf = (memory) => memory.#live();
  }

  private constructor(bytes: number, buffer: ArrayBuffer) {
    this.bytes = bytes;
    this.#buffer = buffer;
    // A transfer to another thread would leave this object with nothing to free.
    markAsUntransferable(buffer);
  }

  /**
   * Allocates zeroed memory.
   * @throws TypeError when bytes is not an integer >= 0, Error when the machine has not that much
   */
  static allocate(bytes: number): NativeMemory {
    checkInteger("the number of bytes to allocate", bytes, 0, Number.MAX_SAFE_INTEGER);
    if (bytes === 0) return new NativeMemory(0, new ArrayBuffer(0));
    try {
      return new NativeMemory(bytes, addon().allocateMemory(bytes));
    } catch (error) {
      throw withContext(error, `cannot allocate ${bytes} bytes`);
    }
  }

  /**
   * Maps a range of a file. The mapping is private: writing to it changes only this process's copy, never the file.
   * The file must not be made shorter while it is mapped: touching what was cut off ends the process.
   * @param range.offset first byte, any alignment; 0 unless told
   * @param range.bytes length; to the end of the file unless told
   * @throws TypeError on bad arguments, Error when the file cannot be read or is shorter than the range
   */
  static mapFile(path: string, range: { readonly offset?: number; readonly bytes?: number } = {}): NativeMemory {
    if (typeof path !== "string") throw new TypeError(`the file to map must be a path; found ${describe(path)}`);
    const offset = checkInteger("the offset of the mapping", range.offset ?? 0, 0, Number.MAX_SAFE_INTEGER);
    const file = resolve(path);
    const status = statSync(file, { throwIfNoEntry: false });
    if (!status) throw new Error(`cannot map ${file}: no such file`);
    if (!status.isFile()) throw new Error(`cannot map ${file}: it is not a regular file`);
    const wanted = range.bytes ?? Math.max(0, status.size - offset);
    const bytes = checkInteger("the size of the mapping", wanted, 0, Number.MAX_SAFE_INTEGER);
    if (offset + bytes > status.size) {
      throw new Error(
        `cannot map ${file}: bytes ${offset} to ${offset + bytes} were asked for, but the file has ${status.size}`,
      );
    }
    if (bytes === 0) return new NativeMemory(0, new ArrayBuffer(0));
    try {
      return new NativeMemory(bytes, addon().mapFile(file, offset, bytes));
    } catch (error) {
      throw withContext(error, `cannot map ${file}`);
    }
  }

  /** Bytes now mapped by all NativeMemory of this process, in whole pages. */
  static get bytesInUse(): number {
    return addon().memoryInUse();
  }

  /** Whether `free()` was called (or someone detached the memory by `transfer()` on a view's buffer). */
  get freed(): boolean {
    return this.#buffer?.byteLength !== this.bytes;
  }

  /**
   * A view of part of the memory, with no copy. It keeps the memory alive; after `free()` its length is 0.
   * @param offset first byte; 0 unless told
   * @param length number of bytes, below 2^31; to the end unless told
   * @throws TypeError when the range is not inside the memory or too long for a view, Error when the memory was freed
   */
  bytesView(offset = 0, length: number = this.bytes - offset): Uint8Array<ArrayBuffer> {
    const buffer = this.#live();
    checkInteger("the offset of the view", offset, 0, this.bytes);
    checkInteger("the length of the view", length, 0, Math.min(VIEW_LIMIT, this.bytes - offset));
    return new Uint8Array(buffer, offset, length);
  }

  /**
   * Gives the memory back; views of it become empty. A run that still uses it keeps it until that run ends.
   * Calling it again does nothing.
   */
  free(): void {
    const buffer = this.#buffer;
    this.#buffer = undefined;
    if (buffer !== undefined && this.bytes > 0) addon().freeMemory(buffer);
  }

  #live(): ArrayBuffer {
    const buffer = this.#buffer;
    if (buffer?.byteLength !== this.bytes) throw new Error(`this memory of ${this.bytes} bytes was freed`);
    return buffer;
  }
}

/**
 * The buffer that a NativeMemory owns.
 * @throws Error when it was freed
 */
export function nativeBuffer(memory: NativeMemory): ArrayBuffer {
  return bufferOf(memory);
}

function withContext(error: unknown, what: string): Error {
  if (!(error instanceof Error)) return new Error(`${what}: ${String(error)}`);
  // An addon that is not built is the whole story; anything else needs to be told what was being done.
  return error.message.startsWith("the native addon")
    ? error
    : new Error(`${what}: ${error.message}`, { cause: error });
}
