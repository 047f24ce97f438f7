import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { DTYPE_BITS, type Dtype, isDtype, tensorBytes } from "./dtype.ts";
import { count, errorCode, SafetensorsError } from "./error.ts";
import { HEADER_LIMIT } from "./header.ts";

/** A tensor that will be written. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** A tensor with its elements, little-endian and row-major, in any typed array: only its bytes count. */
export interface TensorData {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

export interface WriteOptions {
  /** Free text for the header. */
  readonly metadata?: Readonly<Record<string, string>>;
}

interface Slot extends TensorSpec {
  readonly bytes: number;
}

/** The data starts at a multiple of this, so that a mapped file can be used in place. */
const DATA_ALIGNMENT = 64;

/**
 * Writes a safetensors file piece by piece. The bytes go to a temporary file beside the destination, which `finish` renames:
 * whatever goes wrong, the destination is either the old file or the whole new one.
 */
export class SafetensorsWriter {
  readonly path: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  readonly #slots: readonly Slot[];
  #state: "open" | "finishing" | "finished" | "aborted" = "open";
  #slot = 0;
  #doneInSlot = 0;
  #position: number;
  #tail: Promise<void>;

  private constructor(path: string, temporary: string, handle: FileHandle, slots: readonly Slot[], header: Uint8Array) {
    this.path = path;
    this.#temporary = temporary;
    this.#handle = handle;
    this.#slots = slots;
    this.#position = header.length;
    this.#tail = this.#put(header, 0);
    this.#tail.catch(() => {}); // whoever writes or finishes next will see it
  }

  /**
   * Starts a file. The tensors lie in it in the order given here, and their data must come in that order.
   * @throws SafetensorsError when a tensor is impossible or named twice, or the destination cannot be written
   */
  static async create(
    path: string,
    tensors: readonly TensorSpec[],
    options: WriteOptions = {},
  ): Promise<SafetensorsWriter> {
    const file = resolve(path);
    const slots = checkSpecs(file, tensors);
    const header = encodeHeader(file, slots, options.metadata);
    if ((await stat(file).catch(() => undefined))?.isDirectory()) {
      const remedy = "name a file in it, or delete the folder";
      throw new SafetensorsError({ file, problem: "the destination is a folder", remedy });
    }
    const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString("hex")}.tmp`);
    let handle: FileHandle;
    try {
      handle = await open(temporary, "wx");
    } catch (error) {
      throw cannotWrite(file, error);
    }
    return new SafetensorsWriter(file, temporary, handle, slots, header);
  }

  /**
   * Appends bytes to a tensor. The memory must not change until the promise settles; calls need not wait for each other.
   * @throws SafetensorsError (as a rejection) when it is not this tensor's turn, the bytes are more than it has, or the disk
   *   refuses them
   */
  async write(name: string, data: ArrayBufferView): Promise<void> {
    this.#mustBeOpen();
    while (this.#slot < this.#slots.length && this.#isFull() && this.#slots[this.#slot].name !== name) this.#next();
    const slot = this.#slots.at(this.#slot); // undefined after the last
    if (slot?.name !== name) {
      const expected = slot ? `${JSON.stringify(slot.name)} is to be written now` : "all tensors are already written";
      throw this.#misuse(name, `it is not its turn: ${expected}`, "write the tensors in the order they were announced");
    }
    if (this.#doneInSlot + data.byteLength > slot.bytes) {
      const found = count(this.#doneInSlot + data.byteLength);
      throw this.#misuse(
        name,
        `it has ${count(slot.bytes)} bytes, but ${found} were given`,
        "check its shape and dtype",
      );
    }
    const position = this.#position;
    this.#position += data.byteLength;
    this.#doneInSlot += data.byteLength;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#tail = this.#tail.then(() => this.#put(bytes, position));
    await this.#tail;
  }

  /**
   * Completes the file and gives it its name.
   * @throws SafetensorsError when data lacks or the disk refuses it; the temporary file is then deleted
   */
  async finish(): Promise<void> {
    this.#mustBeOpen();
    this.#state = "finishing";
    try {
      await this.#tail;
      while (this.#slot < this.#slots.length && this.#isFull()) this.#next();
      if (this.#slot < this.#slots.length) {
        const { name, bytes } = this.#slots[this.#slot];
        const problem = `it needs ${count(bytes)} bytes, but ${count(this.#doneInSlot)} were given`;
        throw this.#misuse(name, problem, "write all of every tensor before finish");
      }
      await this.#handle.close();
      await rename(this.#temporary, this.path);
      this.#state = "finished";
    } catch (error) {
      await this.#discard();
      throw error instanceof SafetensorsError ? error : cannotWrite(this.path, error);
    }
  }

  /** Gives up and deletes the temporary file; the destination stays as it was. After finish it does nothing. */
  async abort(): Promise<void> {
    if (this.#state === "open") await this.#discard();
  }

  async #discard(): Promise<void> {
    this.#state = "aborted";
    await this.#tail.catch(() => {});
    await this.#handle.close().catch(() => {});
    await rm(this.#temporary, { force: true });
  }

  #isFull(): boolean {
    return this.#doneInSlot === this.#slots[this.#slot].bytes;
  }

  #next(): void {
    this.#slot++;
    this.#doneInSlot = 0;
  }

  async #put(bytes: Uint8Array, position: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        const length = Math.min(2 ** 28, bytes.length - done);
        done += (await this.#handle.write(bytes, done, length, position + done)).bytesWritten;
      }
    } catch (error) {
      throw cannotWrite(this.path, error);
    }
  }

  #mustBeOpen(): void {
    if (this.#state === "open") return;
    const problem = this.#state === "aborted" ? "writing it was given up" : "it was already finished";
    throw new SafetensorsError({ file: this.path, problem, remedy: "make a new writer" });
  }

  #misuse(tensor: string, problem: string, remedy: string): SafetensorsError {
    return new SafetensorsError({ file: this.path, tensor, problem, remedy });
  }
}

/**
 * Writes a whole file at once. Wider dtypes come first, so that every tensor is aligned to its elements.
 * @throws SafetensorsError when a tensor's data does not fit its shape, or the destination cannot be written
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorData> | Readonly<Record<string, TensorData>>,
  options: WriteOptions = {},
): Promise<void> {
  const entries: [string, TensorData][] = tensors instanceof Map ? [...tensors] : Object.entries(tensors);
  entries.sort(([, a], [, b]) => (DTYPE_BITS[b.dtype] ?? 0) - (DTYPE_BITS[a.dtype] ?? 0));
  const specs = entries.map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const writer = await SafetensorsWriter.create(path, specs, options);
  try {
    for (const [name, { data }] of entries) await writer.write(name, data);
    await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

function checkSpecs(file: string, tensors: readonly TensorSpec[]): Slot[] {
  const names = new Set<string>();
  return tensors.map(({ name, dtype, shape }) => {
    const fail = (problem: string, remedy: string) => new SafetensorsError({ file, tensor: name, problem, remedy });
    if (name === "__metadata__") throw fail("the format reserves this name", "name the tensor otherwise");
    if (names.has(name)) throw fail("it is announced twice", "give every tensor its own name");
    names.add(name);
    if (!isDtype(dtype)) throw fail(`its dtype ${JSON.stringify(dtype)} is unknown`, "use a dtype of the format");
    const isShape = shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0);
    const bytes = isShape ? tensorBytes(dtype, shape) : undefined;
    if (bytes === undefined) throw fail(`its shape [${shape}] of ${dtype} is impossible`, "check the shape");
    return { name, dtype, shape, bytes };
  });
}

function encodeHeader(file: string, slots: readonly Slot[], metadata: WriteOptions["metadata"]): Uint8Array {
  const entries = metadata === undefined ? [] : [`"__metadata__":${JSON.stringify(metadata)}`];
  let begin = 0;
  for (const { name, dtype, shape, bytes } of slots) {
    const data_offsets = [begin, begin + bytes];
    entries.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets })}`);
    begin += bytes;
  }
  const json = new TextEncoder().encode(`{${entries.join(",")}}`);
  const total = Math.ceil((8 + json.length) / DATA_ALIGNMENT) * DATA_ALIGNMENT;
  if (total - 8 > HEADER_LIMIT) {
    const problem = `its header would have ${count(total - 8)} bytes, and readers accept ${count(HEADER_LIMIT)}`;
    throw new SafetensorsError({ file, problem, remedy: "spread the tensors over several files" });
  }
  const header = new Uint8Array(total).fill(0x20); // the format pads with spaces
  new DataView(header.buffer).setBigUint64(0, BigInt(total - 8), true);
  header.set(json, 8);
  return header;
}

function cannotWrite(file: string, error: unknown): SafetensorsError {
  const folder = dirname(file);
  const remedies: Readonly<Record<string, string>> = {
    ENOENT: `the folder ${folder} does not exist: create it with mkdir -p`,
    ENOTDIR: `${folder} is not a folder: choose another place`,
    EACCES: `this user may not write to ${folder}: choose another place or change its permissions`,
    EPERM: `this user may not write to ${folder}: choose another place or change its permissions`,
    EROFS: `${folder} is read-only: choose another place`,
    ENOSPC: "the disk is full: free some space or choose another disk",
  };
  const remedy = remedies[errorCode(error) ?? ""] ?? "check the path and the disk";
  const reason = error instanceof Error ? error.message : String(error);
  return new SafetensorsError({ file, problem: `it cannot be written (${reason})`, remedy, cause: error });
}
