/**
 * What backends need of native code. Backends do not import the runtime, which has it: whoever makes a backend hands it in.
 * The module `runtime/native.ts` fits as it is. `M` is its type of memory.
 */
export interface NativeHost<M extends NativeMemory = NativeMemory> {
  /** Features of this CPU by Linux's names ("avx2"); empty where the system does not tell. */
  cpuFeatures(): ReadonlySet<string>;
  /** Who made this CPU, as CPUID says ("GenuineIntel"); undefined where the system does not tell. */
  cpuVendor(): string | undefined;
  /** The CPU's name. */
  cpuModel(): string;
  readonly NativeMemory: {
    /** Zeroed memory outside the JavaScript heap, aligned to at least 64 bytes. */
    allocate(bytes: number): M;
  };
  /** Opens a shared library. Throws Error where it cannot be loaded. */
  openLibrary(path: string): NativeLibrary<NoInfer<M>>;
}

/** Memory outside the JavaScript heap. */
export interface NativeMemory {
  readonly bytes: number;
  /** A view without a copy; offset and length in bytes. */
  bytesView(offset?: number, length?: number): Uint8Array<ArrayBuffer>;
  free(): void;
}

/** A shared library whose functions have the signature `int32_t f(void *const *buffers, const int64_t *dims, int32_t threads)`. */
export interface NativeLibrary<M extends NativeMemory = NativeMemory> {
  /** Calls a function `repeat` times off the main thread, until it returns other than 0. One duration per call. */
  run(
    symbol: string,
    buffers: readonly (ArrayBufferView | M)[],
    dims: readonly number[],
    options?: { readonly threads?: number; readonly repeat?: number },
  ): Promise<{ readonly status: number; readonly nanoseconds: Float64Array }>;
  /** Calls a function without arguments that returns text. */
  text(symbol: string): string | null;
  close(): void;
}
