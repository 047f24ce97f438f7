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

  /** `head {`, the lines that `body` writes, `}`. Without a head, a single statement stands alone. */
  block(head: string, body: () => void): void {
    const mark = this.#names?.mark() ?? 0;
    const first = this.#lines.length;
    this.line(head === "" ? "{" : `${head} {`);
    this.#depth++;
    body();
    const inside = this.#lines.slice(first + 1);
    const indent = "  ".repeat(this.#depth);
    const statements = inside.filter((line) => line.startsWith(indent) && /[^\s}]/.test(line.charAt(indent.length)));
    this.#depth--;
    if (head === "" && statements.length === 1)
      this.#lines.splice(first, Infinity, ...inside.map((line) => line.slice(2)));
    else this.line("}");
    this.#names?.release(mark);
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}
