import { blockFormatNames, formatOf, partsOf } from "../../ir/core/block-formats.ts";
import { DiagnosticError, IrError } from "../../ir/core/diagnostic.ts";
import { Dim } from "../../ir/core/dim.ts";
import { noSpan, type Span } from "../../ir/core/span.ts";
import { type ElementType, elementTypes } from "../../ir/core/types.ts";
import { Cursor } from "../../ir/text/cursor.ts";
import type { MemoryPlan, Program, ProgramBuffer, ProgramChoice } from "../program.ts";
import { TileError } from "./part-spec.ts";
import { checkKernel, checkProgram } from "./spec.ts";
import { StatementParser } from "./statement-parser.ts";
import type { Kernel, KernelBuffer, SizeRange } from "./types.ts";

/**
 * Reads the text of a kernel, as text.ts describes it, and checks it. Throws DiagnosticError with the place: U101 where the
 * text has another form, U102 where the kernel breaks a rule of the spec. Origins without a place have none.
 */
export function parseKernel(text: string, file = "<kernel>"): Kernel {
  const parser = new TileParser(new Cursor(text, file, "#"));
  const kernel = parser.kernel([]);
  parser.end("A text holds one kernel.");
  return parser.checked(() => checkKernel(kernel));
}

/** Reads the text of a program and checks it; throws as parseKernel does. */
export function parseProgram(text: string, file = "<program>"): Program {
  const parser = new TileParser(new Cursor(text, file, "#"));
  const program = parser.program();
  parser.end("A text holds one program.");
  return parser.checked(() => checkProgram(program));
}

const roles = ["input", "weight", "prepared", "output", "temporary"] as const;
const accessKinds = ["readwrite", "read", "write"] as const;

class TileParser {
  readonly #cursor: Cursor;
  /** Places of the statements, buffers and block coordinates of all kernels. */
  readonly #places = new Map<object, Span>();
  #head: Span = noSpan;

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  end(help: string): void {
    if (!this.#cursor.atEnd) this.#cursor.unexpected("the end of the text", help);
  }

  /** Runs a check; says at which place a rule is broken. */
  checked<T>(check: () => T): T {
    try {
      return check();
    } catch (error) {
      if (!(error instanceof IrError)) throw error;
      const part = error instanceof TileError ? error.part : undefined;
      const span = (part && this.#places.get(part)) ?? this.#head;
      throw new DiagnosticError([{ code: "U102", span, message: error.message, help: error.help }]);
    }
  }

  program(): Program {
    const cursor = this.#cursor;
    const name = this.#title("program", "A program begins with program @name (symbols) params(…) { ….");
    const symbols = this.#list(() => this.#name("a symbol"));
    cursor.expect("params", "Give the parameters: params(H = 256).");
    const params = this.#list(() => {
      const key = this.#name("a parameter");
      cursor.expect("=", "Give the parameter's value: H = 256.");
      return [key, this.#number()] as const;
    });
    cursor.expect("{", "Open the program.");
    const buffers: ProgramBuffer[] = [];
    const choices: ProgramChoice[] = [];
    const results: { name: string; buffer: string }[] = [];
    const slots: MemoryPlan["slots"][number][] = [];
    const prepare: Kernel[] = [];
    const kernels: Kernel[] = [];
    while (!cursor.accept("}")) {
      const role = roles.find((r) => cursor.accept(r));
      if (role) {
        const buffer = this.#typedName();
        const alias = cursor.accept("alias") ? { alias: this.#name("a buffer") } : {};
        buffers.push({ ...buffer, role, ...alias, ...this.#blocks() });
      } else if (cursor.accept("choice")) {
        const [ids, weights, ...more] = this.#list(() => this.#name("a buffer"));
        if (ids === undefined || more.length > 0)
          return cursor.unexpected("one or two buffers", "Write choice (ids), or choice (ids, weights).");
        choices.push(weights === undefined ? { ids } : { ids, weights });
      } else if (cursor.accept("result")) {
        const result = this.#name("a result's name");
        cursor.expect("=", "Write result name = buffer.");
        results.push({ name: result, buffer: this.#name("a buffer") });
      } else if (cursor.accept("slot")) {
        const names = this.#list(() => this.#name("a buffer"));
        cursor.expect("bytes", "Write slot (buffers) bytes (sizes).");
        slots.push({ buffers: names, bytes: this.#list(() => this.#dim()) });
      } else if (cursor.accept("prepare")) prepare.push(this.kernel(symbols));
      else kernels.push(this.kernel(symbols));
    }
    return {
      name,
      params: Object.fromEntries(params),
      symbols,
      buffers,
      prepare,
      kernels,
      choices,
      results,
      memory: { slots },
    };
  }

  /** A kernel; `symbols` are scalars beside those that its buffers and grid name. */
  kernel(symbols: readonly string[]): Kernel {
    const cursor = this.#cursor;
    const name = this.#title("kernel", "A kernel begins with kernel @name origin(…) (buffers) grid(…) { ….");
    const origin = this.#origin();
    const buffers = this.#list(() =>
      this.#placed((): KernelBuffer => {
        const access =
          accessKinds.find((a) => cursor.accept(a)) ??
          cursor.unexpected('"read", "write" or "readwrite"', "Say how the kernel uses the buffer.");
        return { ...this.#typedName(), access };
      }),
    );
    cursor.expect("grid", "Give the grid after the buffers: grid(t = T).");
    const grid = this.#list(() =>
      this.#placed(() => {
        const coordinate = this.#name("a block coordinate");
        cursor.expect("=", "Give the extent: t = T.");
        const extent = this.#dim();
        const lanes = cursor.accept("lanes") ? { lanes: true as const } : {};
        const listed = cursor.accept("of") ? { listed: this.#name("the buffer that lists blocks") } : {};
        return { name: coordinate, extent, ...lanes, ...listed };
      }),
    );
    const when = cursor.accept("when") ? { when: this.#range() } : {};
    const dims = [
      ...buffers.flatMap((b) => b.dims),
      ...grid.map((g) => g.extent),
      ...(when.when ? [when.when.of] : []),
    ];
    const scalars = [...symbols, ...dims.flatMap((d) => d.symbols), ...grid.map((g) => g.name)];
    const body = new StatementParser(cursor, this.#places).body({
      scalars: new Map(scalars.map((scalar) => [scalar, "i32"])),
      bases: new Map(buffers.map((b) => [b.name, b.dtype])),
    });
    return { name, buffers, grid, ...when, body, origin };
  }

  /** Sizes for which a kernel is launched. */
  #range(): SizeRange {
    const cursor = this.#cursor;
    const of = this.#dim();
    const from = cursor.accept("from") ? this.#number() : 0;
    return { of, from, ...(cursor.accept("below") ? { below: this.#number() } : {}) };
  }

  #title(word: string, help: string): string {
    this.#cursor.skip();
    const start = this.#cursor.position;
    this.#cursor.expect(word, help);
    this.#cursor.expect("@", help);
    const name = this.#name("a name");
    if (this.#head === noSpan) this.#head = this.#cursor.span(start, this.#cursor.position);
    return name;
  }

  #origin(): Kernel["origin"] {
    const cursor = this.#cursor;
    const help = 'Say what the kernel computes: origin("map", "x times a half").';
    cursor.expect("origin", help);
    cursor.expect("(", help);
    const op = this.#string();
    cursor.expect(",", help);
    const summary = this.#string();
    const span = cursor.accept(",") ? this.#place() : noSpan;
    cursor.expect(")", help);
    return { op, summary, span };
  }

  #place(): Span {
    const help = 'Write a place as "file":line:column+length.';
    const file = this.#string();
    this.#cursor.expect(":", help);
    const line = this.#number();
    this.#cursor.expect(":", help);
    const column = this.#number();
    this.#cursor.expect("+", help);
    return { file, line, column, length: this.#number() };
  }

  /** Remembers the place of what is read. */
  #placed<T extends object>(read: () => T): T {
    this.#cursor.skip();
    const start = this.#cursor.position;
    const part = read();
    this.#places.set(part, this.#cursor.span(start, this.#cursor.position));
    return part;
  }

  #list<T>(read: () => T): T[] {
    const list: T[] = [];
    this.#cursor.expect("(", "Open the list with a parenthesis.");
    if (this.#cursor.accept(")")) return list;
    do list.push(read());
    while (this.#cursor.accept(","));
    this.#cursor.expect(")", "Separate what is in the list by commas.");
    return list;
  }

  /** Of a weight's codes: their format and the buffers beside them. */
  #blocks(): Pick<ProgramBuffer, "blocks"> {
    const cursor = this.#cursor;
    if (!cursor.accept("in")) return {};
    const format =
      blockFormatNames.find((f) => cursor.accept(f)) ??
      cursor.unexpected("a block format", `The block formats are ${blockFormatNames.join(", ")}.`);
    cursor.expect("with", "Name the buffers beside the codes: in q8_0 with gate_scales.");
    return { blocks: { format, parts: partsOf(formatOf(format, 0)).map(() => this.#name("a buffer")) } };
  }

  #typedName(): { name: string; dtype: ElementType; dims: Dim[] } {
    const cursor = this.#cursor;
    const name = this.#name("a buffer's name");
    cursor.expect(":", "Give the type after a colon: x: f32[T, 256].");
    const dtype =
      elementTypes.find((d) => cursor.accept(d)) ??
      cursor.unexpected("a dtype", `The dtypes are ${elementTypes.join(", ")}.`);
    cursor.expect("[", "Give the dimensions: f32[T, 256].");
    const dims: Dim[] = [];
    if (cursor.accept("]")) return { name, dtype, dims };
    do dims.push(this.#dim());
    while (cursor.accept(","));
    cursor.expect("]", "Separate dimensions by commas.");
    return { name, dtype, dims };
  }

  #dim(): Dim {
    const help = "Write a name, a whole number, or sums and products of them.";
    const text = this.#cursor.match(/-?\w+(?:\s*[+*]\s*-?\w+)*/y) ?? this.#cursor.unexpected("a dimension", help);
    try {
      return Dim.parse(text);
    } catch (error) {
      if (!(error instanceof IrError)) throw error;
      this.#cursor.rewind(this.#cursor.position - text.length);
      return this.#cursor.unexpected("a dimension", help);
    }
  }

  #name(what: string): string {
    return this.#cursor.match(/[A-Za-z_]\w*/y) ?? this.#cursor.unexpected(what, "Use letters, digits and _.");
  }

  #number(): number {
    const text = this.#cursor.match(/-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y);
    return text === undefined ? this.#cursor.unexpected("a number", "Write a number.") : Number(text);
  }

  #string(): string {
    const cursor = this.#cursor;
    const text = cursor.match(/"(?:[^"\\\n]|\\.)*"/y) ?? cursor.unexpected("a string", 'Write it in quotes: "…".');
    try {
      return JSON.parse(text);
    } catch {
      cursor.rewind(cursor.position - text.length);
      return cursor.unexpected("a string as in JSON", "Mend the escape sequences.");
    }
  }
}
