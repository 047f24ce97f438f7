import { z } from "zod";
import { type Dtype, isDtype, tensorBytes } from "./dtype.ts";
import { findDuplicateKey } from "./duplicate-keys.ts";
import { count, SafetensorsError } from "./error.ts";

/** Where a tensor lies. The range is of absolute byte offsets in its file: it can be mapped or read as it stands. */
export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** First byte. */
  readonly begin: number;
  /** Byte after the last. */
  readonly end: number;
  /** The file that holds it: of a sharded checkpoint, the shard. */
  readonly path: string;
}

export interface Header {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The free text that the writer added. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** The longest header that readers of the format accept, in bytes. */
export const HEADER_LIMIT = 100_000_000;

const AGAIN = "download or write it again";

const offset = z.int().nonnegative();
const entrySchema = z.object({ dtype: z.string(), shape: z.array(offset), data_offsets: z.tuple([offset, offset]) });

/**
 * Checks the first eight bytes of a file, the length of its header.
 * @param start the file's first bytes: at least 9 where the file has them
 * @returns the length of the header in bytes
 * @throws SafetensorsError
 */
export function parseHeaderLength(start: Uint8Array, file: string, fileSize: number): number {
  const text = new TextDecoder("latin1").decode(start);
  if (text.startsWith("version https://git-lfs")) {
    const problem = "it is a Git LFS pointer, not the weights";
    throw new SafetensorsError({ file, problem, remedy: "fetch them with `git lfs pull`" });
  }
  if (fileSize < 8) throw truncated(file, 8, fileSize, "at least ");
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const opensHeader = fileSize === 8 || text[8] === "{";
  if (!opensHeader || length > HEADER_LIMIT || length < 2) {
    const found = opensHeader ? `its header claims ${count(length)} bytes` : "no JSON header follows its first 8 bytes";
    const problem = `not a safetensors file: ${found} (2 to ${count(HEADER_LIMIT)} bytes of JSON expected)`;
    throw new SafetensorsError({ file, problem, remedy: AGAIN });
  }
  if (8 + length > fileSize) throw truncated(file, 8 + length, fileSize, "at least ");
  return length;
}

/**
 * Reads and checks a header: every tensor's dtype, shape and byte range, and that the ranges fill the file without overlap.
 * @param bytes the JSON header, without the eight bytes of its length
 * @throws SafetensorsError
 */
export function parseHeader(bytes: Uint8Array, file: string, fileSize: number): Header {
  const parsed = parseJson(bytes, file);
  const dataStart = 8 + bytes.length;
  const tensors = new Map<string, TensorInfo>();
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const [name, entry] of Object.entries(parsed)) {
    if (name === "__metadata__") metadata = parseMetadata(entry, file);
    else tensors.set(name, parseTensor(name, entry, file, dataStart));
  }
  checkCover(tensors, file, dataStart, fileSize);
  return { tensors, metadata };
}

function parseJson(bytes: Uint8Array, file: string): object {
  let text: string;
  let parsed: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    parsed = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message : "not UTF-8";
    throw malformed(file, `its header is not well-formed JSON (${reason})`, error);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw malformed(file, "its header is not a JSON object");
  }
  const twice = findDuplicateKey(text);
  if (twice !== undefined) throw malformed(file, `its header has the key ${JSON.stringify(twice)} twice`);
  return parsed;
}

function parseMetadata(entry: unknown, file: string): ReadonlyMap<string, string> {
  const isObject = typeof entry === "object" && entry !== null && !Array.isArray(entry);
  if (!isObject) throw malformed(file, "its __metadata__ is not an object");
  const metadata = new Map<string, string>();
  for (const [key, value] of Object.entries(entry)) {
    if (typeof value !== "string") throw malformed(file, `its __metadata__ has no text for ${JSON.stringify(key)}`);
    metadata.set(key, value);
  }
  return metadata;
}

function parseTensor(name: string, entry: unknown, file: string, dataStart: number): TensorInfo {
  const fail = (problem: string) => new SafetensorsError({ file, tensor: name, problem, remedy: AGAIN });
  const result = entrySchema.safeParse(entry);
  if (!result.success) throw fail(`its entry in the header is malformed (${firstIssue(result.error)})`);
  const { dtype, shape, data_offsets } = result.data;
  const [begin, end] = data_offsets;
  if (!isDtype(dtype)) {
    const problem = `its dtype ${JSON.stringify(dtype)} is unknown`;
    throw new SafetensorsError({ file, tensor: name, problem, remedy: "convert it to F32, F16 or BF16" });
  }
  const bytes = tensorBytes(dtype, shape);
  if (bytes === undefined) throw fail(`its shape [${shape}] of ${dtype} is no possible number of bytes`);
  if (end - begin !== bytes) {
    const found = `its data_offsets [${begin}, ${end}] hold ${count(end - begin)}`;
    throw fail(`shape [${shape}] of ${dtype} needs ${count(bytes)} bytes, but ${found}`);
  }
  return { dtype, shape, begin: dataStart + begin, end: dataStart + end, path: file };
}

/** The tensors must fill everything after the header: bytes that belong to none would carry data nobody checks. */
function checkCover(tensors: ReadonlyMap<string, TensorInfo>, file: string, dataStart: number, fileSize: number): void {
  const sorted = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let covered = dataStart;
  let before = "the header";
  for (const [name, { begin, end }] of sorted) {
    if (begin !== covered) {
      const bytes = count(Math.abs(begin - covered));
      const problem =
        begin < covered ? `it overlaps ${before} by ${bytes} bytes` : `${bytes} unused bytes lie before it`;
      throw new SafetensorsError({ file, tensor: name, problem, remedy: AGAIN });
    }
    covered = end;
    before = `tensor ${JSON.stringify(name)}`;
  }
  if (covered > fileSize) throw truncated(file, covered, fileSize);
  if (covered < fileSize) {
    throw malformed(file, `${count(fileSize - covered)} unused bytes follow its last tensor`);
  }
}

/** The error for a file with fewer bytes than its header promises. */
export function truncated(file: string, expected: number, found: number, about = ""): SafetensorsError {
  const problem = `the file is truncated: ${about}${count(expected)} bytes expected, ${count(found)} found`;
  return new SafetensorsError({ file, problem, remedy: AGAIN });
}

function malformed(file: string, problem: string, cause?: unknown): SafetensorsError {
  return new SafetensorsError({ file, problem, remedy: AGAIN, cause });
}

/** The first complaint of a schema, with its place: "shape.1: Invalid input: expected int, received string". */
export function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  return issue.path.length === 0 ? issue.message : `${issue.path.join(".")}: ${issue.message}`;
}
