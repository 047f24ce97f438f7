import { readBinding } from "../core/bindings.ts";
import { argument, checkLayer, checkSizes, makeOperation } from "../core/builder.ts";
import type { ConfigBinding, ConfigLiteral } from "../core/config.ts";
import { DiagnosticError, IrError } from "../core/diagnostic.ts";
import { Dim } from "../core/dim.ts";
import type { Argument, Attribute, AttributeMap, Layer, Operation, Region, Value } from "../core/layer.ts";
import { noSpan, type Span } from "../core/span.ts";
import { type DType, dtypes, formatType, type TensorType, typesEqual } from "../core/types.ts";
import { isOpName, opNames } from "../ops/index.ts";
import { Cursor } from "./cursor.ts";
import { parseScalarFunction } from "./scalar-parser.ts";

const number = /-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?/y;

/**
 * Reads the textual form that printLayer writes. Operations are built by makeOperation, so the result is well-typed.
 * Throws DiagnosticError: U101 where the text has another form, U102 where an operation does not type-check; `file` is the name
 * that its places carry. Operations without a printed span have none.
 */
export function parseLayer(text: string, file = "<layer>"): Layer {
  return new LayerParser(new Cursor(text, file)).layer();
}

type Scope = ReadonlyMap<string, Value>;

const isLiteral = (value: Attribute): value is ConfigLiteral =>
  typeof value === "number" || typeof value === "string" || typeof value === "boolean";

class LayerParser {
  readonly #cursor: Cursor;
  readonly #defined = new Set<string>();
  #params: Readonly<Record<string, number>> = {};

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  layer(): Layer {
    const cursor = this.#cursor;
    cursor.expect("layer", "A file holds one layer: layer @name {parameters} (arguments) { … }.");
    const start = cursor.position;
    cursor.expect("@", "Write the layer's name as @name.");
    const name = this.#name("the layer's name");
    this.#params = this.#entries("a number", (v): v is number => typeof v === "number");
    const args = this.#arguments();
    const config = this.#config();
    const bindings = cursor.accept("bind") ? this.#bindings() : {};
    const span = this.#place();
    const scope = new Map(args.map((a) => [a.value.name, a.value]));
    cursor.expect("{", "Open the layer's body.");
    const body = this.#body(scope, "return");
    const results: { name: string; value: Value }[] = [];
    if (!cursor.accept("}")) {
      do {
        const result = this.#name("a result's name");
        cursor.expect("=", "Write results as name = %value.");
        results.push({ name: result, value: this.#use(scope) });
      } while (cursor.accept(","));
      cursor.expect("}", "Close the layer's body.");
    }
    if (!cursor.atEnd) cursor.unexpected("the end of the text", "A file holds one layer.");
    const params = this.#params;
    return this.#typed(start, () => checkLayer({ name, params, args, body, results, ...config, bindings, span }));
  }

  /** `config {parameter = "expression"} requires {expression = value}` */
  #config(): { readonly config?: ConfigBinding } {
    if (!this.#cursor.accept("config")) return {};
    const params = this.#entries("a string", (v): v is string => typeof v === "string");
    const requires = this.#cursor.accept("requires")
      ? this.#entries(
          "a number, a string, true or false, or a list of them",
          (v): v is ConfigLiteral | readonly ConfigLiteral[] =>
            isLiteral(v) || (Array.isArray(v) && v.every(isLiteral)),
        )
      : {};
    return { config: { params, requires } };
  }

  #bindings(): Layer["bindings"] {
    this.#cursor.skip();
    const start = this.#cursor.position;
    const map = this.#map();
    return this.#typed(start, () =>
      Object.fromEntries(Object.entries(map).map(([name, value]) => [name, readBinding(value)])),
    );
  }

  #arguments(): Argument[] {
    const cursor = this.#cursor;
    const args: Argument[] = [];
    cursor.expect("(", "List the layer's arguments in parentheses.");
    if (cursor.accept(")")) return args;
    do {
      const role = this.#oneOf(["input", "weight"] as const, "Say whether the argument is an input or a weight.");
      const storage = this.#oneOf(["auto", "fixed"] as const, "Say whether the compiler may choose the storage.");
      const { name, type } = this.#typedName();
      args.push(argument(name, type, role, storage));
    } while (cursor.accept(","));
    cursor.expect(")", "Close the list of arguments.");
    return args;
  }

  /** Operations up to the word that ends the body; defines their results in `scope`. */
  #body(scope: Map<string, Value>, end: "return" | "yield"): Operation[] {
    const body: Operation[] = [];
    while (!this.#cursor.accept(end)) {
      const operation = this.#operation(scope, end);
      for (const result of operation.results) scope.set(result.name, result);
      body.push(operation);
    }
    return body;
  }

  #operation(scope: Scope, end: string): Operation {
    const cursor = this.#cursor;
    cursor.skip();
    const start = cursor.position;
    const names: string[] = [];
    do names.push(this.#define(end));
    while (cursor.accept(","));
    cursor.expect("=", "Write an operation as %result = op(%operand) : type.");
    const op = this.#op();
    cursor.expect("(", "List the operands in parentheses.");
    const operands = this.#list(")", () => this.#use(scope));
    cursor.skip();
    const headEnd = cursor.position;
    const attributes = this.#startsWith("{") ? this.#map() : {};
    const regions: Region[] = [];
    while (this.#startsWith("(")) regions.push(this.#region(scope));
    cursor.expect(":", "Give the types of the results after a colon.");
    const types: TensorType[] = [];
    do types.push(this.#type());
    while (cursor.accept(","));
    const span = this.#place();
    return this.#typed(
      start,
      () => {
        const operation = makeOperation(op, operands, attributes, { span, names, regions });
        const found = operation.results.map((r) => formatType(r.type)).join(", ");
        if (
          types.length !== operation.results.length ||
          operation.results.some((r, i) => !typesEqual(r.type, types[i]))
        )
          throw new IrError(
            `${op} gives ${found}, but the text says ${types.map(formatType).join(", ")}`,
            `Write ${found}.`,
          );
        if (names.length !== types.length)
          throw new IrError(`${op} has ${types.length} results, but ${names.length} are named`, "Name every result.");
        checkSizes(operation, this.#params);
        return operation;
      },
      headEnd,
    );
  }

  #op(): string {
    const cursor = this.#cursor;
    cursor.skip();
    const start = cursor.position;
    const op = cursor.match(/[A-Za-z_]\w*/y) ?? "";
    if (isOpName(op)) return op;
    cursor.rewind(start);
    return cursor.unexpected("an op", `The ops are ${opNames.join(", ")}.`);
  }

  #region(outer: Scope): Region {
    const cursor = this.#cursor;
    cursor.expect("(", "List the body's arguments.");
    const args = this.#list(")", () => this.#typedName());
    const scope = new Map(outer);
    for (const arg of args) scope.set(arg.name, arg);
    cursor.expect("{", "Open the body.");
    const body = this.#body(scope, "yield");
    const results: Value[] = [];
    do results.push(this.#use(scope));
    while (cursor.accept(","));
    cursor.expect("}", "Close the body after what it yields.");
    return { args, body, results };
  }

  /** Elements separated by commas up to `close`. */
  #list<T>(close: string, element: () => T): T[] {
    const list: T[] = [];
    if (this.#cursor.accept(close)) return list;
    do list.push(element());
    while (this.#cursor.accept(","));
    this.#cursor.expect(close, "Separate elements by commas.");
    return list;
  }

  #typedName(): Value {
    const name = this.#define("an argument");
    this.#cursor.expect(":", "Give the argument's type after a colon.");
    return { name, type: this.#type() };
  }

  /** A value's name at its definition; names are unique in a layer. */
  #define(end: string): string {
    const cursor = this.#cursor;
    if (!cursor.accept("%"))
      return cursor.unexpected(
        end === "an argument" ? "an argument such as %x: f32[T, H]" : `an operation or "${end}"`,
        "Values begin with %.",
      );
    const start = cursor.position - 1;
    const name = this.#name("a value's name");
    if (this.#defined.has(name))
      return cursor.fail({
        code: "U102",
        span: cursor.span(start, cursor.position),
        message: `%${name} is defined twice`,
        help: "Give each value its own name.",
      });
    this.#defined.add(name);
    return name;
  }

  #use(scope: Scope): Value {
    const cursor = this.#cursor;
    cursor.expect("%", "Values begin with %.");
    const start = cursor.position - 1;
    const name = this.#name("a value's name");
    return (
      scope.get(name) ??
      cursor.fail({
        code: "U102",
        span: cursor.span(start, cursor.position),
        message: `%${name} is not defined here`,
        expected: [...scope.keys()].map((n) => `%${n}`).join(", ") || "a value",
        found: `%${name}`,
        help: "Use a value after its definition; values of a body are seen in that body only.",
      })
    );
  }

  /** A plain word, or a quoted one. */
  #name(expected: string): string {
    const cursor = this.#cursor;
    if (this.#startsWith('"')) return this.#string();
    return cursor.match(/[A-Za-z_][\w.]*/y) ?? cursor.unexpected(expected, "Quote a name that is no plain word.");
  }

  #string(): string {
    const cursor = this.#cursor;
    const text = cursor.match(/"(?:[^"\\\n]|\\.)*"/y) ?? cursor.unexpected("a string", 'Close the string with ".');
    try {
      return JSON.parse(text);
    } catch {
      cursor.rewind(cursor.position - text.length);
      return cursor.unexpected("a string as in JSON", "Mend the escape sequences.");
    }
  }

  #oneOf<T extends string>(words: readonly T[], help: string): T {
    return (
      words.find((word) => this.#cursor.accept(word)) ??
      this.#cursor.unexpected(words.map((word) => `"${word}"`).join(" or "), help)
    );
  }

  #type(): TensorType {
    const cursor = this.#cursor;
    const dtype = this.#oneOf<DType>(dtypes, "Write a type as f32[T, H].");
    cursor.expect("[", "Write a type as f32[T, H]; a scalar as f32[].");
    return { dtype, dims: this.#list("]", () => this.#dim()) };
  }

  #dim(): Dim {
    let sum = this.#product();
    while (this.#cursor.accept("+")) sum = sum.plus(this.#product());
    return sum;
  }

  #product(): Dim {
    let product = this.#factor();
    while (this.#cursor.accept("*")) product = product.times(this.#factor());
    return product;
  }

  #factor(): Dim {
    const cursor = this.#cursor;
    const text =
      cursor.match(/-?\d+|[A-Za-z_]\w*/y) ??
      cursor.unexpected("a dimension", "Write a name, a whole number, or sums and products of them.");
    return /^[-\d]/.test(text) ? Dim.of(Number(text)) : Dim.symbol(text);
  }

  #entries<T extends Attribute>(expected: string, is: (v: Attribute) => v is T): Record<string, T> {
    if (!this.#startsWith("{")) return {};
    return Object.fromEntries(
      Object.entries(this.#map((value) => is(value) || this.#cursor.unexpected(expected, `Write ${expected}.`))),
    ) as Record<string, T>;
  }

  /** {name = value, …}; `check` looks at each value before the next is read. */
  #map(check?: (value: Attribute) => unknown): AttributeMap {
    const cursor = this.#cursor;
    cursor.expect("{", "Write options as {name = value}.");
    const entries = this.#list("}", () => {
      const name = this.#name("an option's name");
      cursor.expect("=", "Write options as {name = value}.");
      cursor.skip();
      const start = cursor.position;
      const value = this.#attribute();
      const end = cursor.position;
      if (check !== undefined) {
        cursor.rewind(start);
        check(value);
        cursor.rewind(end);
      }
      return [name, value] as const;
    });
    return Object.fromEntries(entries);
  }

  #attribute(): Attribute {
    const cursor = this.#cursor;
    if (this.#startsWith('"')) return this.#string();
    if (this.#startsWith("{")) return this.#map();
    if (this.#startsWith("(")) return parseScalarFunction(cursor);
    if (cursor.accept("[")) return this.#list("]", () => this.#attribute());
    if (cursor.accept("true")) return true;
    if (cursor.accept("false")) return false;
    const start = cursor.position;
    const literal = cursor.match(number);
    if (literal !== undefined && !this.#startsWith("*") && !this.#startsWith("+")) return Number(literal);
    cursor.rewind(start);
    return this.#dim();
  }

  #startsWith(mark: string): boolean {
    this.#cursor.skip();
    const start = this.#cursor.position;
    const found = this.#cursor.accept(mark);
    this.#cursor.rewind(start);
    return found;
  }

  /** `@ "file":line:column:length`, where it is printed. */
  #place(): Span {
    const cursor = this.#cursor;
    if (!cursor.accept("@")) return noSpan;
    const help = 'Write a place as @ "file":line:column:length.';
    const file = this.#string();
    const [line, column, length] = [0, 1, 2].map(() => {
      cursor.expect(":", help);
      return Number(cursor.match(/\d+/y) ?? cursor.unexpected("a whole number", help));
    });
    return { file, line, column, length };
  }

  /** Runs a check that knows no place, and adds the place of the text from `start`. */
  #typed<T>(start: number, check: () => T, end = start + 1): T {
    try {
      return check();
    } catch (error) {
      if (error instanceof DiagnosticError) {
        const [{ message, help }] = error.diagnostics;
        return this.#cursor.fail({ code: "U102", span: this.#cursor.span(start, end), message, help });
      }
      if (!(error instanceof IrError)) throw error;
      const { message, help } = error;
      return this.#cursor.fail({ code: "U102", span: this.#cursor.span(start, end), message, help });
    }
  }
}
