import type { Names } from "./names.ts";

/** Collects lines of C with their indentation. */
export class CodeWriter {
  readonly #lines: string[] = [];
  readonly #names: Names | undefined;
  #depth = 0;

  /** Names that are taken inside a block are free again after it. */
  constructor(names?: Names) {
    this.#names = names;
  }

  line(text: string): void {
    this.#lines.push(text === "" ? "" : "  ".repeat(this.#depth) + text);
  }

  lines(texts: Iterable<string>): void {
    for (const text of texts) this.line(text);
  }

  /** `head {`, the lines that `body` writes, `}`. */
  block(head: string, body: () => void): void {
    const mark = this.#names?.mark() ?? 0;
    this.line(head === "" ? "{" : `${head} {`);
    this.#depth++;
    body();
    this.#depth--;
    this.line("}");
    this.#names?.release(mark);
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}
