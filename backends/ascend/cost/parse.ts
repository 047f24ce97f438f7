import { IrError } from "../../../ir/core/diagnostic.ts";

/** An expression of the C++ that generated kernels are made of. */
export type Expr =
  | { readonly kind: "number"; readonly value: number }
  /** A variable, an enumerator, or a qualified name. */
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "unary"; readonly op: string; readonly arg: Expr }
  | { readonly kind: "binary"; readonly op: string; readonly a: Expr; readonly b: Expr }
  | { readonly kind: "conditional"; readonly condition: Expr; readonly then: Expr; readonly otherwise: Expr }
  /** A function, a constructor, or a cast. */
  | { readonly kind: "call"; readonly callee: string; readonly types: string; readonly args: readonly Expr[] }
  | {
      readonly kind: "method";
      readonly object: Expr;
      readonly name: string;
      readonly types: string;
      readonly args: readonly Expr[];
    }
  | { readonly kind: "index"; readonly object: Expr; readonly index: Expr }
  | { readonly kind: "member"; readonly object: Expr; readonly name: string };

export type Statement =
  | {
      readonly kind: "declare";
      readonly type: string;
      readonly name: string;
      readonly value: Expr | undefined;
      /** Arguments of a constructor. */
      readonly args: readonly Expr[];
    }
  | { readonly kind: "assign"; readonly target: Expr; readonly value: Expr }
  | { readonly kind: "expression"; readonly value: Expr }
  /** for (T name = from; name < to; name += step) */
  | {
      readonly kind: "for";
      readonly name: string;
      readonly from: Expr;
      readonly to: Expr;
      readonly step: Expr;
      readonly body: readonly Statement[];
    }
  | {
      readonly kind: "if";
      readonly condition: Expr;
      readonly then: readonly Statement[];
      readonly otherwise: readonly Statement[];
    };

/** The body of the one kernel in a file of Ascend C, and the names of its parameters. */
export interface KernelText {
  readonly name: string;
  readonly parameters: readonly string[];
  readonly body: readonly Statement[];
}

/** What one kind of core does of a kernel. */
export interface PartText {
  readonly core: "AIC" | "AIV";
  readonly text: KernelText;
}

/** The two parts of a MIX kernel, each after what both begin with; undefined for another kernel. */
export function mixParts(kernel: KernelText): readonly [PartText, PartText] | undefined {
  const at = kernel.body.findIndex((s) => s.kind === "if" && isMacro(s.condition, "AIC"));
  const part = (core: PartText["core"]): PartText => {
    const found = kernel.body.find((s) => s.kind === "if" && isMacro(s.condition, core));
    if (found?.kind !== "if")
      throw new IrError(`${kernel.name} has no part for ${core}`, `Add one under if ASCEND_IS_${core}.`);
    return { core, text: { ...kernel, body: [...kernel.body.slice(0, at), ...found.then] } };
  };
  return at < 0 ? undefined : [part("AIC"), part("AIV")];
}

const isMacro = (e: Expr, core: string): boolean => e.kind === "name" && e.name === `ASCEND_IS_${core}`;

/**
 * Reads a kernel as the generator writes them: declarations, counting loops, conditions, assignments and calls.
 * @throws IrError, with the line, for what generated kernels do not contain
 */
export function parseKernel(text: string): KernelText {
  return new Parser(text).kernel();
}

interface Token {
  readonly text: string;
  readonly line: number;
}

const pattern =
  /\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/|#[^\n]*|"[^"\n]*"|0[xX][\da-fA-F]+[uUlL]*|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?[fFuUlL]*|[A-Za-z_]\w*|::|->|\+\+|--|<=|>=|==|!=|&&|\|\||\+=|-=|[^\s]/y;

function tokenise(text: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  pattern.lastIndex = 0;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    const [found] = match;
    if (!/^(\s|\/\/|\/\*|#)/.test(found)) tokens.push({ text: found, line });
    line += found.split("\n").length - 1;
  }
  return tokens;
}

/** Binary operators by how tightly they bind. */
const levels: readonly (readonly string[])[] = [
  ["||"],
  ["&&"],
  ["==", "!="],
  ["<", "<=", ">", ">="],
  ["+", "-"],
  ["*", "/", "%"],
];

const isName = (text: string | undefined): text is string => text !== undefined && /^[A-Za-z_]\w*$/.test(text);

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = tokenise(text);
  }

  kernel(): KernelText {
    while (this.#peek() !== "__global__") {
      if (this.#peek() === undefined) throw this.#unexpected("a function marked __global__");
      this.#at++;
    }
    this.#at++;
    while (this.#peek(1) !== "(") this.#at++;
    const name = this.#name();
    this.#expect("(");
    const parameters: string[] = [];
    while (this.#peek() !== ")") {
      while (this.#peek(1) !== "," && this.#peek(1) !== ")") this.#at++;
      parameters.push(this.#name());
      if (this.#peek() === ",") this.#at++;
    }
    this.#expect(")");
    return { name, parameters, body: this.#block() };
  }

  #block(): Statement[] {
    this.#expect("{");
    const list: Statement[] = [];
    while (this.#peek() !== "}") list.push(this.#statement());
    this.#expect("}");
    return list;
  }

  #statement(): Statement {
    if (this.#peek() === "for") return this.#for();
    if (this.#peek() === "if") {
      this.#at++;
      const condition = this.#condition();
      const then = this.#block();
      if (this.#peek() !== "else") return { kind: "if", condition, then, otherwise: [] };
      this.#at++;
      return {
        kind: "if",
        condition,
        then,
        otherwise: this.#peek() === "if" ? [this.#statement()] : this.#block(),
      };
    }
    const declared = this.#declaration();
    if (declared) return declared;
    const value = this.#expression();
    if (this.#peek() === "=") {
      this.#at++;
      const assigned = this.#expression();
      this.#expect(";");
      return { kind: "assign", target: value, value: assigned };
    }
    if (this.#peek() === "++") {
      this.#at++;
      this.#expect(";");
      const one: Expr = { kind: "number", value: 1 };
      return { kind: "assign", target: value, value: { kind: "binary", op: "+", a: value, b: one } };
    }
    this.#expect(";");
    return { kind: "expression", value };
  }

  /** In parentheses, or a macro that has its own: ASCEND_IS_AIC. */
  #condition(): Expr {
    if (this.#peek() !== "(") return { kind: "name", name: this.#name() };
    this.#expect("(");
    const condition = this.#expression();
    this.#expect(")");
    return condition;
  }

  #for(): Statement {
    this.#expect("for");
    this.#expect("(");
    this.#type();
    const name = this.#name();
    this.#expect("=");
    const from = this.#expression();
    this.#expect(";");
    this.#expect(name);
    this.#expect("<");
    const to = this.#expression();
    this.#expect(";");
    let step: Expr = { kind: "number", value: 1 };
    if (this.#peek() === "++") {
      this.#at++;
      this.#expect(name);
    } else {
      this.#expect(name);
      if (this.#peek() === "++") this.#at++;
      else {
        this.#expect("+=");
        step = this.#expression();
      }
    }
    this.#expect(")");
    return { kind: "for", name, from, to, step, body: this.#block() };
  }

  /** A declaration, or undefined and nothing read. */
  #declaration(): Statement | undefined {
    const start = this.#at;
    const isConst = ["const", "constexpr"].includes(this.#peek() ?? "");
    if (isName(this.#peek())) {
      const type = this.#type();
      if (isName(this.#peek()) && ["=", ";", "("].includes(this.#peek(1) ?? "")) {
        const name = this.#name();
        let value: Expr | undefined;
        let args: readonly Expr[] = [];
        if (this.#peek() === "=") {
          this.#at++;
          value = this.#expression();
        } else if (this.#peek() === "(") args = this.#arguments();
        this.#expect(";");
        return { kind: "declare", type, name, value, args };
      }
    }
    if (isConst) throw this.#unexpected("a declaration");
    this.#at = start;
    return undefined;
  }

  /** A type as text, without const. */
  #type(): string {
    if (this.#peek() === "const" || this.#peek() === "constexpr") this.#at++;
    let text = this.#name();
    while (this.#peek() === "::") {
      this.#at++;
      text += `::${this.#name()}`;
    }
    return text + (this.#templateArguments() ?? "");
  }

  /** <...> after a name where it can only be template arguments; undefined and nothing read otherwise. */
  #templateArguments(): string | undefined {
    if (this.#peek() !== "<") return undefined;
    let depth = 0;
    let text = "";
    for (let i = 0; ; i++) {
      const token = this.#peek(i);
      if (token === undefined || !/^([\w]+|::|,|<|>|\*)$/.test(token)) return undefined;
      text += token;
      if (token === "<") depth++;
      if (token === ">" && --depth === 0) {
        const next = this.#peek(i + 1);
        if (next !== "(" && next !== "::" && !isName(next)) return undefined;
        this.#at += i + 1;
        return text;
      }
    }
  }

  #arguments(): Expr[] {
    this.#expect("(");
    const args: Expr[] = [];
    while (this.#peek() !== ")") {
      args.push(this.#expression());
      if (this.#peek() !== ")") this.#expect(",");
    }
    this.#expect(")");
    return args;
  }

  #expression(): Expr {
    const condition = this.#binary(0);
    if (this.#peek() !== "?") return condition;
    this.#at++;
    const then = this.#expression();
    this.#expect(":");
    return { kind: "conditional", condition, then, otherwise: this.#expression() };
  }

  #binary(level: number): Expr {
    const operators = levels[level];
    if (operators === undefined) return this.#unary();
    let a = this.#binary(level + 1);
    for (let op = this.#peek(); op !== undefined && operators.includes(op); op = this.#peek()) {
      this.#at++;
      a = { kind: "binary", op, a, b: this.#binary(level + 1) };
    }
    return a;
  }

  #unary(): Expr {
    const op = this.#peek();
    if (op === "-" || op === "!" || op === "+" || op === "*" || op === "&") {
      this.#at++;
      return { kind: "unary", op, arg: this.#unary() };
    }
    return this.#postfix(this.#primary());
  }

  #primary(): Expr {
    const token = this.#peek();
    if (token === "(") {
      // (void)name, or parentheses.
      if (this.#peek(1) === "void" && this.#peek(2) === ")") {
        this.#at += 3;
        return { kind: "call", callee: "void", types: "", args: [this.#unary()] };
      }
      this.#at++;
      const inner = this.#expression();
      this.#expect(")");
      return inner;
    }
    if (token !== undefined && /^\d/.test(token)) {
      this.#at++;
      const hex = /^0[xX]/.test(token);
      return { kind: "number", value: Number(hex ? token.replace(/[uUlL]+$/, "") : token.replace(/[fFuUlL]+$/, "")) };
    }
    if (token?.startsWith('"')) {
      this.#at++;
      return { kind: "name", name: token };
    }
    if (!isName(token)) throw this.#unexpected("an expression");
    if (/^(static|reinterpret|const)_cast$/.test(token)) {
      this.#at++;
      const types = this.#castTypes();
      return { kind: "call", callee: token, types, args: this.#arguments() };
    }
    let name = this.#name();
    let types = this.#templateArguments() ?? "";
    while (this.#peek() === "::") {
      this.#at++;
      name += `${types}::${this.#name()}`;
      types = this.#templateArguments() ?? "";
    }
    if (this.#peek() === "(") return { kind: "call", callee: name, types, args: this.#arguments() };
    return { kind: "name", name: name === "true" ? "1" : name === "false" ? "0" : name };
  }

  /** The <type> of a cast, in which anything but angle brackets may stand. */
  #castTypes(): string {
    let text = "";
    let depth = 0;
    do {
      const token = this.#peek();
      if (token === undefined) throw this.#unexpected("a type");
      if (token === "<") depth++;
      if (token === ">") depth--;
      text += token;
      this.#at++;
    } while (depth > 0);
    return text;
  }

  #postfix(start: Expr): Expr {
    let object = start;
    for (;;) {
      if (this.#peek() === "[") {
        this.#at++;
        const index = this.#expression();
        this.#expect("]");
        object = { kind: "index", object, index };
      } else if (this.#peek() === "." || this.#peek() === "->") {
        this.#at++;
        const name = this.#name();
        const types = this.#templateArguments() ?? "";
        object =
          this.#peek() === "("
            ? { kind: "method", object, name, types, args: this.#arguments() }
            : { kind: "member", object, name };
      } else return object;
    }
  }

  #peek(ahead = 0): string | undefined {
    return this.#tokens[this.#at + ahead]?.text;
  }

  #name(): string {
    const token = this.#peek();
    if (!isName(token)) throw this.#unexpected("a name");
    this.#at++;
    return token;
  }

  #expect(text: string): void {
    if (this.#peek() !== text) throw this.#unexpected(`"${text}"`);
    this.#at++;
  }

  #unexpected(expected: string): IrError {
    const token = this.#tokens[this.#at];
    return new IrError(
      `line ${token?.line ?? "after the last"} of the kernel has ${token ? `"${token.text}"` : "nothing"} where the cost model expects ${expected}`,
      "The cost model reads kernels as the generator writes them: declarations, counting loops, conditions and calls.",
    );
  }
}
