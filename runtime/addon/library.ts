import { resolve } from "node:path";
import { checkInteger, describe } from "./arguments.ts";
import { checkSharedLibrary } from "./elf.ts";
import { addon } from "./load.ts";
import { NativeMemory, nativeBuffer } from "./memory.ts";

/** Memory that a kernel gets as one pointer. `{memory, offset}` points offset bytes into the memory. */
export type RunBuffer = ArrayBufferView | NativeMemory | { readonly memory: NativeMemory; readonly offset: number };

export interface RunOptions {
  /** The number of threads told to the kernel, which makes them itself; 1 unless told. */
  readonly threads?: number;
  /** How many times the kernel is called, one after the other; 1 unless told, at most 10,000,000. */
  readonly repeat?: number;
}

export interface RunResult {
  /** What the last call returned: 0 for success. */
  readonly status: number;
  /** The duration of each call that was made, in nanoseconds of CLOCK_MONOTONIC; the last is the failed one if status is not 0. */
  readonly nanoseconds: Float64Array;
}

const MOST_THREADS = 4096;
const MOST_REPEATS = 10_000_000;

/** A shared library that is open in this process. It is unloaded by `close()` only, never by the garbage collector. */
export class NativeLibrary {
  /** The absolute path of its file. */
  readonly path: string;
  #id: number;

  /** For openLibrary: id is the addon's number for the library. */
  constructor(path: string, id: number) {
    this.path = path;
    this.#id = id;
  }

  /**
   * Whether the library itself (not one that it depends on) defines a function of that name.
   * @throws Error when the library was closed
   */
  has(symbol: string): boolean {
    return addon().hasSymbol(this.#open(), checkSymbol(symbol));
  }

  /**
   * Calls `int32_t symbol(void *const *buffers, const int64_t *dims, int32_t threads)` on a worker thread, `repeat`
   * times, until one call returns other than 0. The main thread stays free, and several runs may be in flight; two
   * that write the same memory race. The memory of all buffers is kept until the promise settles, even when it is
   * freed or detached meanwhile. A kernel that writes outside its buffers can crash the process: nothing checks that.
   * @param dims sizes that the kernel wants, each a safe integer
   * @returns rejects with TypeError on bad arguments, with Error when the symbol is missing, memory was freed, the library
   *   was closed, or the kernel threw a C++ exception
   */
  async run(
    symbol: string,
    buffers: readonly RunBuffer[],
    dims: readonly number[],
    options: RunOptions = {},
  ): Promise<RunResult> {
    const id = this.#open();
    checkSymbol(symbol);
    if (!Array.isArray(buffers)) throw new TypeError(`buffers must be an array; found ${describe(buffers)}`);
    if (!Array.isArray(dims)) throw new TypeError(`dims must be an array of integers; found ${describe(dims)}`);
    const places = Array.from(buffers, (buffer: RunBuffer, index) => locate(buffer, index));
    const sizes = Array.from(dims, (dim: number, index) =>
      checkInteger(`dims[${index}]`, dim, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    );
    const threads = checkInteger("threads", options.threads ?? 1, 1, MOST_THREADS);
    const repeat = checkInteger("repeat", options.repeat ?? 1, 1, MOST_REPEATS);
    if (!addon().hasSymbol(id, symbol)) throw this.#missing(symbol);
    return new Promise((settle, reject) => {
      addon().run(
        id,
        symbol,
        places.map((place) => place.buffer),
        places.map((place) => place.offset),
        sizes,
        threads,
        repeat,
        (error, status, nanoseconds) => {
          if (error) reject(new Error(`${symbol} in ${this.path} failed: ${error.message}`));
          else settle({ status, nanoseconds });
        },
      );
    });
  }

  /**
   * Calls `const char *symbol(void)`, at once and on this thread.
   * @returns its UTF-8 text; null when the library does not define the function, or it returned a null pointer
   * @throws Error when the library was closed or the function threw a C++ exception
   */
  text(symbol: string): string | null {
    const id = this.#open();
    try {
      return addon().callText(id, checkSymbol(symbol));
    } catch (error) {
      if (error instanceof TypeError || !(error instanceof Error)) throw error;
      throw new Error(`${symbol} in ${this.path} failed: ${error.message}`, { cause: error });
    }
  }

  /**
   * Unloads the library; calling it again does nothing. A library that keeps threads of its own must end them in a
   * destructor (`__attribute__((destructor))`).
   * @throws Error while runs are in flight
   */
  close(): void {
    const runs = addon().closeLibrary(this.#id);
    if (runs > 0) {
      throw new Error(`cannot close ${this.path}: ${runs} of its runs are still in flight; await their promises first`);
    }
    this.#id = 0;
  }

  #open(): number {
    if (this.#id === 0) throw new Error(`the library ${this.path} is closed`);
    return this.#id;
  }

  #missing(symbol: string): Error {
    return new Error(`the library ${this.path} does not define the function ${symbol}`);
  }
}

/**
 * Opens a shared library with its symbols kept to itself (RTLD_NOW | RTLD_LOCAL). The system knows open libraries by
 * path: a file that changes while it is open must get a new name to be loaded anew.
 * @throws TypeError when path is not a string, Error when there is no such file, it is not a complete shared library
 *   for this machine, or a symbol that it needs is missing
 */
export function openLibrary(path: string): NativeLibrary {
  if (typeof path !== "string") throw new TypeError(`the library must be a path; found ${describe(path)}`);
  const file = resolve(path);
  checkSharedLibrary(file);
  const native = addon();
  try {
    return new NativeLibrary(file, native.openLibrary(file));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`cannot open the library ${file}: ${reason.replace(`${file}: `, "")}`, { cause: error });
  }
}

function checkSymbol(symbol: unknown): string {
  if (typeof symbol === "string" && symbol !== "" && !symbol.includes("\0")) return symbol;
  throw new TypeError(`the symbol must be the name of a function; found ${describe(symbol)}`);
}

interface Place {
  readonly buffer: ArrayBuffer | ArrayBufferView;
  readonly offset: number;
}

function locate(buffer: RunBuffer, index: number): Place {
  const what = `buffers[${index}]`;
  if (ArrayBuffer.isView(buffer)) return { buffer: checkView(what, buffer), offset: 0 };
  if (buffer instanceof NativeMemory) return { buffer: liveBuffer(what, buffer), offset: 0 };
  if (typeof buffer === "object" && buffer !== null && buffer.memory instanceof NativeMemory) {
    const offset = checkInteger(`the offset of ${what}`, buffer.offset, 0, buffer.memory.bytes);
    return { buffer: liveBuffer(what, buffer.memory), offset };
  }
  throw new TypeError(
    `${what} must be a typed array, a DataView, a NativeMemory or {memory, offset}; found ${describe(buffer)}`,
  );
}

function checkView(what: string, view: ArrayBufferView): ArrayBufferView {
  const { buffer } = view as { buffer: ArrayBufferLike & { detached?: boolean; resizable?: boolean } };
  if (buffer.resizable === true) {
    throw new TypeError(
      `${what} is a view of a resizable ArrayBuffer, whose memory could vanish during the run; copy it`,
    );
  }
  return view;
}

function liveBuffer(what: string, memory: NativeMemory): ArrayBuffer {
  if (memory.freed) throw new Error(`${what} is NativeMemory that was freed`);
  return nativeBuffer(memory);
}
