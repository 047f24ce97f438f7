import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A temporary folder for the files of a test. */
export class Scratch {
  readonly folder = mkdtempSync(join(tmpdir(), "unmoor-safetensors-"));

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Writes bytes to a file and returns its path. */
  put(name: string, ...parts: (Uint8Array | string)[]): string {
    writeFileSync(this.path(name), Buffer.concat(parts.map((part) => Buffer.from(part))));
    return this.path(name);
  }

  /** Writes a safetensors file from the text of its header and its data, right or wrong, and returns its path. */
  putFile(name: string, header: string | object, data: Uint8Array | number): string {
    const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    return this.put(name, length, json, typeof data === "number" ? new Uint8Array(data) : data);
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
