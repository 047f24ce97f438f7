import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";

/** e_machine of the architectures that node runs on here. */
const MACHINES: Readonly<Record<string, number>> = { x64: 62, arm64: 183, riscv64: 243, s390x: 22, ppc64: 21 };

/** The size of one program header in 64-bit ELF. */
const SEGMENT_BYTES = 56;

/**
 * Checks that a file is a complete shared library for this machine. The system's loader crashes the whole process on a
 * library that was cut short, and calls one for another machine a missing file.
 * @throws Error saying what is wrong with the file
 */
export function checkSharedLibrary(path: string): void {
  const status = statSync(path, { throwIfNoEntry: false });
  if (!status) throw new Error(`cannot open the library ${path}: no such file`);
  if (!status.isFile()) throw new Error(`cannot open the library ${path}: it is not a regular file`);
  const file = openSync(path, "r");
  try {
    const header = read(file, 0, 64);
    const isElf = header.length === 64 && header.readUInt32BE(0) === 0x7f454c46;
    if (!isElf) throw new Error(`cannot open the library ${path}: it is not a shared library (no ELF header)`);
    const is64BitLittleEndian = header[4] === 2 && header[5] === 1;
    const machine = header.readUInt16LE(18);
    const own = MACHINES[process.arch];
    if (!is64BitLittleEndian || (own !== undefined && machine !== own)) {
      throw new Error(
        `cannot open the library ${path}: it is for another kind of machine (ELF machine ${machine}) than this ${process.arch}`,
      );
    }
    if (header.readUInt16LE(16) !== 3) {
      throw new Error(`cannot open the library ${path}: it is not a shared library (compile it with -shared -fPIC)`);
    }
    checkSegments(path, file, header, fstatSync(file).size);
  } finally {
    closeSync(file);
  }
}

function checkSegments(path: string, file: number, header: Buffer, size: number): void {
  const offset = Number(header.readBigUInt64LE(32));
  const count = header.readUInt16LE(56);
  if (header.readUInt16LE(54) !== SEGMENT_BYTES || offset > size) {
    throw new Error(`cannot open the library ${path}: its ELF header is damaged; compile it again`);
  }
  const table = read(file, offset, SEGMENT_BYTES * count);
  let needed = offset + SEGMENT_BYTES * count;
  for (let at = 0; at + SEGMENT_BYTES <= table.length; at += SEGMENT_BYTES) {
    const isLoaded = table.readUInt32LE(at) === 1;
    if (isLoaded) needed = Math.max(needed, Number(table.readBigUInt64LE(at + 8) + table.readBigUInt64LE(at + 32)));
  }
  if (needed > size) {
    throw new Error(
      `cannot open the library ${path}: it is cut short (${needed} bytes expected, ${size} found); compile it again`,
    );
  }
}

function read(file: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, position));
}
