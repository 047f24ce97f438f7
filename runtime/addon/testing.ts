import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A temporary folder in which tests compile small libraries. */
export class Workshop {
  readonly folder = mkdtempSync(join(tmpdir(), "unmoor-native-"));
  #count = 0;

  /** Compiles source text into a shared library and returns its path. */
  compile(source: string, compiler: "gcc" | "g++" = "gcc"): string {
    const base = join(this.folder, `library${this.#count++}`);
    const file = `${base}${compiler === "gcc" ? ".c" : ".cc"}`;
    writeFileSync(file, source);
    execFileSync(compiler, ["-O1", "-shared", "-fPIC", "-pthread", "-o", `${base}.so`, file]);
    return `${base}.so`;
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
