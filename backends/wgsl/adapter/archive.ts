import { brotliDecompressSync } from "node:zlib";

/** A regular file of an archive. */
export interface ArchiveFile {
  readonly name: string;
  readonly content: Buffer;
}

const BLOCK = 512;

/**
 * Reads the regular files out of a brotli-compressed ustar archive.
 *
 * A reader of thirty lines, because the tar libraries in the tree are there only by way of other packages.
 * @throws Error saying at which byte the archive is damaged
 */
export function readTarBr(compressed: Buffer): ArchiveFile[] {
  const tar = brotliDecompressSync(compressed);
  const files: ArchiveFile[] = [];
  let offset = 0;
  while (offset + BLOCK <= tar.length) {
    const header = tar.subarray(offset, offset + BLOCK);
    if (header[0] === 0) break; // the end is marked by blocks of zeros
    if (checksum(header) !== octal(header, 148, 8)) throw new Error(`the tar header at byte ${offset} is damaged`);
    const size = octal(header, 124, 12);
    const start = offset + BLOCK;
    if (start + size > tar.length) throw new Error(`the tar archive ends within the file at byte ${offset}`);
    const kind = String.fromCharCode(header[156] ?? 0);
    // Copied, so that one file does not keep the whole archive in memory.
    if (kind === "0" || kind === "\0")
      files.push({ name: text(header, 0, 100), content: Buffer.from(tar.subarray(start, start + size)) });
    offset = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}

function text(header: Buffer, start: number, length: number): string {
  const field = header.toString("latin1", start, start + length);
  const end = field.indexOf("\0");
  return end < 0 ? field : field.slice(0, end);
}

function octal(header: Buffer, start: number, length: number): number {
  const value = Number.parseInt(text(header, start, length).trim(), 8);
  if (Number.isNaN(value)) throw new Error(`a tar header has no number at its byte ${start}`);
  return value;
}

/** The sum of the header's bytes, its own checksum field counted as spaces. */
function checksum(header: Buffer): number {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 32 : (header[i] ?? 0);
  return sum;
}
