import { createHash, type Hash, randomBytes } from "node:crypto";
import { mkdir, open, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Backend, LoadedLayer } from "../backends/backend.ts";
import type { Compilation } from "../codegen/compile.ts";
import { programWeights } from "../codegen/program-weights.ts";
import { isBlockFormat } from "../ir/core/block-formats.ts";
import { compilerStamp } from "./cache.ts";
import type { CheckpointMatch } from "./checkpoint/match.ts";
import { checkIds } from "./ids.ts";
import { NativeMemory } from "./native.ts";
import type { SafetensorsFile } from "./safetensors/index.ts";
import { loadWeights } from "./weights.ts";

/** Bytes that are hashed, read or written at a time. */
const PIECE = 2 ** 24;
/** Buffers begin at multiples of this. */
const ALIGNMENT = 64;
/** Bytes of all files of the folder; those that were used last are kept. */
const MOST = 2 ** 34;
/** Milliseconds after which nobody writes to an unfinished file any more. */
const ABANDONED = 3600_000;

/** What stands before the buffers of a kept file. */
interface Header {
  readonly rounded: readonly string[];
  readonly buffers: readonly { readonly name: string; readonly offset: number; readonly bytes: number }[];
}

/**
 * Gives a loaded layer its weights from a checkpoint. Rounding to blocks and laying out takes far longer than reading, so
 * where a weight is in blocks the buffers that came of it are kept in the folder, by the hash of all that they are made of: the
 * tensors' content, their layout, the sources and the compiler. A file's name has the hash of its content, which is verified before it
 * is used; a damaged one is made anew, with a warning.
 * @param folder undefined for none
 * @returns weights that the checkpoint has in a wider type, and how to end the weights' life once the layer is closed
 * @throws DiagnosticError as loadWeights and checkIds do, LackError where memory is lacking
 */
export async function setCheckpointWeights(
  backend: Backend,
  loaded: LoadedLayer,
  compilation: Compilation,
  file: SafetensorsFile,
  match: CheckpointMatch,
  folder: string | undefined,
): Promise<{ readonly rounded: readonly string[]; readonly kept: boolean; close(): void }> {
  const isDear = compilation.stored.args.some((a) => isBlockFormat(a.value.type.dtype));
  const key =
    folder !== undefined && isDear && loaded.prepared && loaded.setPrepared
      ? await keyOf(backend, compilation, file, match)
      : undefined;
  if (folder !== undefined && key !== undefined) {
    const found = await findKept(folder, key);
    if (found) {
      await loaded.setPrepared?.(found.buffers);
      return { rounded: found.rounded, kept: true, close: () => {} };
    }
  }
  const weights = await loadWeights(compilation.stored, file, match);
  try {
    checkIds(compilation.stored, weights.tensors, file.path);
    await loaded.setWeights(programWeights(compilation.program, weights.tensors));
    const prepared = loaded.prepared?.();
    if (folder !== undefined && key !== undefined && prepared) await keep(folder, key, weights.rounded, prepared);
  } catch (error) {
    weights.free();
    throw error;
  }
  return { rounded: weights.rounded, kept: false, close: weights.free };
}

async function keyOf(
  backend: Backend,
  { stored, program, target }: Compilation,
  file: SafetensorsFile,
  { weights }: CheckpointMatch,
): Promise<string> {
  const hash = createHash("sha256").update(compilerStamp(["ir", "codegen", "backends", "runtime"]));
  for (const [path, text] of await backend.emit(program, target))
    hash.update(`${path.length}:${path}${text.length}:`).update(text);
  for (const { argument, source, layout, keys, scales, zeros } of weights) {
    const { name } = argument.value;
    const type = stored.args.find((a) => a.value.name === name)?.value.type;
    hash.update(JSON.stringify([name, type?.dtype, source, layout]));
    for (const tensor of [...keys, ...scales, ...zeros].filter((each) => each !== "")) {
      const { dtype, shape, begin, end } = file.info(tensor);
      hash.update(JSON.stringify([dtype, shape]));
      for (let from = 0; from < end - begin; from += PIECE) {
        const bytes = new Uint8Array(Math.min(PIECE, end - begin - from));
        await file.readRange(tensor, from, bytes);
        hash.update(bytes);
      }
    }
  }
  return hash.digest("hex").slice(0, 32);
}

async function findKept(
  folder: string,
  key: string,
): Promise<{ readonly rounded: readonly string[]; readonly buffers: ReadonlyMap<string, NativeMemory> } | undefined> {
  for (const name of await readdir(folder).catch(() => [])) {
    const [, own, content] = /^([0-9a-f]{32})-([0-9a-f]{32})\.weights$/.exec(name) ?? [];
    if (own !== key) continue;
    const path = join(folder, name);
    const memory = NativeMemory.mapFile(path);
    const hash = createHash("sha256");
    for (const piece of piecesOf(memory)) hash.update(piece);
    if (hash.digest("hex").slice(0, 32) !== content) {
      memory.free();
      process.emitWarning(`the kept weights ${path} are not what was written there: they are made anew`);
      await rm(path, { force: true });
      continue;
    }
    await utimes(path, new Date(), new Date()).catch(() => {});
    const length = Number(new DataView(memory.bytesView(0, 8).slice().buffer).getBigUint64(0, true));
    const { rounded, buffers } = JSON.parse(Buffer.from(memory.bytesView(8, length)).toString()) as Header;
    memory.free();
    const mapped = buffers.map(
      (b) => [b.name, NativeMemory.mapFile(path, { offset: b.offset, bytes: b.bytes })] as const,
    );
    return { rounded, buffers: new Map(mapped) };
  }
  return undefined;
}

type Held =
  NonNullable<ReturnType<NonNullable<LoadedLayer["prepared"]>>> extends ReadonlyMap<string, infer B> ? B : never;

const bytesOf = (buffer: Held): number => ("bytes" in buffer ? buffer.bytes : buffer.byteLength);

function* piecesOf(buffer: Held): Generator<Uint8Array> {
  for (let from = 0; from < bytesOf(buffer); from += PIECE) {
    const length = Math.min(PIECE, bytesOf(buffer) - from);
    yield "bytes" in buffer
      ? buffer.bytesView(from, length)
      : new Uint8Array(buffer.buffer, buffer.byteOffset + from, length);
  }
}

/** Writes a file whole or not at all. A folder that cannot be written only costs time. */
async function keep(
  folder: string,
  key: string,
  rounded: readonly string[],
  prepared: ReadonlyMap<string, Held>,
): Promise<void> {
  const sizes = [...prepared].map(([name, buffer]) => ({ name, bytes: bytesOf(buffer) }));
  const total = sizes.reduce((sum, { bytes }) => sum + bytes + ALIGNMENT, 0);
  if (total > MOST) return;
  const temporary = join(folder, `.${key}-${randomBytes(8).toString("hex")}`);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const header = headerOf(rounded, sizes);
    const hash = createHash("sha256");
    const out = await open(temporary, "wx", 0o600);
    try {
      const write = async (bytes: Uint8Array, to: Hash): Promise<void> => {
        to.update(bytes);
        for (let done = 0; done < bytes.length; ) done += (await out.write(bytes, done)).bytesWritten;
      };
      await write(header, hash);
      for (const buffer of prepared.values()) {
        for (const piece of piecesOf(buffer)) await write(piece, hash);
        await write(new Uint8Array(-bytesOf(buffer) & (ALIGNMENT - 1)), hash);
      }
    } finally {
      await out.close();
    }
    await rename(temporary, join(folder, `${key}-${hash.digest("hex").slice(0, 32)}.weights`));
    await removeOldest(folder);
  } catch {
    await rm(temporary, { force: true }).catch(() => {});
  }
}

/** Its length, a header and zeros up to where the first buffer begins. */
function headerOf(
  rounded: readonly string[],
  sizes: readonly { readonly name: string; readonly bytes: number }[],
): Buffer {
  const aligned = (n: number): number => Math.ceil(n / ALIGNMENT) * ALIGNMENT;
  // Offsets have so many digits at most: the header is made once to see its length.
  const text = (start: number): string => {
    let offset = start;
    const buffers = sizes.map(({ name, bytes }) => {
      const each = { name, offset, bytes };
      offset = aligned(offset + bytes);
      return each;
    });
    return JSON.stringify({ rounded, buffers } satisfies Header);
  };
  const start = aligned(8 + Buffer.byteLength(text(Number.MAX_SAFE_INTEGER - 2 * MOST)));
  const header = Buffer.from(text(start));
  const out = Buffer.alloc(start);
  out.writeBigUInt64LE(BigInt(header.length));
  header.copy(out, 8);
  return out;
}

/** Removes what was used longest ago, and what processes left that were ended while they wrote. */
async function removeOldest(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => /\.weights$|^\.[0-9a-f]{32}-[0-9a-f]{16}$/.test(name));
  const files = await Promise.all(names.map(async (name) => ({ name, ...(await stat(join(folder, name))) })));
  files.sort((a, b) => b.mtimeMs - a.mtimeMs);
  let sum = 0;
  for (const { name, size, mtimeMs } of files) {
    const isWhole = name.endsWith(".weights");
    if (isWhole) sum += size;
    if (isWhole ? sum > MOST : mtimeMs < Date.now() - ABANDONED) await rm(join(folder, name), { force: true });
  }
}
