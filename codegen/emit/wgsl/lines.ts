import { IrError } from "../../../ir/core/diagnostic.ts";
import { type Code, primary, print } from "./code.ts";
import type { Memory } from "./memory.ts";
import type { Names } from "./names.ts";

/** Names by what they mean, and what has a name already, by its text. */
interface Scope {
  readonly names: Map<string, Code | Memory>;
  readonly held: Map<string, Code>;
}

const emptyScope = (): Scope => ({ names: new Map(), held: new Map() });
const words = (text: string): string[] => text.match(/[A-Za-z_]\w*/g) ?? [];

/** The lines of a function while it is printed, in blocks, with the names that are in scope and what is held in them. */
export class Lines {
  readonly names: Names;
  readonly lines: string[] = [];
  #depth = 1;
  #scopes: Scope[] = [emptyScope()];
  /** Names of memory that changes. */
  protected readonly variables = new Set<string>();

  constructor(names: Names) {
    this.names = names;
  }

  line(text: string): void {
    this.lines.push(`${"  ".repeat(this.#depth)}${text}`);
  }

  /** Puts so many statements each on one line, from line `first` on. */
  joinLines(first: number, count: number): void {
    const loose = this.lines.splice(first).map((line) => line.trim());
    for (let i = 0; i < loose.length; i += count) this.line(loose.slice(i, i + count).join(" "));
  }

  /** `head {`, the lines that `body` prints in a scope of its own, and `}` or `tail`. */
  block(head: string, body: () => void, tail = "}"): void {
    this.line(`${head} {`);
    this.#depth++;
    this.scoped(body);
    this.#depth--;
    this.line(tail);
  }

  /** Continues after a block that ended with "} else {". */
  resume(body: () => void): void {
    this.#depth++;
    this.scoped(body);
    this.#depth--;
    this.line("}");
  }

  /** Runs `body` in a scope of its own, without braces. */
  scoped(body: () => void): void {
    this.#scopes.push(emptyScope());
    body();
    this.#scopes.pop();
  }

  define(name: string, meaning: Code | Memory): void {
    this.#scopes.at(-1)?.names.set(name, meaning);
  }

  protected find(name: string): Code | Memory {
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      const found = this.#scopes[i]?.names.get(name);
      if (found !== undefined) return found;
    }
    throw new IrError(`the kernel uses ${name}, which is not defined there`, `Define ${name} before its use.`);
  }

  /** Prints `let name = value`, unless the value is a constant or has a name already, and gives what to use in its place. */
  hold(hint: string, value: Code): Code {
    if (value.constant !== undefined || (value.offset === 0 && /^\w+$/.test(value.text))) return value;
    const text = print(value);
    const present = this.#findHeld(text);
    if (present !== undefined) return { ...present, natural: value.natural, multiple: value.multiple };
    const name = this.names.unique(hint);
    this.line(`let ${name} = ${text};`);
    const held = primary(value.type, name, value);
    this.#scopes.at(-1)?.held.set(text, held);
    return held;
  }

  /** What memory that changes gave is looked for in the innermost scope only: an outer one may stand before a loop. */
  #findHeld(text: string): Code | undefined {
    if (words(text).some((word) => this.variables.has(word))) return this.#scopes.at(-1)?.held.get(text);
    return this.#scopes.findLast((scope) => scope.held.has(text))?.held.get(text);
  }

  /** Forgets what was computed of memory that is written now. */
  protected forget(name: string): void {
    for (const { held } of this.#scopes)
      for (const text of held.keys()) if (words(text).includes(name)) held.delete(text);
  }
}
