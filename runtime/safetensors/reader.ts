import { type FileHandle, open } from "node:fs/promises";
import { resolve } from "node:path";
import { decodeBf16, decodeF16 } from "../../ir/core/float16.ts";
import { count, errorCode, SafetensorsError } from "./error.ts";
import { type Header, parseHeader, parseHeaderLength, type TensorInfo, truncated } from "./header.ts";

/** One system call reads at most this much: the system's own limit is 2 GiB. */
const READ_BYTES = 2 ** 28;
/** 16-bit and 64-bit tensors are widened through a buffer of this size. */
const DECODE_BYTES = 2 ** 23;

/** An open safetensors file, or all files of an open checkpoint: its tensors by name. */
export class SafetensorsFile {
  /** The file, or the checkpoint's index. */
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The free text that the writer added; empty for a sharded checkpoint. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly #handles: ReadonlyMap<string, FileHandle>;
  #closed = false;

  /** For the functions that open files. handles: by path, all that the tensors name. */
  constructor(path: string, header: Header, handles: ReadonlyMap<string, FileHandle>) {
    this.path = path;
    this.tensors = header.tensors;
    this.metadata = header.metadata;
    this.#handles = handles;
  }

  /**
   * The description of a tensor that must be there.
   * @throws SafetensorsError when it is not
   */
  info(name: string): TensorInfo {
    const info = this.tensors.get(name);
    if (info) return info;
    const some = [...this.tensors.keys()].slice(0, 3).map((each) => JSON.stringify(each));
    throw new SafetensorsError({
      file: this.path,
      tensor: name,
      problem: `there is no such tensor among its ${count(this.tensors.size)}${some.length ? ` (${some.join(", ")}, …)` : ""}`,
      remedy: "check the name, or that this is the right checkpoint",
    });
  }

  /**
   * Reads a tensor's bytes, little-endian and row-major, into memory of exactly its size.
   * @throws SafetensorsError when there is no such tensor, the size is another, or the file cannot be read
   */
  async readInto(name: string, target: Uint8Array): Promise<void> {
    const { begin, end } = this.info(name);
    if (target.length !== end - begin) {
      throw new SafetensorsError({
        file: this.path,
        tensor: name,
        problem: `it has ${count(end - begin)} bytes, but the target has ${count(target.length)}`,
        remedy: "pass a target of the tensor's size, or read a part of it with readRange",
      });
    }
    await this.readRange(name, 0, target);
  }

  /**
   * Fills target with the tensor's bytes from offset on: for tensors that are read piece by piece.
   * @throws SafetensorsError when there is no such tensor or range, or the file cannot be read
   */
  async readRange(name: string, offset: number, target: Uint8Array): Promise<void> {
    const { begin, end, path } = this.info(name);
    const handle = this.#handles.get(path);
    if (this.#closed || !handle) {
      throw new SafetensorsError({ file: this.path, problem: "the file was closed", remedy: "open it again to read" });
    }
    if (!Number.isInteger(offset) || offset < 0 || offset + target.length > end - begin) {
      throw new SafetensorsError({
        file: this.path,
        tensor: name,
        problem: `bytes ${offset} to ${offset + target.length} were asked for, but it has ${count(end - begin)}`,
        remedy: "ask for a range inside the tensor",
      });
    }
    await readFully(handle, path, begin + offset, target);
  }

  /**
   * Reads a tensor's bytes, little-endian and row-major, into fresh memory (aligned for any typed array).
   * @throws SafetensorsError when there is no such tensor, it does not fit one array, or the file cannot be read
   */
  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const { begin, end } = this.info(name);
    const bytes = allocate(this.path, name, () => new Uint8Array(end - begin));
    await this.readInto(name, bytes);
    return bytes;
  }

  /**
   * Reads a tensor of floats as f32: F32, F16 and BF16 exactly, F64 rounded to nearest.
   * @returns its elements, row-major
   * @throws SafetensorsError when there is no such tensor, it has another dtype, or the file cannot be read
   */
  async readF32(name: string): Promise<Float32Array<ArrayBuffer>> {
    const { dtype, shape, begin, end } = this.info(name);
    const elements = shape.reduce((product, dimension) => product * dimension, 1);
    const target = allocate(this.path, name, () => new Float32Array(elements));
    if (dtype === "F32") {
      await this.readInto(name, new Uint8Array(target.buffer));
      return target;
    }
    if (dtype !== "F16" && dtype !== "BF16" && dtype !== "F64") {
      throw new SafetensorsError({
        file: this.path,
        tensor: name,
        problem: `F32, F16, BF16 or F64 expected, but its dtype is ${dtype}`,
        remedy: "read its bytes with read, or convert the tensor",
      });
    }
    const size = dtype === "F64" ? 8 : 2;
    const chunk = new ArrayBuffer(Math.min(DECODE_BYTES, end - begin));
    for (let offset = 0; offset < end - begin; offset += chunk.byteLength) {
      const bytes = new Uint8Array(chunk, 0, Math.min(chunk.byteLength, end - begin - offset));
      await this.readRange(name, offset, bytes);
      const part = target.subarray(offset / size);
      if (dtype === "F64") part.set(new Float64Array(chunk, 0, bytes.length / 8));
      else if (dtype === "F16") decodeF16(new Uint16Array(chunk, 0, bytes.length / 2), part);
      else decodeBf16(new Uint16Array(chunk, 0, bytes.length / 2), part);
    }
    return target;
  }

  /** Closes the file; calling it again does nothing. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([...this.#handles.values()].map((handle) => handle.close()));
  }
}

/**
 * Opens a safetensors file, reading and checking its header only.
 * @throws SafetensorsError when it cannot be read, or anything in its header is wrong
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const { header, handle, file } = await openOne(path);
  return new SafetensorsFile(file, header, new Map([[file, handle]]));
}

/** Opens one file, and hands out its handle with the header. */
export async function openOne(path: string): Promise<{ header: Header; handle: FileHandle; file: string }> {
  const file = resolve(path);
  let handle: FileHandle;
  try {
    handle = await open(file, "r");
  } catch (error) {
    throw cannotRead(file, error);
  }
  try {
    const status = await handle.stat();
    if (!status.isFile()) {
      const remedy = "name a .safetensors file, or open a folder with openCheckpoint";
      throw new SafetensorsError({ file, problem: "it is not a regular file", remedy });
    }
    const start = new Uint8Array(Math.min(32, status.size));
    await readFully(handle, file, 0, start);
    const bytes = new Uint8Array(parseHeaderLength(start, file, status.size));
    await readFully(handle, file, 8, bytes);
    return { header: parseHeader(bytes, file, status.size), handle, file };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function readFully(handle: FileHandle, file: string, position: number, target: Uint8Array): Promise<void> {
  for (let done = 0; done < target.length; ) {
    const wanted = Math.min(READ_BYTES, target.length - done);
    let bytesRead: number;
    try {
      ({ bytesRead } = await handle.read(target, done, wanted, position + done));
    } catch (error) {
      throw cannotRead(file, error);
    }
    // The header was checked against the size: somebody has cut the file since.
    if (bytesRead === 0) throw truncated(file, position + target.length, position + done);
    done += bytesRead;
  }
}

/** The error for a file that the system refuses to read. */
export function cannotRead(file: string, error: unknown): SafetensorsError {
  const code = errorCode(error);
  if (code === "ENOENT") {
    return new SafetensorsError({ file, problem: "no such file", remedy: "check the path", cause: error });
  }
  const reason = error instanceof Error ? error.message : String(error);
  const remedy = code === "EACCES" ? "give this user permission to read it" : "check the path and the disk";
  return new SafetensorsError({ file, problem: `it cannot be read (${reason})`, remedy, cause: error });
}

function allocate<T>(file: string, tensor: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    const remedy = "read it piece by piece with readRange";
    throw new SafetensorsError({ file, tensor, problem: "it does not fit into memory as one array", remedy, cause });
  }
}
