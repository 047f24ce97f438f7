import { availableParallelism } from "node:os";
import { cInterface } from "../../codegen/emit/c-family/interface.ts";
import { workspaceBytes } from "../../codegen/memory.ts";
import type { Program, ProgramBuffer } from "../../codegen/program.ts";
import { IrError } from "../../ir/core/diagnostic.ts";
import { elementArrays, type Tensor, type TensorStorage } from "../../ir/core/tensor.ts";
import { dtypeBytes, formatType } from "../../ir/core/types.ts";
import type { Evidence, LoadedLayer } from "../backend.ts";
import type { NativeHost, NativeLibrary, NativeMemory } from "../native-host.ts";

/** What a target says of the layers that it loads. */
export interface NativeLayerOptions {
  readonly evidence: Evidence;
  /** The device in words. */
  readonly device: string;
  /** Versions of the tools that made it. */
  readonly tools?: Readonly<Record<string, string>>;
  /** The error for a status other than 0 that a function returned. */
  failure(symbol: string, status: number): Error;
}

/** How an element type is held in JavaScript. */
/** A compiled layer in this process. Its buffers grow with the largest T seen and are reused. */
export class NativeLayer<M extends NativeMemory> implements LoadedLayer {
  readonly evidence: Evidence;
  readonly device: string;
  readonly tools: Readonly<Record<string, string>>;
  readonly #failure: NativeLayerOptions["failure"];
  readonly #host: NativeHost<M>;
  readonly #library: NativeLibrary<M>;
  readonly #program: Program;
  readonly #prefix: string;
  readonly #buffers: readonly ProgramBuffer[];
  /** Memory of prepared and output buffers, and the workspace under the empty name. */
  readonly #memory = new Map<string, M>();
  readonly #weights = new Map<string, TensorStorage>();
  /** Stands for buffers that a function does not use. */
  readonly #unused: M;
  #prepared = false;
  #busy: Promise<unknown> = Promise.resolve();

  constructor(host: NativeHost<M>, library: NativeLibrary<M>, program: Program, options: NativeLayerOptions) {
    this.#host = host;
    this.#library = library;
    this.#program = program;
    const { prefix, buffers } = cInterface(program);
    this.#prefix = prefix;
    this.#buffers = buffers;
    this.#unused = host.NativeMemory.allocate(64);
    this.evidence = options.evidence;
    this.device = options.device;
    this.tools = options.tools ?? {};
    this.#failure = options.failure;
  }

  async setWeights(weights: ReadonlyMap<string, Tensor>): Promise<void> {
    await this.#inTurn(async () => {
      const views = new Map<string, TensorStorage>();
      for (const b of this.#buffers)
        if (b.role === "weight") views.set(b.name, checkedData(b, weights.get(b.name), {}));
      for (const b of this.#buffers) if (b.role === "prepared") this.#reserve(b.name, bytesOf(b, {}));
      const pointers = this.#buffers.map((b) => views.get(b.name) ?? this.#memory.get(b.name) ?? this.#unused);
      const zeros = this.#program.symbols.map(() => 0);
      await this.#call("prepare", [...pointers, this.#unused], zeros, { threads: availableParallelism() });
      // Weights that only the preparation reads need not stay.
      const read = new Set(this.#program.kernels.flatMap((k) => k.buffers.map((b) => b.name)));
      this.#weights.clear();
      for (const [name, data] of views) if (read.has(name)) this.#weights.set(name, data);
      this.#prepared = true;
    });
  }

  prepared(): ReadonlyMap<string, M | TensorStorage> {
    const held = this.#held().map((b) => [b.name, this.#weights.get(b.name) ?? this.#memory.get(b.name)] as const);
    return new Map(held.flatMap(([name, memory]) => (memory ? [[name, memory] as const] : [])));
  }

  async setPrepared(buffers: ReadonlyMap<string, NativeMemory>): Promise<void> {
    await this.#inTurn(async () => {
      for (const b of this.#held()) {
        const memory = buffers.get(b.name);
        if (memory === undefined || memory.bytes < bytesOf(b, {}))
          throw new IrError(
            `expected ${bytesOf(b, {})} bytes for ${b.name}, found ${memory?.bytes ?? "none"}`,
            "Give what a layer of the same program prepared.",
          );
        this.#memory.get(b.name)?.free();
        // There is one class of native memory: the host's.
        this.#memory.set(b.name, memory as M);
      }
      this.#weights.clear();
      this.#prepared = true;
    });
  }

  /** Buffers that runs read and that the weights alone decide. */
  #held(): readonly ProgramBuffer[] {
    const read = new Set(this.#program.kernels.flatMap((k) => k.buffers.map((b) => b.name)));
    return this.#buffers.filter((b) => (b.role === "weight" || b.role === "prepared") && read.has(b.name));
  }

  async run(
    inputs: ReadonlyMap<string, Tensor>,
    dims: Readonly<Record<string, number>>,
    options: { readonly repeat?: number; readonly threads?: number } = {},
  ): Promise<{ readonly outputs: ReadonlyMap<string, Tensor>; readonly nanoseconds: Float64Array }> {
    return this.#inTurn(async () => {
      if (!this.#prepared) throw new IrError("the layer has no weights yet", "Give the weights before the first run.");
      const sizes = this.#program.symbols.map((symbol) => {
        const size = dims[symbol];
        if (size === undefined || !Number.isSafeInteger(size) || size < 0) {
          throw new IrError(
            `expected a whole number of at least 0 for ${symbol}, found ${size}`,
            `Give a value for ${symbol}.`,
          );
        }
        return size;
      });
      const pointers = this.#buffers.map((b) => {
        switch (b.role) {
          case "input":
            return checkedData(b, inputs.get(b.name), dims);
          case "weight":
            return this.#weights.get(b.name) ?? this.#memory.get(b.name) ?? this.#unused;
          case "output":
            return this.#reserve(b.name, bytesOf(b, dims));
          default:
            return this.#memory.get(b.name) ?? this.#unused;
        }
      });
      const workspace = this.#reserve("", workspaceBytes(this.#program, dims));
      const { nanoseconds } = await this.#call("run", [...pointers, workspace], sizes, {
        repeat: options.repeat ?? 1,
        threads: options.threads ?? availableParallelism(),
      });
      const outputs = this.#buffers
        .filter((b) => b.role === "output")
        .map((b) => [b.name, this.#output(b, dims)] as const);
      return { outputs: new Map(outputs), nanoseconds };
    });
  }

  async close(): Promise<void> {
    await this.#inTurn(async () => {
      this.#library.close();
      for (const memory of this.#memory.values()) memory.free();
      this.#memory.clear();
      this.#unused.free();
    });
  }

  /** One after the other: they share buffers. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(work);
    this.#busy = result.catch(() => undefined);
    return result;
  }

  async #call(
    name: "prepare" | "run",
    pointers: readonly (ArrayBufferView | M)[],
    dims: readonly number[],
    options: { readonly repeat?: number; readonly threads: number },
  ): Promise<{ readonly nanoseconds: Float64Array }> {
    const { status, nanoseconds } = await this.#library.run(`${this.#prefix}_${name}`, pointers, dims, options);
    if (status !== 0) throw this.#failure(`${this.#prefix}_${name}`, status);
    return { nanoseconds };
  }

  /** Memory of at least so many bytes under a name; what was there is lost when it grows. */
  #reserve(name: string, bytes: number): M {
    const known = this.#memory.get(name);
    if (known && known.bytes >= bytes && known.bytes > 0) return known;
    known?.free();
    const memory = this.#host.NativeMemory.allocate(Math.max(64, bytes));
    this.#memory.set(name, memory);
    return memory;
  }

  #output(b: ProgramBuffer, dims: Readonly<Record<string, number>>): Tensor {
    const bytes = bytesOf(b, dims);
    const copy = this.#reserve(b.name, bytes).bytesView(0, bytes).slice();
    const data = new elementArrays[b.dtype](copy.buffer, 0, bytes / dtypeBytes[b.dtype]);
    return { dtype: b.dtype, dims: b.dims.map((d) => d.evaluate(dims)), data };
  }
}

const bytesOf = (b: ProgramBuffer, dims: Readonly<Record<string, number>>): number =>
  b.dims.reduce((n, d) => n * d.evaluate(dims), dtypeBytes[b.dtype]);

/** A tensor's data, if it is what the buffer holds. */
function checkedData(
  b: ProgramBuffer,
  tensor: Tensor | undefined,
  dims: Readonly<Record<string, number>>,
): TensorStorage {
  const shape = b.dims.map((d) => d.evaluate(dims));
  const expected = `${b.role} ${b.name}: ${formatType(b)}`;
  if (!tensor) throw new IrError(`expected ${expected}, found none`, `Give a tensor for ${b.name}.`);
  const found = `${tensor.dtype}[${tensor.dims.join(", ")}]`;
  if (tensor.dtype !== b.dtype || tensor.dims.join() !== shape.join()) {
    throw new IrError(
      `expected ${expected} with dimensions [${shape.join(", ")}], found ${found}`,
      "Give a tensor of this type.",
    );
  }
  const count = shape.reduce((a, n) => a * n, 1);
  if (!(tensor.data instanceof elementArrays[b.dtype]) || tensor.data.length !== count) {
    throw new IrError(
      `expected ${expected} as ${elementArrays[b.dtype].name} of ${count}, found ${tensor.data.constructor.name} of ${tensor.data.length}`,
      "Hold the elements in the dtype's own array type.",
    );
  }
  return tensor.data;
}
