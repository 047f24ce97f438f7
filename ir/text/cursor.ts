import { type Diagnostic, DiagnosticError } from "../core/diagnostic.ts";
import type { Span } from "../core/span.ts";

/** Reads a text from left to right, and says where and why it cannot go on. */
export class Cursor {
  readonly #text: string;
  readonly #file: string;
  readonly #blank: RegExp;
  #position = 0;

  /** `comment`: the mark that begins a comment, up to the end of its line. */
  constructor(text: string, file: string, comment: "//" | "#" = "//") {
    this.#text = text;
    this.#file = file;
    this.#blank = comment === "//" ? /(?:\s|\/\/[^\n]*)*/y : /(?:\s|#[^\n]*)*/y;
  }

  get position(): number {
    return this.#position;
  }

  /** Goes back to an earlier position. */
  rewind(position: number): void {
    this.#position = position;
  }

  /** Skips white space and comments. */
  skip(comments = true): void {
    const pattern = comments ? this.#blank : /\s*/y;
    pattern.lastIndex = this.#position;
    pattern.exec(this.#text);
    this.#position = pattern.lastIndex;
  }

  /** Reads what a sticky pattern matches next, or gives undefined and stays. */
  match(pattern: RegExp, comments = true): string | undefined {
    this.skip(comments);
    pattern.lastIndex = this.#position;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#position += found.length;
    return found;
  }

  /** Reads a punctuation mark or word if it is next. */
  accept(mark: string, comments = true): boolean {
    this.skip(comments);
    if (!this.#text.startsWith(mark, this.#position)) return false;
    if (/\w$/.test(mark) && /\w/.test(this.#text[this.#position + mark.length] ?? "")) return false;
    this.#position += mark.length;
    return true;
  }

  expect(mark: string, help: string): void {
    if (!this.accept(mark)) this.unexpected(`"${mark}"`, help);
  }

  /** True at the end of the text. */
  get atEnd(): boolean {
    this.skip();
    return this.#position === this.#text.length;
  }

  /** The place of what stands between two positions; up to the end of the line. */
  span(start: number, end = start + 1): Span {
    const before = this.#text.slice(0, start);
    const line = before.split("\n").length;
    const column = start - before.lastIndexOf("\n");
    const [first = ""] = this.#text.slice(start, end).split("\n");
    return { file: this.#file, line, column, length: Math.max(1, first.trimEnd().length) };
  }

  /** Stops with U101: what comes next is not what the text form has here. */
  unexpected(expected: string, help: string): never {
    this.skip();
    const start = this.#position;
    const token = /"(?:[^"\\\n]|\\.)*"?|[\w.$]+|[^\s]/y;
    token.lastIndex = start;
    const found = token.exec(this.#text)?.[0];
    return this.fail({
      code: "U101",
      span: this.span(start, start + (found?.length ?? 1)),
      message: `expected ${expected}`,
      expected,
      found: found === undefined ? "the end of the text" : found,
      help,
    });
  }

  fail(diagnostic: Diagnostic): never {
    throw new DiagnosticError([diagnostic]);
  }
}
